"""snapshot_model.py CONF SEED STEPS: random changes of an image and of its snapshots, compared with a model."""

import random
import sys

import common
import rbd

SIZE = 6 << 20
PLACES = 4096  # offsets are multiples of an odd number of bytes


def pattern(rng, length):
    piece = bytes(rng.randrange(256) for _ in range(97))
    return (piece * (length // 97 + 1))[:length]


def run(ioctx, seed, steps):
    rng = random.Random(seed)
    # Small objects, so that some are deleted, made anew and never touched.
    rbd.RBD().create(ioctx, "model", SIZE, order=20, old_format=False)
    head, snaps, counter = bytearray(SIZE), {}, 0
    with rbd.Image(ioctx, "model") as image:
        for step in range(steps):
            kind = rng.choices(
                ["write", "discard", "zeroes", "snap", "remove", "rollback", "resize", "read"],
                [40, 12, 4, 12, 8, 4, 3, 6],
            )[0]
            length = min(rng.choice([512, 4096, 5000, 65536, 100000, 1 << 20]), len(head))
            at = rng.randrange(len(head) - length + 1) if length else 0
            if kind == "write" and length:
                data = pattern(rng, length)
                image.write(data, at)
                head[at:at + length] = data
            elif kind == "discard" and length:
                at, length = at & ~0xffff, (length + 0xffff) & ~0xffff
                length = min(length, len(head) - at)
                image.discard(at, length)
                # Discards are a hint below the granularity, which this range keeps.
                head[at:at + length] = image.read(at, length)
                aligned = length & ~0xffff
                assert not any(head[at:at + aligned]), (seed, step)
            elif kind == "zeroes" and length:
                image.write_zeroes(at, length)
                head[at:at + length] = bytes(length)
            elif kind == "snap":
                counter += 1
                image.create_snap(f"s{counter}")
                snaps[f"s{counter}"] = bytes(head)
            elif kind == "remove" and snaps:
                name = rng.choice(sorted(snaps))
                image.remove_snap(name)
                del snaps[name]
            elif kind == "rollback" and snaps:
                name = rng.choice(sorted(snaps))
                image.rollback_to_snap(name)
                head = bytearray(snaps[name])
            elif kind == "resize":
                size = rng.choice([SIZE, SIZE // 2 + 12345, SIZE // 3, SIZE + (1 << 20)])
                image.resize(size)
                head = head[:size] + bytes(max(0, size - len(head)))
            assert image.read(0, len(head)) == bytes(head), (seed, step, kind, "head")
            if kind in ("rollback", "remove", "resize", "read") or step == steps - 1:
                for name, content in snaps.items():
                    with rbd.Image(ioctx, "model", snapshot=name, read_only=True) as then:
                        assert then.size() == len(content), (seed, step, kind, name)
                        assert then.read(0, len(content)) == content, (seed, step, kind, name)
        for name in list(snaps):
            image.remove_snap(name)
        assert image.read(0, len(head)) == bytes(head), (seed, "at the end")
    rbd.RBD().remove(ioctx, "model")


def main():
    with common.pool() as ioctx:
        run(ioctx, int(sys.argv[2]), int(sys.argv[3]))


main()
