"""Usage: provisioned.py CONF COUNT SIZE. Creates the images image-0000, image-0001, ... of SIZE bytes each with the default
features, and prints the prefixes of their objects' names as one JSON list."""

import json
import sys

import rbd

from common import create, pool

with pool() as ioctx:
    prefixes = []
    for i in range(int(sys.argv[2])):
        name = "image-%04d" % i
        create(ioctx, name, int(sys.argv[3]))
        with rbd.Image(ioctx, name, read_only=True) as image:
            prefixes.append(image.stat()["block_name_prefix"])
    print(json.dumps(prefixes))
