"""Opens many sessions at once, each with one command to the monitor, one to the manager and one write; prints the slowest.

A session's time is from when it begins until its last answer; all of them share this process, so what is measured is the server's
work and the two processors' sharing of it, not the start of hundreds of interpreters. Arguments: ceph.conf, how many.
"""

import json
import sys
import threading
import time

import rados

conf, count = sys.argv[1], int(sys.argv[2])
ready = threading.Barrier(count)
slowest, failures = [], []


def session(number):
    ready.wait()
    begin = time.monotonic()
    try:
        with rados.Rados(conffile=conf, rados_id="admin") as cluster:
            for send, prefix in ((cluster.mon_command, "status"), (cluster.mgr_command, "pg dump")):
                code, data, text = send(json.dumps({"prefix": prefix, "format": "json"}), b"", timeout=60)
                if code or not json.loads(data):
                    failures.append("%d %s: %d %s" % (number, prefix, code, text))
            with cluster.open_ioctx("rbd") as ioctx:
                ioctx.write_full("object-%d" % number, b"x" * 4096)
    except Exception as error:  # Whatever it is, it is told.
        failures.append("%d: %s" % (number, error))
    slowest.append(time.monotonic() - begin)


threading.stack_size(256 << 10)
threads = [threading.Thread(target=session, args=(n,)) for n in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failures:
    sys.exit("FAILED: %d of %d: %s" % (len(failures), count, failures[:5]))
print(json.dumps({"slowest": max(slowest), "median": sorted(slowest)[count // 2]}))
