"""Usage: watch_notify.py CONF. A watch on an object, a notification, the answer to it, and the list of watchers.

python3-rados of 16.2 knows no object watches, so this speaks to librados itself.
"""

import ctypes
import subprocess
import sys
import threading

from common import check

lib = ctypes.CDLL("librados.so.2")
p, u64, size, text = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p


def ok(code, what):
    check(code >= 0, "%s: %d" % (what, code))


def connect():
    cluster, ioctx = p(), p()
    ok(lib.rados_create(ctypes.byref(cluster), b"admin"), "create")
    ok(lib.rados_conf_read_file(cluster, sys.argv[1].encode()), "conf")
    ok(lib.rados_connect(cluster), "connect")
    ok(lib.rados_ioctx_create(cluster, b"rbd", ctypes.byref(ioctx)), "ioctx")
    return cluster, ioctx


CALLBACK = ctypes.CFUNCTYPE(None, p, u64, u64, u64, p, size)
ERROR = ctypes.CFUNCTYPE(None, p, u64, ctypes.c_int)
lib.rados_notify_ack.argtypes = [p, text, u64, u64, text, ctypes.c_int]
lib.rados_watch2.argtypes = [p, text, ctypes.POINTER(u64), CALLBACK, ERROR, p]
lib.rados_unwatch2.argtypes = [p, u64]
lib.rados_notify2.argtypes = [p, text, text, ctypes.c_int, u64, ctypes.POINTER(p), ctypes.POINTER(size)]
lib.rados_buffer_free.argtypes = [p]
lib.rados_write_full.argtypes = [p, text, text, size]

watcher_cluster, watcher = connect()
notifier_cluster, notifier = connect()
ok(lib.rados_write_full(watcher, b"thing", b"x", 1), "write")
heard = threading.Event()


@CALLBACK
def on_notify(_arg, notify_id, handle, _notifier, data, length):
    print("notified", ctypes.string_at(data, length), flush=True)
    lib.rados_notify_ack(watcher, b"thing", notify_id, handle, b"heard", 5)
    heard.set()


@ERROR
def on_error(_arg, _handle, code):
    print("watch error", code, flush=True)


def watchers():
    command = ["rados", "-c", sys.argv[1], "-p", "rbd", "listwatchers", "thing"]
    return len(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=30).stdout.split(b"\n")) - 1


handle = u64()
ok(lib.rados_watch2(watcher, b"thing", ctypes.byref(handle), on_notify, on_error, None), "watch")
reply, reply_len = p(), size()
code = lib.rados_notify2(notifier, b"thing", b"hello", 5, 5000, ctypes.byref(reply), ctypes.byref(reply_len))
ok(code, "notify")
check(heard.wait(5), "no notification")
answer = ctypes.string_at(reply, reply_len.value)
# A count, a (client, handle) pair, the length of its answer and the answer: see librados.h, rados_notify2.
check(answer[:4] == b"\x01\0\0\0" and answer[20:24] == b"\x05\0\0\0", answer)
print("acknowledged", answer[24:29])
lib.rados_buffer_free(reply)
print("watchers", watchers(), flush=True)
ok(lib.rados_unwatch2(watcher, handle), "unwatch")
print("watchers", watchers(), flush=True)
for cluster, ioctx in ((watcher_cluster, watcher), (notifier_cluster, notifier)):
    lib.rados_ioctx_destroy(ioctx)
    lib.rados_shutdown(cluster)
