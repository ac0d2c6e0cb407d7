"""Usage: hold_open.py CONF IMAGE SECONDS. Holds an image open, hence watched, for that long."""

import sys
import time

import rbd

from common import pool

with pool() as ioctx, rbd.Image(ioctx, sys.argv[2]):
    time.sleep(float(sys.argv[3]))
