"""Ops on objects of an erasure-coded pool: prints what each of them answers.

Arguments: ceph.conf, and the pool. testdata/erasure_ops.txt is what Ceph 16.2.15 answered, with three OSDs and a pool of
k=2 m=1, without and with allow_ec_overwrites.
"""

import sys

import rados

from common import pool

STRIPE = 8192
CALLS = [
    ("hello", "say_hello", b"x"),
    ("hello", "record_hello", b"x"),
    ("hello", "replay", b""),
    ("rbd", "create", b""),
    ("rbd", "dir_list", b"\0\0\0\0\x01\0\0\0\0\0\0\0"),
    ("rbd", "get_id", b""),
    ("rbd", "set_id", b"\3\0\0\0abc"),
    ("rbd", "snapshot_get_limit", b""),
    ("rbd", "copyup", b"abc"),
    ("rbd", "sparsify", b"\0\x10\0\0\0\0\0\0\1"),
    ("version", "read", b""),
    ("numops", "add", b"\1\0\0\0k\1\0\0\0002"),
    ("rbd", "object_map_load", b""),
    ("rbd", "namespace_add", b"\1\0\0\0a"),
    ("rbd", "mirror_mode_get", b""),
    ("rbd", "group_dir_list", b"\0\0\0\0\1\0\0\0\0\0\0\0"),
    ("journal", "get_order", b""),
]


class Script:
    def __init__(self, ioctx):
        self.ioctx = ioctx

    def show(self, name, call):
        try:
            answer = call()
        except rados.Error as error:
            answer = "error %d" % error.errno
        print(name, answer, sep=": ", flush=True)

    def write_op(self, name, oid, fill):
        def run():
            with rados.WriteOpCtx() as op:
                fill(op)
                self.ioctx.operate_write_op(op, oid)

        self.show(name, run)

    def rows(self, oid):
        with rados.ReadOpCtx() as op:
            rows, _ = self.ioctx.get_omap_vals(op, "", "", 10)
            self.ioctx.operate_read_op(op, oid)
            return list(rows)

    def data(self):
        io, show = self.ioctx, self.show
        show("alignment", io.alignment)
        show("write a part of a stripe", lambda: io.write("a", b"x" * 100, 0))
        show("write in a stripe", lambda: io.write("a", b"x" * 100, 100))
        show("append in a stripe", lambda: io.append("a", b"x" * 100))
        show("write all", lambda: io.write_full("a", b"x" * STRIPE))
        show("append a stripe", lambda: io.append("a", b"y" * STRIPE))
        show("overwrite a stripe", lambda: io.write("a", b"x" * STRIPE, 0))
        show("write at the end", lambda: io.write("a", b"x" * STRIPE, 2 * STRIPE))
        show("write behind the end", lambda: io.write("a", b"x" * STRIPE, 5 * STRIPE))
        show("make by a write at a stripe", lambda: io.write("new", b"x" * STRIPE, STRIPE))
        # The numbers are equal because python3-rados of 16.2.15 exchanges them.
        self.write_op("zero", "a", lambda op: op.zero(4096, 4096))
        self.write_op("zero to the end", "a", lambda op: op.zero(2 * STRIPE, 2 * STRIPE))
        self.write_op("zero behind the end", "a", lambda op: op.zero(20 * STRIPE, 20 * STRIPE))
        self.write_op("zero what is not there", "no", lambda op: op.zero(4096, 4096))
        show("truncate", lambda: io.trunc("a", 5))
        show("truncate what is not there", lambda: io.trunc("no", 5))
        show("size", lambda: io.stat("a")[0])
        show("read", lambda: len(io.read("a", 1 << 20)))
        show("write the same", lambda: io.writesame("same", b"ab", STRIPE, 0))
        show("write the same in a stripe", lambda: io.writesame("same", b"ab", 20, 10))
        self.write_op("truncate in a vector", "a", lambda op: op.truncate(0))
        self.write_op("create", "made", lambda op: op.new(rados.LIBRADOS_CREATE_EXCLUSIVE))

    def omap(self):
        io = self.ioctx
        for oid in ["a", "no"]:
            self.write_op("omap set " + oid, oid, lambda op: io.set_omap(op, ("k",), (b"v",)))
            self.write_op("omap remove " + oid, oid, lambda op: io.remove_omap_keys(op, ("k",)))
            self.write_op("omap remove range " + oid, oid, lambda op: io.remove_omap_range2(op, "a", "z"))
            self.write_op("omap clear " + oid, oid, io.clear_omap)
            self.show("omap list " + oid, lambda: self.rows(oid))

    def classes(self):
        for name, method, given in CALLS:
            for oid in ["a", "called"]:
                call = lambda: self.ioctx.execute(oid, name, method, given)
                self.show("%s.%s %s" % (name, method, oid), call)

    def rest(self):
        io, show = self.ioctx, self.show
        show("set an attribute", lambda: io.set_xattr("a", "k", b"v"))
        show("get an attribute", lambda: io.get_xattr("a", "k"))
        show("lock", lambda: io.lock_exclusive("locked", "name", "cookie"))
        show("unlock", lambda: io.unlock("locked", "name", "cookie"))
        snap = io.create_self_managed_snap()
        io.set_self_managed_snap_write([snap])
        show("write all after a snapshot", lambda: io.write_full("a", b"n" * STRIPE))
        show("append after a snapshot", lambda: io.append("a", b"n" * STRIPE))
        show("size", lambda: io.stat("a")[0])
        show("roll back", lambda: io.rollback_self_managed_snap("a", snap))
        show("size after it", lambda: io.stat("a")[0])
        show("remove", lambda: io.remove_object("a"))
        show("remove what is not there", lambda: io.remove_object("no"))
        show("list", lambda: sorted(found.key for found in io.list_objects()))
        io.set_self_managed_snap_write([])
        io.remove_self_managed_snap(snap)


with pool(name=sys.argv[2]) as ioctx:
    script = Script(ioctx)
    script.data()
    script.omap()
    script.classes()
    script.rest()
