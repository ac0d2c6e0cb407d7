"""snapshot_cost.py CONF SNAPSHOTS SECONDS: what snapshots of an image cost. Prints one JSON object.

Two images of 64 MiB, both written in full: one without snapshots, one that gets SNAPSHOTS of them, with a write
after each. Then random reads and writes of 4 KiB go to one and the other in turn.
"""

import json
import random
import statistics
import sys
import time

import rados
import rbd

SIZE = 64 << 20
ROUNDS = 7
BLOCK = 4096


def timed(action, *args):
    begun = time.perf_counter()
    action(*args)
    return (time.perf_counter() - begun) * 1000


def rate(image, write, seconds, rng):
    """Operations a second, one after the other."""
    data, count, begun = b"r" * BLOCK, 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        at = rng.randrange(SIZE // BLOCK) * BLOCK
        if write:
            image.write(data, at)
        else:
            image.read(at, BLOCK)
        count += 1
    return count / (time.perf_counter() - begun)


def ratio(plain, snapped, write, seconds, rng):
    """Medians over rounds in turn, and the median of the rounds' ratios."""
    rows = []
    for n in range(ROUNDS):
        pair = [None, None]
        for which in (0, 1) if n % 2 else (1, 0):
            pair[which] = rate((plain, snapped)[which], write, seconds, rng)
        rows.append(pair)
    return {
        "plain": statistics.median(p for p, _ in rows),
        "snapped": statistics.median(s for _, s in rows),
        "ratio": statistics.median(s / p for p, s in rows),
    }


def main():
    count, seconds = int(sys.argv[2]), float(sys.argv[3])
    rng = random.Random(1)
    cluster = rados.Rados(conffile=sys.argv[1], rados_id="admin", conf={"rbd_cache": "false"})
    cluster.connect(timeout=20)
    ioctx = cluster.open_ioctx("rbd")
    for name in ("plain", "snapped"):
        rbd.RBD().create(ioctx, name, SIZE)
        with rbd.Image(ioctx, name) as image:
            for at in range(0, SIZE, 4 << 20):
                image.write(b"x" * (4 << 20), at)
    with rbd.Image(ioctx, "plain") as plain, rbd.Image(ioctx, "snapped") as snapped:
        snapped.write(b"y" * BLOCK, 0)  # takes the exclusive lock
        create = []
        for n in range(count):
            create.append(timed(snapped.create_snap, "s%d" % n))
            snapped.write(b"z" * BLOCK, rng.randrange(SIZE // BLOCK) * BLOCK)
        result = {
            "read": ratio(plain, snapped, False, seconds, rng),
            # All blocks of both are touched once before: what is preserved is preserved.
            "write": ratio(plain, snapped, True, seconds, rng),
        }
        remove = [timed(snapped.remove_snap, "s%d" % n) for n in range(count)]
    few = min(20, count)
    result["create_first_ms"] = statistics.median(create[:few])
    result["create_last_ms"] = statistics.median(create[-few:])
    result["remove_first_ms"] = statistics.median(remove[:few])
    result["remove_last_ms"] = statistics.median(remove[-few:])
    ioctx.close()
    cluster.shutdown()
    print(json.dumps(result))


main()
