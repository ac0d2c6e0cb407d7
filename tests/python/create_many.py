"""Usage: create_many.py CONF COUNT. Creates the images image-0000, image-0001, ..."""

import sys

import rbd

from common import create, pool

with pool() as ioctx:
    for i in range(int(sys.argv[2])):
        create(ioctx, "image-%04d" % i, 1 << 20, features=rbd.RBD_FEATURE_LAYERING)
