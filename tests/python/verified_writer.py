"""Usage: verified_writer.py CONF IMAGE. Writes to the image without a pause and knows what was acknowledged.

Each thread owns a part of the image and has one write in flight; a block's number of writes so far stands in every 16
bytes of the block. Commands come line by line on standard input:

check   lets the writes in flight be acknowledged, reads the whole image, compares, goes on: "checked N writes"
hold    lets the writes in flight be acknowledged, and makes no more until the next command: "held"
finish  the same as check, then stops: "finished SHA256 of the whole image"

Anything else than the last acknowledged content is a lost or torn write: "FAILED ..." and exit code 1.
"""

import hashlib
import os
import random
import sys
import threading

import rbd

from common import pool

THREADS = 8
BLOCK = 4096
CHUNK = 4 << 20
SIZE = 64 << 20
BLOCKS = SIZE // BLOCK
PART = BLOCKS // THREADS

versions = [0] * BLOCKS
written = [0] * THREADS
resume = threading.Condition()
paused = False
idle = 0


def content(block, version):
    if version == 0:
        return bytes(BLOCK)
    return (block.to_bytes(8, "little") + version.to_bytes(8, "little")) * (BLOCK // 16)


def fail(text):
    print("FAILED", text, flush=True)
    os._exit(1)


def rest_while_paused():
    global idle
    with resume:
        if paused:
            idle += 1
            resume.notify_all()
            while paused:
                resume.wait()
            idle -= 1


def worker(image, number):
    rng = random.Random(number)
    base = number * PART
    try:
        while True:
            rest_while_paused()
            count = rng.choice((1, 1, 1, 2, 4, 16))
            first = base + rng.randrange(PART - count + 1)
            blocks = range(first, first + count)
            data = b"".join(content(block, versions[block] + 1) for block in blocks)
            image.write(data, first * BLOCK)
            image.flush()
            for block in blocks:
                versions[block] += 1
            written[number] += 1
    except BaseException as error:
        fail("thread %d: %r" % (number, error))


def pause():
    global paused
    with resume:
        paused = True
        while idle < THREADS:
            resume.wait()


def go_on():
    global paused
    with resume:
        paused = False
        resume.notify_all()


def verify(image):
    digest = hashlib.sha256()
    for offset in range(0, SIZE, CHUNK):
        first = offset // BLOCK
        expected = b"".join(content(block, versions[block]) for block in range(first, first + CHUNK // BLOCK))
        got = image.read(offset, CHUNK)
        digest.update(got)
        if got != expected:
            for i in range(CHUNK // BLOCK):
                part = got[i * BLOCK : (i + 1) * BLOCK]
                if part != expected[i * BLOCK : (i + 1) * BLOCK]:
                    found = {part[j : j + 16] for j in range(0, BLOCK, 16)}
                    shown = sorted(int.from_bytes(x[8:], "little") for x in found)
                    fail("block %d: acknowledged version %d, found %s" % (first + i, versions[first + i], shown[:8]))
    return digest.hexdigest()


with pool() as ioctx, rbd.Image(ioctx, sys.argv[2]) as image:
    for n in range(THREADS):
        threading.Thread(target=worker, args=(image, n), daemon=True).start()
    for line in sys.stdin:
        pause()
        if line.strip() == "hold":
            print("held", flush=True)
            continue
        digest = verify(image)
        if line.strip() == "finish":
            print("finished", digest, flush=True)
            break
        print("checked", sum(written), "writes", flush=True)
        go_on()
