"""A client that has an image open learns of another client's resize by the notification on its header."""

import time

import rbd

from common import check, create, pool

with pool() as first, pool() as second:
    create(first, "disk", 8 << 20)
    with rbd.Image(first, "disk") as one, rbd.Image(second, "disk") as two:
        one.write(b"x" * 4096, 0)  # one is the lock's owner: two's resize is a request to it
        two.resize(32 << 20)
        end = time.time() + 5
        while one.size() != 32 << 20 and time.time() < end:
            time.sleep(0.02)
        check(one.size() == 32 << 20, "the owner sees size %d" % one.size())
        check(two.size() == 32 << 20, "the requester sees size %d" % two.size())
        one.write(b"y" * 4096, (32 << 20) - 4096)
        one.flush()
        check(two.read((32 << 20) - 4096, 4096) == b"y" * 4096, "the new end does not hold data")
print("ok")
