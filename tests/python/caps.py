"""Does what users with given capabilities try to do, and prints how each attempt ended.

Standard input is a JSON list of `[capabilities by service, operations]`; standard output a JSON list of lists of `yes`, `EPERM`,
`EACCES`, or `silence` for what gets no answer. What fails for another reason was allowed.

Operations: `osd VERB POOL/NAMESPACE/OBJECT [CLASS METHOD]`, `mon WORDS... [KEY=VALUE]...`, `mgr ...` and `tell osd.0 ...` alike.
"""

import errno
import json
import sys

import rados

NAMES = {errno.EPERM: "EPERM", errno.EACCES: "EACCES", errno.ETIMEDOUT: "silence"}


def outcome(code):
    return NAMES.get(abs(code), "yes")


def vector(ioctx, name, steps):
    with rados.WriteOpCtx() as op:
        for step in steps:
            step(op)
        ioctx.operate_write_op(op, name)


def omap_get(ioctx, name):
    with rados.ReadOpCtx() as op:
        # The values must be held: the operation writes into them.
        values, _ = ioctx.get_omap_vals(op, "", "", 10)
        ioctx.operate_read_op(op, name)
        list(values)


def omap_set(ioctx, name):
    with rados.WriteOpCtx() as op:
        ioctx.set_omap(op, ("k",), (b"v",))
        ioctx.operate_write_op(op, name)


def watch(ioctx, name):
    ioctx.watch(name, lambda *_: None).close()


OSD = {
    "read": lambda i, o, _: i.read(o, 16),
    "stat": lambda i, o, _: i.stat(o),
    "write": lambda i, o, _: i.write_full(o, b"data"),
    "append": lambda i, o, _: i.append(o, b"data"),
    "getxattr": lambda i, o, _: i.get_xattr(o, "name"),
    "setxattr": lambda i, o, _: i.set_xattr(o, "name", b"value"),
    "omap-get": lambda i, o, _: omap_get(i, o),
    "omap-set": lambda i, o, _: omap_set(i, o),
    "list": lambda i, o, _: [x.key for x in i.list_objects()],
    "watch": lambda i, o, _: watch(i, o),
    "notify": lambda i, o, _: i.notify(o, timeout_ms=1000),
    "call": lambda i, o, w: i.execute(o, w[0], w[1], b""),
    "write+call": lambda i, o, w: vector(i, o, [lambda op: op.write_full(b"data"), lambda op: op.execute(w[0], w[1], b"")]),
    "snap-create": lambda i, o, _: i.remove_self_managed_snap(i.create_self_managed_snap()),
}


def osd(cluster, verb, place, *words):
    pool, namespace, name = place.split("/", 2)
    with cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(namespace)
        OSD[verb](ioctx, name, words)


def command(words):
    prefix = [w for w in words if "=" not in w]
    arguments = dict(w.split("=", 1) for w in words if "=" in w)
    return json.dumps({"prefix": " ".join(prefix), **arguments})


def attempt(cluster, operation):
    words = operation.split(" ")
    try:
        if words[0] == "osd":
            osd(cluster, *words[1:])
            return "yes"
        if words[0] == "tell" and not words[1].startswith("osd."):
            kind, name = words[1].split(".")
            send = {"mon": cluster.mon_command, "mgr": cluster.mgr_command}[kind]
            return outcome(send(command(words[2:]), b"", timeout=10, target=name)[0])
        if words[0] == "tell":
            return outcome(cluster.osd_command(0, command(words[2:]), b"", timeout=10)[0])
        send = {"mon": cluster.mon_command, "mgr": cluster.mgr_command}[words[0]]
        return outcome(send(command(words[1:]), b"", timeout=10)[0])
    except rados.Error as error:
        return outcome(error.errno or 0)


def as_user(conf, name, key, operations):
    options = {"key": key, "client_mount_timeout": "3", "rados_osd_op_timeout": "10"}
    cluster = rados.Rados(conffile=conf, name="client." + name, conf=options)
    try:
        cluster.connect()
    except rados.Error as error:
        return ["no connection: " + outcome(error.errno or 0)] * len(operations)
    try:
        return [attempt(cluster, operation) for operation in operations]
    finally:
        cluster.shutdown()


def prepare(admin):
    """Pools p1 (for rbd, with a key of its application) and p2, each with objects in three namespaces."""
    for pool in ("p1", "p2"):
        admin.mon_command(json.dumps({"prefix": "osd pool create", "pool": pool, "pg_num": 1}), b"")
    enable = {"prefix": "osd pool application enable", "pool": "p1", "app": "rbd"}
    admin.mon_command(json.dumps(enable), b"")
    admin.mon_command(json.dumps({**enable, "prefix": "osd pool application set", "key": "k", "value": "v"}), b"")
    for pool in ("p1", "p2"):
        with admin.open_ioctx(pool) as ioctx:
            for namespace in ("", "ns", "ns2"):
                ioctx.set_namespace(namespace)
                for name in ("o", "rbd_children", "rbd_info", "prefix.one"):
                    ioctx.write_full(name, b"data")
                    ioctx.set_xattr(name, "name", b"value")


def main():
    conf, answers = sys.argv[1], []
    with rados.Rados(conffile=conf, rados_id="admin") as admin:
        prepare(admin)
        for number, (caps, operations) in enumerate(json.load(sys.stdin)):
            name = "t%d" % number
            flat = [word for pair in caps.items() for word in pair]
            made = {"prefix": "auth get-or-create", "entity": "client." + name, "caps": flat, "format": "json"}
            code, data, status = admin.mon_command(json.dumps(made), b"")
            if code:
                answers.append(["caps refused: %d" % code] * len(operations))
                continue
            key = json.loads(data)[0]["key"]
            answers.append(as_user(conf, name, key, operations))
            admin.mon_command(json.dumps({"prefix": "auth rm", "entity": "client." + name}), b"")
    json.dump(answers, sys.stdout)


main()
