"""Nova's rbd_utils.RBDDriver, as nova-compute uses it for instances' disks (python3-nova)."""

import sys

import eventlet

eventlet.monkey_patch()

import rbd
from nova import conf
from nova.storage import rbd_utils

from steps import Steps, expect

MIB = 1 << 20
CONF = conf.CONF


def main():
    CONF([], project="nova", default_config_files=[])
    CONF.set_override("rbd_destroy_volume_retry_interval", 1, "libvirt")
    # Where rbd_utils could import rbd at its own import, it must not try again.
    driver = rbd_utils.RBDDriver(pool="vms", user="cinder", ceph_conf="/etc/ceph/ceph.conf", connect_timeout=10)
    steps = Steps()
    step = steps.step
    with open("base.raw", "wb") as f:
        f.write(b"boot" + bytes(3 * MIB) + b"end.".rjust(MIB, b"."))
    size = 4 * MIB + 4
    with step("get_fsid, get_mon_addrs"):
        fsid = driver.get_fsid()
        hosts, ports = driver.get_mon_addrs()
        expect((len(fsid), hosts), (36, ["127.0.0.1"]))
        expect(len(ports), 1)
    with step("get_pool_info"):
        info = driver.get_pool_info()
        expect(sorted(info), ["free", "total", "used"])
        expect(0 < info["free"] <= info["total"], True)
    with step("import_image"):
        driver.import_image("base.raw", "one_disk")
        expect(driver.size("one_disk"), size)
        expect(driver.exists("one_disk"), True)
        expect(driver.exists("nothing"), False)
    with step("resize"):
        driver.resize("one_disk", 8 * MIB)
        expect(driver.size("one_disk"), 8 * MIB)
    with step("create_snap, protected"):
        driver.create_snap("one_disk", "snap", protect=True)
        expect(driver.exists("one_disk", snapshot="snap"), True)
    url = f"rbd://{fsid}/vms/one_disk/snap"
    with step("is_cloneable"):
        expect(driver.is_cloneable({"url": url}, {"disk_format": "raw"}), True)
        expect(driver.is_cloneable({"url": url}, {"disk_format": "qcow2"}), False)
        other = url.replace(fsid, "00000000-0000-0000-0000-000000000000")
        expect(driver.is_cloneable({"url": other}, {"disk_format": "raw"}), False)
    with step("clone, parent_info"):
        driver.clone({"url": url}, "two_disk", dest_pool="vms")
        expect(tuple(driver.parent_info("two_disk")), ("vms", "one_disk", "snap"))
    with step("flatten"):
        driver.flatten("two_disk")
        try:
            driver.parent_info("two_disk")
        except Exception as e:
            expect(type(e).__name__, "ImageUnacceptable")
        else:
            raise AssertionError("a flattened image has a parent")
    with step("rollback_to_snap"):
        with rbd_utils.RBDVolumeProxy(driver, "one_disk") as image:
            image.write(b"BOOT", 0)
        driver.rollback_to_snap("one_disk", "snap")
        with rbd_utils.RBDVolumeProxy(driver, "one_disk", read_only=True) as image:
            expect(image.read(0, 4), b"boot")
    with step("export_image"):
        driver.export_image("exported.raw", "one_disk", "snap")
        with open("exported.raw", "rb") as exported, open("base.raw", "rb") as base:
            expect(exported.read(size), base.read())
    with step("clone of an image of Glance's, whose pool the user may only read"):
        driver.clone({"url": f"rbd://{fsid}/images/base/snap"}, "three_disk", dest_pool="vms")
        expect(tuple(driver.parent_info("three_disk")), ("images", "base", "snap"))
    with step("remove_snap of a protected snapshot is refused without force"):
        driver.remove_snap("one_disk", "snap")
        expect(driver.exists("one_disk", snapshot="snap"), True)
    with step("remove_image with snapshots leaves the image"):
        driver.remove_image("one_disk")
        expect(driver.exists("one_disk"), True)
    with step("remove_snap, forced"):
        driver.remove_snap("one_disk", "snap", force=True)
        expect(driver.exists("one_disk", snapshot="snap"), False)
    with step("destroy_volume of an image in use is given up"):
        with rbd_utils.RBDVolumeProxy(driver, "two_disk") as image:
            image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
            CONF.set_override("rbd_destroy_volume_retries", 1, "libvirt")
            try:
                driver.destroy_volume("two_disk", pool="vms")
            except rbd.ImageBusy:
                pass
        expect(driver.exists("two_disk"), True)
    with step("cleanup_volumes"):
        CONF.set_override("rbd_destroy_volume_retries", 12, "libvirt")
        driver.cleanup_volumes(lambda name: name.endswith("_disk"))
        expect([n for n in ("one_disk", "two_disk", "three_disk") if driver.exists(n)], [])
    steps.report()


if __name__ == "__main__":
    sys.exit(main())
