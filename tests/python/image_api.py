"""One image by way of its object: sizes, bounds, metadata, flags, listing, removal."""

import rbd

from common import check, create, pool

with pool() as ioctx:
    create(ioctx, "disk", (10 << 20) + 1000)
    check(rbd.RBD().list(ioctx) == ["disk"], "list")
    with rbd.Image(ioctx, "disk") as image:
        stat = image.stat()
        check(stat["size"] == (10 << 20) + 1000 and stat["num_objs"] == 3, stat)
        check(image.features() == 61 and image.flags() == 0, (image.features(), image.flags()))
        check(image.id() and stat["block_name_prefix"] == "rbd_data." + image.id(), stat)
        check(image.create_timestamp().year >= 2020, image.create_timestamp())
        # Unwritten bytes are zero, up to the very end and not beyond.
        check(image.read(10 << 20, 1000) == bytes(1000), "unwritten bytes")
        check(image.write(b"end", (10 << 20) + 997) == 3, "write at the end")
        for offset, data in (((10 << 20) + 998, b"end"), (1 << 40, b"x")):
            try:
                image.write(data, offset)
                check(False, "write beyond the end")
            except (rbd.IncompleteWriteError, rbd.InvalidArgument):
                pass
        # A write over two object boundaries.
        data = bytes(range(256)) * (5 << 12)
        check(image.write(data, (4 << 20) - 777) == len(data), "large write")
        check(image.read((4 << 20) - 777, len(data)) == data, "large read")
        image.metadata_set("key", "value")
        check(image.metadata_get("key") == "value", "metadata")
        check(list(image.metadata_list()) == [("key", "value")], "metadata_list")
        image.metadata_remove("key")
        check(list(image.metadata_list()) == [], "metadata_remove")
        check(list(image.list_snaps()) == [], "snapshots")
        spans = []
        image.diff_iterate(0, image.size(), None, lambda o, l, exists: spans.append((o, l, exists)))
        check(all(exists for _, _, exists in spans), spans)
        check(any(o <= 4 << 20 < o + l for o, l, _ in spans), spans)
        check(image.size() == (10 << 20) + 1000, "size")
    rbd.RBD().rename(ioctx, "disk", "other")
    rbd.RBD().remove(ioctx, "other")
    check(rbd.RBD().list(ioctx) == [], "list after remove")
    try:
        rbd.Image(ioctx, "other")
        check(False, "a removed image opens")
    except rbd.ImageNotFound:
        pass
print("ok")
