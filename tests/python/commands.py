"""Sends commands, one after the other, and prints what comes back.

Standard input is a JSON list of `[target, arguments]`, with the target `mon`, `mgr`, `tell mon`, `tell mgr`, `osd.N` or a
placement group. Standard output is a JSON list of `{code, data, status, value}`: the error number, the bytes as text, the line for
the user, and what JSON or XML in the data says. XML is told as objects of lists of elements; a leaf is a string.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree

import rados
import rbd

TIMEOUT = 60


def prepare(cluster):
    """The images that the commands find: one with a snapshot and a clone of it, both in the pool `rbd`."""
    with cluster.open_ioctx("rbd") as ioctx:
        if rbd.RBD().list(ioctx):
            return
        rbd.RBD().create(ioctx, "parent", 8 << 20)
        with rbd.Image(ioctx, "parent") as image:
            image.write(b"x" * 4096, 0)
            image.create_snap("base")
            image.protect_snap("base")
        rbd.RBD().clone(ioctx, "parent", "base", ioctx, "child")


def send(cluster, target, text):
    """The error number, data and status that a target answers."""
    if target in ("mon", "mgr"):
        return getattr(cluster, target + "_command")(text, b"", timeout=TIMEOUT)
    if target == "tell mon":
        return cluster.mon_command(text, b"", timeout=TIMEOUT, target="a")
    if target == "tell mgr":
        return cluster.mgr_command(text, b"", timeout=TIMEOUT, target="x")
    if target.startswith("osd."):
        return cluster.osd_command(int(target[4:]), text, b"", timeout=TIMEOUT)
    return cluster.pg_command(target, text, b"", timeout=TIMEOUT)


def tree(element):
    """An element as an object of its children, or its text if it has none."""
    children = list(element)
    if not children:
        return element.text or ""
    out = {}
    for child in children:
        out.setdefault(child.tag, []).append(tree(child))
    return out


def value(arguments, data):
    """What the data says, where it is JSON or XML."""
    try:
        if arguments.get("format", "").startswith("xml"):
            root = ElementTree.fromstring(data)
            return {root.tag: tree(root)}
        if arguments.get("format", "").startswith("json"):
            return json.loads(data)
    except (ValueError, ElementTree.ParseError):
        pass
    return None


def main():
    answers = []
    with rados.Rados(conffile=sys.argv[1], rados_id="admin") as cluster:
        prepare(cluster)
        for target, arguments in json.load(sys.stdin):
            code, data, status = send(cluster, target, json.dumps(arguments))
            text = data.decode("utf-8", "replace")
            answers.append({
                "code": code, "data": text[:400], "len": len(data), "status": status,
                "value": value(arguments, text),
            })
    json.dump(answers, sys.stdout)


main()
