"""rbd_compare_and_write and rbd_writesame (OSD ops cmpext and writesame), which python3-rbd does not have."""

import ctypes
import errno
import sys

from common import check

rados = ctypes.CDLL("librados.so.2")
rbd = ctypes.CDLL("librbd.so.1")
p, u64, size, text = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p
rbd.rbd_create2.argtypes = [p, text, u64, u64, ctypes.POINTER(ctypes.c_int)]
rbd.rbd_compare_and_write.argtypes = [p, u64, size, text, text, ctypes.POINTER(u64), ctypes.c_int]
rbd.rbd_compare_and_write.restype = ctypes.c_ssize_t
rbd.rbd_writesame.argtypes = [p, u64, size, text, size, ctypes.c_int]
rbd.rbd_writesame.restype = ctypes.c_ssize_t
rbd.rbd_write.argtypes = [p, u64, size, text]
rbd.rbd_write.restype = ctypes.c_ssize_t
rbd.rbd_read.argtypes = [p, u64, size, text]
rbd.rbd_read.restype = ctypes.c_ssize_t


def ok(code, what):
    check(code >= 0, "%s: %d" % (what, code))


cluster, ioctx, image = p(), p(), p()
ok(rados.rados_create(ctypes.byref(cluster), b"admin"), "create")
ok(rados.rados_conf_read_file(cluster, sys.argv[1].encode()), "conf")
ok(rados.rados_connect(cluster), "connect")
ok(rados.rados_ioctx_create(cluster, b"rbd", ctypes.byref(ioctx)), "ioctx")
order = ctypes.c_int(22)
ok(rbd.rbd_create2(ioctx, b"disk", 16 << 20, 61, ctypes.byref(order)), "rbd_create2")
ok(rbd.rbd_open(ioctx, b"disk", ctypes.byref(image), None), "rbd_open")


def read(offset, length):
    buffer = ctypes.create_string_buffer(length)
    ok(rbd.rbd_read(image, offset, length, buffer), "read")
    return buffer.raw


a, b, c = (letter * 512 for letter in (b"a", b"b", b"c"))
mismatch = u64()
ok(rbd.rbd_write(image, 4096, 512, a), "write")
code = rbd.rbd_compare_and_write(image, 4096, 512, a, b, ctypes.byref(mismatch), 0)
check(code == 512, "compare_and_write of equal data: %d" % code)
check(read(4096, 512) == b, "the new data is not there")
wrong = b"b" * 100 + b"x" * 412
code = rbd.rbd_compare_and_write(image, 4096, 512, wrong, c, ctypes.byref(mismatch), 0)
check(code == -errno.EILSEQ, "compare_and_write of other data: %d" % code)
check(mismatch.value == 100, "mismatch at %d" % mismatch.value)
check(read(4096, 512) == b, "a failed comparison wrote")
# Nothing there yet compares as zeroes.
code = rbd.rbd_compare_and_write(image, 8 << 20, 512, bytes(512), c, ctypes.byref(mismatch), 0)
check(code == 512 and read(8 << 20, 512) == c, "compare_and_write where nothing was: %d" % code)

pattern = bytes(range(256)) * 2
ok(rbd.rbd_writesame(image, 1 << 20, 1 << 20, pattern, 512, 0), "writesame")
check(read(1 << 20, 1 << 20) == pattern * 2048, "writesame wrote something else")
check(read((2 << 20), 512) == bytes(512), "writesame wrote too far")
ok(rbd.rbd_close(image), "close")
rados.rados_ioctx_destroy(ioctx)
rados.rados_shutdown(cluster)
print("ok")
