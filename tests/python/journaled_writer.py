"""Usage: journaled_writer.py CONF IMAGE. Writes each block of 8 KiB of an image once, in an order of chance, many at a time, and prints
the number of each that was acknowledged. A block is full of its number. With a journal an acknowledged write may be there alone, until
whoever comes next has replayed it."""

import random
import sys

import rbd

from common import pool

BLOCK = 8 << 10
AT_ONCE = 64


with pool() as ioctx, rbd.Image(ioctx, sys.argv[2]) as image:
    order = list(range(image.size() // BLOCK))
    random.Random(7).shuffle(order)
    for first in range(0, len(order), AT_ONCE):
        pending = []
        for block in order[first : first + AT_ONCE]:

            def acknowledged(completion, block=block):
                if completion.get_return_value() == 0:
                    print(block, flush=True)

            data = block.to_bytes(4, "little") * (BLOCK // 4)
            pending.append(image.aio_write(block * BLOCK, data, acknowledged))
        for completion in pending:
            completion.wait_for_complete_and_cb()
