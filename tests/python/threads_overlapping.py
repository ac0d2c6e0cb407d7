"""Threads write overlapping ranges. Ops on one object run one at a time, so each object must look as if all the
writes to it had been done in one order: where a write shows, all others that cover the place came before it."""

import random
import sys
import threading

import rbd

from common import check, create, pool

SECTOR = 512
OBJECT = 1 << 20
SIZE = 4 * OBJECT
THREADS = 6
WRITES = 60
failures = []


def stamp(number):
    return number.to_bytes(4, "little") * (SECTOR // 4)


def worker(image, thread, spans):
    rng = random.Random(thread)
    try:
        for i in range(WRITES):
            number = 1 + thread * WRITES + i
            length = rng.randrange(1, 256)
            first = rng.randrange(SIZE // SECTOR - length)
            spans[number] = (first, first + length)
            image.write(stamp(number) * length, first * SECTOR)
    except BaseException as error:
        failures.append(error)


def check_order(content, spans, lo, hi):
    """No cycle among "a came before b" for the writes to the sectors lo..hi of one object."""
    before = {number: set() for number in spans}
    for sector in range(lo, hi):
        data = content[sector * SECTOR : (sector + 1) * SECTOR]
        shown = int.from_bytes(data[:4], "little")
        check(data == stamp(shown), "sector %d is torn" % sector)
        covering = {n for n, (first, last) in spans.items() if first <= sector < last}
        if not covering:
            check(shown == 0, "sector %d was never written but shows %d" % (sector, shown))
            continue
        check(shown in covering, "sector %d shows %d, which did not write it" % (sector, shown))
        before[shown] |= covering - {shown}
    done = set()
    left = set(before)
    while left:
        ready = {n for n in left if before[n] <= done}
        check(ready, "the writes to sectors %d..%d are in no order" % (lo, hi))
        done |= ready
        left -= ready


def run(image_of_thread):
    spans = {}
    threads = [threading.Thread(target=worker, args=(image_of_thread(n), n, spans)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, failures)
    return spans


two = len(sys.argv) > 2
with pool() as ioctx, pool() as other:
    # Without a cache and, for two clients, without the lock that would make them take turns.
    features = rbd.RBD_FEATURE_LAYERING if two else None
    create(ioctx, "disk", SIZE, order=20, features=features)
    with rbd.Image(ioctx, "disk") as one, rbd.Image(other if two else ioctx, "disk", read_only=not two) as second:
        spans = run(lambda n: second if two and n % 2 else one)
        one.flush()
        if two:
            second.flush()
    with rbd.Image(ioctx, "disk", read_only=True) as image:
        content = image.read(0, SIZE)
per_object = OBJECT // SECTOR
for lo in range(0, SIZE // SECTOR, per_object):
    check_order(content, spans, lo, lo + per_object)
print("ok")
