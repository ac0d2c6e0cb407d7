"""Writes objects into the pool `rbd` until one is refused for the pool's quota; prints how it was refused.

A client waits when a pool is full unless it says that it would rather be told.
"""

import errno
import sys
import time

import rados

from common import check, pool

with pool() as ioctx:
    ioctx.set_osdmap_full_try()
    end = time.time() + 60
    number = 0
    while time.time() < end:
        try:
            ioctx.write_full("object-%d" % number, b"x" * 4096)
        except rados.Error as error:
            check(abs(error.errno) == errno.EDQUOT, error)
            print("EDQUOT", flush=True)
            break
        number += 1
        time.sleep(0.2)
    else:
        sys.exit("FAILED: %d objects were written" % number)
    # Removing makes room.
    for n in range(number):
        ioctx.remove_object("object-%d" % n)
