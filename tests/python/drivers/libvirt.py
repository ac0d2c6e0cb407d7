"""libvirt's storage pool of type rbd: virsh, a libvirtd of its own, and a secret for cephx (libvirt-daemon-driver-storage-rbd).

Argument: where the monitor listens for msgr v1, as HOST:PORT.
"""

import contextlib
import os
import subprocess
import sys
import time
import uuid

from steps import Steps, expect

STORAGE = "storage:///system"
SECRET = "secret:///system"
MIB = 1 << 20


def key_of(path):
    """The key in a keyring."""
    with open(path) as f:
        return next(line.split("=", 1)[1].strip() for line in f if line.strip().startswith("key"))


def make_room():
    """Memory over all folders that libvirtd writes to, and the user that libvirt-daemon-system would have made. This is a mount
    namespace of its own."""
    for folder in ("/run", "/var/lib/libvirt", "/etc/libvirt", "/var/cache/libvirt", "/var/log/libvirt"):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin\n"), ("group", "libvirt-qemu:x:64055:\n")):
        with open(f"/etc/{name}") as old, open(name, "w") as new:
            new.write(old.read() + line)
        subprocess.run(["mount", "--bind", f"/mnt/work/{name}", f"/etc/{name}"], check=True)


@contextlib.contextmanager
def daemon():
    """libvirtd."""
    make_room()
    with open("libvirtd.conf", "w") as f:
        f.write('auth_unix_rw = "none"\nauth_unix_ro = "none"\nlog_outputs = "2:stderr"\n')
    with open("libvirtd.log", "w") as log:
        server = subprocess.Popen(["libvirtd", "--config", "/mnt/work/libvirtd.conf"], stderr=log, stdout=log)
    try:
        for _ in range(100):
            if subprocess.run(["virsh", "-c", STORAGE, "pool-list"], capture_output=True).returncode == 0:
                break
            if server.poll() is not None:
                break
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait(20)
        with open("libvirtd.log") as log:
            sys.stderr.write(log.read())


def run(uri, *words, fails=False):
    """What virsh prints; where it must fail, its errors."""
    done = subprocess.run(["virsh", "-q", "-c", uri, *words], capture_output=True, text=True, timeout=60)
    sys.stderr.write(f"virsh {' '.join(words)}: {done.returncode}\n{done.stderr}")
    if (done.returncode != 0) != fails:
        raise AssertionError(f"virsh {' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stderr if fails else done.stdout


def virsh(*words, **more):
    return run(STORAGE, *words, **more)


def names():
    return sorted(line.split()[0] for line in virsh("vol-list", "vms").splitlines() if line.strip())


def figures(text):
    """`Name:   value` lines."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def secret():
    made = str(uuid.uuid4())
    with open("secret.xml", "w") as f:
        f.write(f"<secret ephemeral='no' private='no'><uuid>{made}</uuid><usage type='ceph'><name>client.cinder</name></usage></secret>")
    run(SECRET, "secret-define", "secret.xml")
    with open("key", "w") as f:
        f.write(key_of("/etc/ceph/ceph.client.cinder.keyring"))
    run(SECRET, "secret-set-value", made, "--file", "key")
    return made


def pool_xml(name, source, monitor, secret_id):
    host, port = monitor.rsplit(":", 1)
    return (
        f"<pool type='rbd'><name>{name}</name><source><name>{source}</name><host name='{host}' port='{port}'/>"
        f"<auth type='ceph' username='cinder'><secret uuid='{secret_id}'/></auth></source></pool>"
    )


def pools(steps, monitor):
    step = steps.step
    made = None
    with step("secret-define, secret-set-value"):
        made = secret()
    with step("pool-define, pool-start with a wrong pool is refused"):
        with open("wrong.xml", "w") as f:
            f.write(pool_xml("wrong", "nowhere", monitor, made))
        virsh("pool-define", "wrong.xml")
        expect("nowhere" in virsh("pool-start", "wrong", fails=True), True)
        virsh("pool-undefine", "wrong")
    with step("pool-define, pool-start, pool-info"):
        with open("pool.xml", "w") as f:
            f.write(pool_xml("vms", "vms", monitor, made))
        virsh("pool-define", "pool.xml")
        virsh("pool-start", "vms")
        info = figures(virsh("pool-info", "--bytes", "vms"))
        expect(info["State"], "running")
        expect(int(info["Capacity"]) >= int(info["Available"]) > 0, True)


def volumes(steps):
    step = steps.step
    with step("vol-create-as, vol-list, vol-info"):
        virsh("vol-create-as", "vms", "disk", "16M")
        expect(names(), ["disk"])
        expect(int(figures(virsh("vol-info", "--bytes", "disk", "vms"))["Capacity"].split()[0]), 16 * MIB)
        expect(virsh("vol-path", "disk", "vms").strip(), "vms/disk")
    with step("vol-create-as of a name that is there is refused"):
        expect("exists already" in virsh("vol-create-as", "vms", "disk", "16M", fails=True), True)
    with step("vol-resize"):
        virsh("vol-resize", "disk", "32M", "vms")
        expect(int(figures(virsh("vol-info", "--bytes", "disk", "vms"))["Capacity"].split()[0]), 32 * MIB)
    with step("an image of another client's is seen after pool-refresh"):
        conf = ["--id", "cinder", "-c", "/etc/ceph/ceph.conf"]
        with open("data", "wb") as f:
            f.write(b"libvirt".ljust(MIB, b"."))
        subprocess.run(["rbd", *conf, "--no-progress", "import", "data", "vms/other"], check=True)
        virsh("pool-refresh", "vms")
        expect(names(), ["disk", "other"])
    with step("vol-clone"):
        virsh("vol-clone", "other", "copy", "--pool", "vms")
        expect(names(), ["copy", "disk", "other"])
        copied = subprocess.run(["rbd", *conf, "--no-progress", "export", "vms/copy", "-"], check=True, capture_output=True)
        expect(copied.stdout[:7], b"libvirt")
    with step("vol-clone, again of the same volume"):
        virsh("vol-clone", "other", "second", "--pool", "vms")
        snaps = subprocess.run(["rbd", *conf, "snap", "ls", "vms/other"], check=True, capture_output=True, text=True)
        expect(len(snaps.stdout.splitlines()), 2)
    with step("vol-wipe"):
        virsh("vol-wipe", "disk", "vms")
    with step("vol-delete with snapshots"):
        for name in ("copy", "second", "disk"):
            virsh("vol-delete", name, "vms")
        virsh("vol-delete", "other", "vms", "--delete-snapshots")
        expect(names(), [])
    with step("pool-destroy, pool-undefine"):
        virsh("pool-destroy", "vms")
        virsh("pool-undefine", "vms")
        expect("vms" in virsh("pool-list", "--all"), False)


def main():
    steps = Steps()
    with daemon():
        pools(steps, sys.argv[1])
        volumes(steps)
    steps.report()


if __name__ == "__main__":
    sys.exit(main())
