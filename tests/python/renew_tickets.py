"""Usage: renew_tickets.py CONF SECONDS. Writes and reads an object every half a second, for that long; nothing may
fail or take more than a few seconds, whatever happens to the service keys meanwhile."""

import sys
import time

from common import check, pool

end = time.monotonic() + float(sys.argv[2])
n = 0
with pool() as ioctx:
    while time.monotonic() < end:
        began = time.monotonic()
        data = b"%d" % n
        ioctx.write_full("renewed", data)
        check(ioctx.read("renewed") == data, "round %d" % n)
        check(time.monotonic() - began < 20, "round %d took long" % n)
        n += 1
        time.sleep(0.5)
print("ok")
