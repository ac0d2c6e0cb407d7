"""Registers a daemon of a service, as tcmu-runner does, tells its state, and waits until its standard input ends."""

import sys

import rados

with rados.Rados(conffile=sys.argv[1], rados_id="admin") as cluster:
    cluster.service_daemon_register("tcmu-runner", "host:rbd/disk", {"hostname": "host"})
    cluster.service_daemon_update({"lock_owner": "true"})
    print("registered", flush=True)
    sys.stdin.read()
