"""Threads that share an image handle, each writing a range of its own in pieces of many sizes."""

import hashlib
import random
import threading

import rbd

from common import check, create, pool

THREADS = 8
RANGE = 6 << 20
failures = []


def worker(image, number, expected):
    rng = random.Random(number)
    base = number * RANGE
    try:
        for _ in range(150):
            length = rng.choice((1, 511, 512, 4096, 5000, 65536, 300000))
            offset = rng.randrange(RANGE - length)
            data = rng.randbytes(length)
            check(image.write(data, base + offset) == length, "short write")
            expected[offset : offset + length] = data
            if rng.random() < 0.2:
                got = image.read(base + offset, length)
                check(got == data, "thread %d reads other bytes than it wrote" % number)
    except BaseException as error:
        failures.append(error)


with pool() as ioctx:
    create(ioctx, "disk", THREADS * RANGE)
    expected = [bytearray(RANGE) for _ in range(THREADS)]
    with rbd.Image(ioctx, "disk") as image:
        threads = [threading.Thread(target=worker, args=(image, n, expected[n])) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(not failures, failures)
        image.flush()
    with rbd.Image(ioctx, "disk", read_only=True) as image:
        for n in range(THREADS):
            got = image.read(n * RANGE, RANGE)
            check(hashlib.sha1(got).digest() == hashlib.sha1(expected[n]).digest(), "range %d differs" % n)
print("ok")
