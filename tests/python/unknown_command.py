"""Sends a command that nobody knows to the monitor and to the manager; prints what they answer."""

import json
import sys

import rados

with rados.Rados(conffile=sys.argv[1], rados_id="admin") as cluster:
    command = json.dumps({"prefix": "frobnicate the bits"})
    for name, send in (("mon", cluster.mon_command), ("mgr", cluster.mgr_command)):
        code, _, text = send(command, b"", timeout=10)
        print(name, code, "with a text" if text else "without a text", flush=True)
