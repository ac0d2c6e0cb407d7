"""glance_store's rbd Store, as Glance uses it for images (python3-glance-store)."""

import hashlib
import io
import sys

import rados
import rbd
from glance_store import exceptions, location
from glance_store._drivers import rbd as driver
from oslo_config import cfg

from steps import Steps, expect

MIB = 1 << 20
IMAGE = "f1a7c0de-0000-4000-8000-000000000001"
UNSIZED = "f1a7c0de-0000-4000-8000-000000000002"
CLONED = "f1a7c0de-0000-4000-8000-000000000003"
MISSING = "f1a7c0de-0000-4000-8000-000000000004"


def made_store():
    conf = cfg.ConfigOpts()
    conf.register_opts(driver._RBD_OPTS, group="glance_store")
    conf.register_opts([cfg.ListOpt("stores", default=["rbd"]), cfg.StrOpt("default_store", default="rbd")], group="glance_store")
    conf([], default_config_files=[])
    for name, value in {
        "rbd_store_pool": "images",
        "rbd_store_user": "glance",
        "rbd_store_ceph_conf": "/etc/ceph/ceph.conf",
        "rbd_store_chunk_size": 4,
    }.items():
        conf.set_override(name, value, "glance_store")
    store = driver.Store(conf)
    store.configure()
    return store, conf


def main():
    steps = Steps()
    step = steps.step
    store, conf = made_store()
    data = b"".join(bytes([n]) * MIB for n in range(9)) + b"tail"
    uri = None

    def place(uri):
        return location.Location("rbd", driver.StoreLocation, conf, uri=uri)

    with step("add"):
        uri, size, checksum, multihash, _ = store.add(IMAGE, io.BytesIO(data), len(data), "sha512")
        expect(size, len(data))
        expect(checksum, hashlib.md5(data).hexdigest())
        expect(multihash, hashlib.sha512(data).hexdigest())
        expect(uri.rsplit("/", 3)[1:], ["images", IMAGE, "snap"])
    with step("the image's snapshot is protected"):
        with rados.Rados(conffile="/etc/ceph/ceph.conf", rados_id="glance") as client:
            with client.open_ioctx("images") as ioctx, rbd.Image(ioctx, IMAGE, read_only=True) as image:
                expect(image.is_protected_snap("snap"), True)
    with step("add of an image that is there is refused"):
        try:
            store.add(IMAGE, io.BytesIO(data), len(data), "sha512")
        except exceptions.Duplicate:
            pass
        else:
            raise AssertionError("it was added twice")
    with step("add of an image of unknown size"):
        _, size, checksum, _, _ = store.add(UNSIZED, io.BytesIO(data), 0, "sha512")
        expect((size, checksum), (len(data), hashlib.md5(data).hexdigest()))
    with step("get, get_size"):
        expect(store.get_size(place(uri)), len(data))
        chunks, size = store.get(place(uri))
        expect((size, b"".join(chunks)), (len(data), data))
    with step("get of an image that is not there"):
        try:
            store.get(place(uri.replace(IMAGE, MISSING)))
        except exceptions.NotFound:
            pass
        else:
            raise AssertionError("it was found")
    with step("delete of an image with a clone: it stays, or goes to the trash"):
        with rados.Rados(conffile="/etc/ceph/ceph.conf", rados_id="glance") as client:
            with client.open_ioctx("images") as ioctx:
                cloned, *_ = store.add(CLONED, io.BytesIO(data), len(data), "sha512")
                rbd.RBD().clone(ioctx, CLONED, "snap", ioctx, "clone", features=rbd.RBD_FEATURE_LAYERING)
                try:
                    store.delete(place(cloned))
                except exceptions.InUseByStore:
                    expect(CLONED in rbd.RBD().list(ioctx), True)
                else:
                    expect(CLONED in [entry["name"] for entry in rbd.RBD().trash_list(ioctx)], True)
                with rbd.Image(ioctx, "clone", read_only=True) as image:
                    expect(image.read(0, 1), data[:1])
                rbd.RBD().remove(ioctx, "clone")
    with step("delete"):
        store.delete(place(uri))
        try:
            store.get_size(place(uri))
        except exceptions.NotFound:
            pass
        else:
            raise AssertionError("it is still there")
    with step("delete of an image that is not there"):
        try:
            store.delete(place(uri))
        except exceptions.NotFound:
            pass
        else:
            raise AssertionError("it was there")
    steps.report()


if __name__ == "__main__":
    sys.exit(main())
