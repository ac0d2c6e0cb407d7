"""What the scripts share: a connection to the cluster whose ceph.conf is the first argument."""

import contextlib
import sys

import rados
import rbd


@contextlib.contextmanager
def pool(conf=None, name="rbd"):
    """An I/O context of a new client, closed at the end."""
    cluster = rados.Rados(conffile=conf or sys.argv[1], rados_id="admin")
    cluster.connect(timeout=20)
    try:
        with cluster.open_ioctx(name) as ioctx:
            yield ioctx
    finally:
        cluster.shutdown()


def create(ioctx, name, size, **options):
    """A new image with the default features."""
    rbd.RBD().create(ioctx, name, size, **options)


def check(condition, message):
    """Ends the script with exit code 1 if the condition does not hold."""
    if not condition:
        sys.exit("FAILED: %s" % (message,))
