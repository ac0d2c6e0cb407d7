"""Many asynchronous requests in flight on one image: writes, reads, discards, flushes."""

import random
import threading

import rbd

from common import check, create, pool

BLOCK = 16384
BLOCKS = 1024

with pool() as ioctx:
    create(ioctx, "disk", BLOCK * BLOCKS)
    with rbd.Image(ioctx, "disk") as image:
        rng = random.Random(1)
        data = [rng.randbytes(BLOCK) for _ in range(BLOCKS)]
        slots = threading.Semaphore(64)
        results = {}

        def done(key):
            def callback(completion, buffer=None):
                results[key] = (completion.get_return_value(), buffer)
                slots.release()

            return callback

        def drain():
            for _ in range(64):
                slots.acquire()
            for _ in range(64):
                slots.release()

        order = list(range(BLOCKS))
        rng.shuffle(order)
        pending = []
        for n in order:
            slots.acquire()
            pending.append(image.aio_write(data[n], n * BLOCK, done(n)))
        slots.acquire()
        pending.append(image.aio_flush(done("flush")))
        drain()
        check(all(code == 0 for code, _ in results.values()), "a write failed")
        check(len(results) == BLOCKS + 1, "callbacks are missing")
        for n in range(0, BLOCKS, 5):
            slots.acquire()
            pending.append(image.aio_discard(n * BLOCK, BLOCK, done(n)))
        drain()
        results.clear()
        for n in order:
            slots.acquire()
            pending.append(image.aio_read(n * BLOCK, BLOCK, done(n)))
        drain()
        # A discard below the minimum granularity may leave the data: librbd's rbd_discard_granularity_bytes.
        zero = bytes(BLOCK)
        for n in order:
            code, buffer = results[n]
            check(code == BLOCK, "read of block %d: %d" % (n, code))
            check(buffer == data[n] or (n % 5 == 0 and buffer == zero), "block %d differs" % n)
print("ok")
