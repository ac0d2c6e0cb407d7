"""Usage: exclusive_lock.py CONF pass|keep. Two clients and one image with the exclusive lock."""

import sys
import threading

import rbd

from common import check, create, pool


def pass_on(one, two):
    """A writer takes the lock over from one that does not write at the moment; both see all data."""
    for turn in range(8):
        writer, reader = (one, two) if turn % 2 == 0 else (two, one)
        data = bytes([65 + turn]) * 4096
        check(writer.write(data, turn * 4096) == 4096, "short write")
        check(writer.is_exclusive_lock_owner(), "the writer of turn %d is not the owner" % turn)
        check(not reader.is_exclusive_lock_owner(), "two owners in turn %d" % turn)
        writer.flush()
        check(reader.read(turn * 4096, 4096) == data, "turn %d reads old data" % turn)
    owners = list(one.lock_get_owners())
    check(len(owners) == 1, owners)
    # Both write at the same time: the lock goes to and fro.
    failures = []

    def hammer(image, base):
        try:
            for i in range(30):
                image.write(base.to_bytes(4, "little") * 1024, (base + i) * 4096)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=hammer, args=pair) for pair in ((one, 100), (two, 200))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, failures)
    one.flush()
    two.flush()
    for base in (100, 200):
        expected = base.to_bytes(4, "little") * 1024 * 30
        check(one.read(base * 4096, 30 * 4096) == expected, "blocks %d differ" % base)
        check(two.read(base * 4096, 30 * 4096) == expected, "blocks %d differ" % base)


def keep(one, two):
    """A lock taken by lock_acquire is not given away by itself."""
    one.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    check(one.is_exclusive_lock_owner(), "no owner after lock_acquire")
    try:
        two.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
        check(False, "two owners")
    except (rbd.ReadOnlyImage, rbd.ImageBusy, rbd.OSError):
        pass
    owners = list(two.lock_get_owners())
    check(len(owners) == 1 and owners[0]["mode"] == rbd.RBD_LOCK_MODE_EXCLUSIVE, owners)
    one.lock_release()
    check(list(two.lock_get_owners()) == [], "an owner after lock_release")
    two.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    check(two.is_exclusive_lock_owner(), "the released lock cannot be taken")
    two.lock_release()


with pool() as first, pool() as second:
    create(first, "disk", 64 << 20)
    with rbd.Image(first, "disk") as one, rbd.Image(second, "disk") as two:
        (pass_on if sys.argv[2] == "pass" else keep)(one, two)
print("ok")
