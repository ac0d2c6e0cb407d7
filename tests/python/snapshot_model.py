"""snapshot_model.py CONF SEED STEPS: random operations on images, their snapshots and clones, compared with a model.

Prints `step N` now and then, so that who runs it knows when it is under way, and `ok` at its end.
"""

import random
import sys

import rados
import rbd

SIZE = 1 << 20
MOST_IMAGES = 6
MOST_SNAPS = 5
# Without a cache, so that every operation reaches the server.
OPTIONS = {
    "rbd_cache": "false",
    "rbd_discard_granularity_bytes": "4096",
    "rbd_default_clone_format": "2",
    "rbd_clone_copy_on_read": "false",
}


class Model:
    """An image: what it holds, and what it held at each snapshot."""

    def __init__(self, name, head, parent=None):
        self.name, self.head, self.parent = name, bytearray(head), parent
        self.snaps, self.children = {}, {}
        self.handle = None

    def open(self, ioctx):
        self.handle = rbd.Image(ioctx, self.name)

    def close(self):
        self.handle.close()
        self.handle = None


class Run:
    """A random walk."""

    def __init__(self, ioctx, seed):
        self.ioctx, self.seed, self.rng = ioctx, seed, random.Random(seed)
        self.images, self.counter, self.step = {}, 0, 0
        self.rbd = rbd.RBD()

    def check(self, condition, *what):
        if not condition:
            sys.exit("FAILED: seed %s, step %s: %s" % (self.seed, self.step, what))

    def name(self, kind):
        self.counter += 1
        return "%s-%s-%d" % (kind, self.seed, self.counter)

    def place(self, image):
        """A range within the image."""
        size = len(image.head)
        length = min(self.rng.choice([1, 512, 4096, 5000, 65536, 100000, 300000]), size)
        grain = self.rng.choice([1, 512, 4096, 65536])
        at = self.rng.randrange(size - length + 1) // grain * grain if size else 0
        return at, length

    def bytes(self, length):
        if self.rng.randrange(8) == 0:
            return bytes(length)
        piece = bytes(self.rng.getrandbits(8) for _ in range(97))
        return (piece * (length // 97 + 1))[:length]

    # Operations. Each changes image and model alike.

    def create(self):
        if len(self.images) >= MOST_IMAGES:
            return
        name = self.name("image")
        order = self.rng.choice([14, 16, 18, 20])
        self.rbd.create(self.ioctx, name, SIZE, order=order, old_format=False)
        self.images[name] = Model(name, bytes(SIZE))
        self.images[name].open(self.ioctx)

    def write(self, image):
        at, length = self.place(image)
        data = self.bytes(length)
        if length:
            image.handle.write(data, at)
            image.head[at:at + length] = data

    def discard(self, image):
        at, length = self.place(image)
        if not length:
            return
        image.handle.discard(at, length)
        now, before = image.handle.read(at, length), image.head[at:at + length]
        # A discard is a hint: what it leaves is as it was.
        self.check(all(a in (0, b) for a, b in zip(now, before)), "discard", image.name, at, length)
        image.head[at:at + length] = now

    def zeroes(self, image):
        at, length = self.place(image)
        if length:
            image.handle.write_zeroes(at, length)
            image.head[at:at + length] = bytes(length)

    def read(self, image):
        at, length = self.place(image)
        self.check(image.handle.read(at, length) == image.head[at:at + length], "read", image.name, at, length)

    def read_at_snaps(self, image):
        for name, (content, _) in image.snaps.items():
            with rbd.Image(self.ioctx, image.name, snapshot=name, read_only=True) as then:
                self.check(then.size() == len(content), "size", image.name, name)
                self.check(then.read(0, len(content)) == content, "read at", image.name, name)

    def snap(self, image):
        if len(image.snaps) < MOST_SNAPS:
            name = self.name("snap")
            image.handle.create_snap(name)
            image.snaps[name] = (bytes(image.head), image.parent)

    def remove_snap(self, image):
        free = [name for name in image.snaps if not image.children.get(name)]
        if free:
            name = self.rng.choice(free)
            image.handle.remove_snap(name)
            del image.snaps[name]

    def rollback(self, image):
        if image.snaps:
            name = self.rng.choice(list(image.snaps))
            image.handle.rollback_to_snap(name)
            image.head = bytearray(image.snaps[name][0])

    def resize(self, image):
        size = self.rng.choice([SIZE, SIZE // 2 + 12345, SIZE // 3, SIZE + 70000])
        image.handle.resize(size)
        image.head = image.head[:size] + bytes(max(0, size - len(image.head)))

    def clone(self, image):
        if not image.snaps or len(self.images) >= MOST_IMAGES:
            return
        snap = self.rng.choice(list(image.snaps))
        name = self.name("clone")
        # librbd gives it its parent's stripe unit, which does not fit into smaller objects.
        order = max(self.rng.choice([16, 18, 20]), image.handle.stat()["order"])
        self.rbd.clone(self.ioctx, image.name, snap, self.ioctx, name, order=order)
        child = Model(name, image.snaps[snap][0], (image, snap))
        image.children.setdefault(snap, set()).add(name)
        self.images[name] = child
        child.open(self.ioctx)

    def flatten(self, image):
        # A snapshot keeps the parent of the time when it was made.
        if image.parent and not any(parent for _, parent in image.snaps.values()):
            image.handle.flatten()
            parent, snap = image.parent
            parent.children[snap].discard(image.name)
            image.parent = None

    def remove(self, image):
        if image.snaps or len(self.images) < 3:
            return
        image.close()
        self.rbd.remove(self.ioctx, image.name)
        if image.parent:
            parent, snap = image.parent
            parent.children[snap].discard(image.name)
        del self.images[image.name]

    def sparsify(self, image):
        image.handle.sparsify(4096)

    def reopen(self, image):
        image.close()
        image.open(self.ioctx)

    def whole(self, image):
        self.check(image.handle.size() == len(image.head), "size", image.name)
        self.check(image.handle.read(0, len(image.head)) == image.head, "whole", image.name)

    def run(self, steps):
        kinds = [
            (self.write, 40), (self.discard, 8), (self.zeroes, 6), (self.read, 20), (self.read_at_snaps, 2),
            (self.snap, 6), (self.remove_snap, 4), (self.rollback, 1), (self.resize, 2), (self.clone, 2),
            (self.flatten, 1), (self.remove, 1), (self.sparsify, 0.3), (self.reopen, 1), (self.whole, 3),
        ]
        operations, weights = zip(*kinds)
        self.create()
        for self.step in range(steps):
            if self.rng.randrange(50) == 0:
                self.create()
            image = self.rng.choice(list(self.images.values()))
            self.rng.choices(operations, weights)[0](image)
            if self.step % 100 == 0:
                print("step", self.step, flush=True)
        for image in self.images.values():
            self.whole(image)
            self.read_at_snaps(image)

    def clear(self):
        """Removes everything: children before their parents."""
        for image in list(self.images.values()):
            for name in [n for n in image.snaps if not image.children.get(n)]:
                image.handle.remove_snap(name)
                del image.snaps[name]
        while self.images:
            free = [i for i in self.images.values() if not any(i.children.values())]
            self.check(free, "no image without children")
            for image in free:
                for name in list(image.snaps):
                    image.handle.remove_snap(name)
                image.close()
                self.rbd.remove(self.ioctx, image.name)
                if image.parent:
                    parent, snap = image.parent
                    parent.children[snap].discard(image.name)
                del self.images[image.name]
        self.check(self.rbd.list(self.ioctx) == [], "images are left")


def main():
    cluster = rados.Rados(conffile=sys.argv[1], rados_id="admin", conf=OPTIONS)
    cluster.connect(timeout=20)
    with cluster.open_ioctx("rbd") as ioctx:
        run = Run(ioctx, int(sys.argv[2]))
        run.run(int(sys.argv[3]))
        run.clear()
    cluster.shutdown()
    print("ok")


main()
