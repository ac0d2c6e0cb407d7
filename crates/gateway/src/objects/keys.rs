//! The layout of metadata keys. Each table has a one-byte prefix; numbers in keys are big-endian so that they
//! sort by value.
//!
//! | table | key | value |
//! |---|---|---|
//! | `O` | object sort key | [`Onode`](super::onode::Onode) |
//! | `X` | onode, attribute name | attribute value |
//! | `H` | onode | omap header |
//! | `M` | onode, omap key | omap value |
//! | `D` | onode | the data of a small object |
//! | `B` | onode, block number | slot number; of clones [`Kept`](super::kept::Kept) |
//! | `W` | onode, client, cookie | watch |
//! | `V` | pool, namespace, image id | object size of the image's volume |
//! | `U` | pool, namespace, image id | who created the image |
//! | `P` | volume, page number | entries of 1024 data objects |
//! | `E` | volume, object number | onode of a data object that has attributes |
//! | `R` | client, page number | recorded replies |
//! | `Q` | client, tid | recorded reply data |
//! | `S` | pool, page number | which slots are taken |
//! | `C` | onode, clone id (inverted: newest first) | [`CloneRecord`](super::clones::CloneRecord) |
//! | `I` | pool, snapshot, onode | clone id, object sort key: the clone that serves the snapshot |
//! | `G` | pool, placement group | [`ScrubRecord`](super::scrub_records::ScrubRecord) |
//! | `N` | counter name | counter |
//!
//! A clone has an onode number of its own, and rows of the tables `X`, `H`, `M`, `D` and `B` under it; its blocks
//! are those that have units which differ from the next newer clone's.

use bytes::{BufMut, Bytes, BytesMut};

use super::id::{ObjectId, put_escaped};

fn table(prefix: u8, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    sized(prefix, 47, body)
}

/// A key whose body is so many bytes long, for tables that each request looks at: memory of just that size needs no second allocation to
/// become [`Bytes`].
fn sized(prefix: u8, len: usize, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + len);
    out.put_u8(prefix);
    body(&mut out);
    out.freeze()
}

/// The onode of a named object.
#[must_use]
pub fn object(id: &ObjectId) -> Bytes {
    table(b'O', |out| id.put_sort_key(out))
}

/// The start of all objects of a pool from a (reversed) hash on.
#[must_use]
pub fn objects_from(pool: i64, reversed_hash: u32) -> Bytes {
    table(b'O', |out| {
        out.put_i64(pool);
        out.put_u32(reversed_hash);
    })
}

/// One attribute.
#[must_use]
pub fn xattr(onode: u64, name: &[u8]) -> Bytes {
    table(b'X', |out| {
        out.put_u64(onode);
        out.put_slice(name);
    })
}

/// The omap header.
#[must_use]
pub fn omap_header(onode: u64) -> Bytes {
    table(b'H', |out| out.put_u64(onode))
}

/// One omap entry.
#[must_use]
pub fn omap(onode: u64, key: &[u8]) -> Bytes {
    table(b'M', |out| {
        out.put_u64(onode);
        out.put_slice(key);
    })
}

/// The data of a small object.
#[must_use]
pub fn inline_data(onode: u64) -> Bytes {
    table(b'D', |out| out.put_u64(onode))
}

/// Where one block is.
#[must_use]
pub fn block(onode: u64, block: u32) -> Bytes {
    sized(b'B', 12, |out| {
        out.put_u64(onode);
        out.put_u32(block);
    })
}

/// One watch.
#[must_use]
pub fn watch(onode: u64, client: i64, cookie: u64) -> Bytes {
    table(b'W', |out| {
        out.put_u64(onode);
        out.put_i64(client);
        out.put_u64(cookie);
    })
}

/// The range of all rows that an onode has in one table.
#[must_use]
pub fn onode_range(prefix: u8, onode: u64) -> (Bytes, Bytes) {
    (
        table(prefix, |out| out.put_u64(onode)),
        table(prefix, |out| out.put_u64(onode + 1)),
    )
}

/// All rows of one table.
#[must_use]
pub fn whole_table(prefix: u8) -> (Bytes, Bytes) {
    (table(prefix, |_| ()), table(prefix + 1, |_| ()))
}

/// The volume of an image.
#[must_use]
pub fn image_volume(pool: i64, nspace: &[u8], image: &[u8]) -> Bytes {
    table(b'V', |out| {
        out.put_i64(pool);
        put_escaped(out, nspace);
        out.put_slice(image);
    })
}

/// Who created an image.
#[must_use]
pub fn creator(pool: i64, nspace: &[u8], image: &[u8]) -> Bytes {
    table(b'U', |out| {
        out.put_i64(pool);
        put_escaped(out, nspace);
        out.put_slice(image);
    })
}

/// When a placement group was scrubbed.
#[must_use]
pub fn scrub(pool: i64, seed: u32) -> Bytes {
    table(b'G', |out| {
        out.put_i64(pool);
        out.put_u32(seed);
    })
}

/// A page of data object entries.
#[must_use]
pub fn page(volume: u64, page: u32) -> Bytes {
    sized(b'P', 12, |out| {
        out.put_u64(volume);
        out.put_u32(page);
    })
}

/// The onode of a data object that has attributes.
#[must_use]
pub fn extra(volume: u64, object: u64) -> Bytes {
    sized(b'E', 16, |out| {
        out.put_u64(volume);
        out.put_u64(object);
    })
}

/// A page of recorded replies.
#[must_use]
pub fn replies(client: i64, page: u32) -> Bytes {
    sized(b'R', 12, |out| {
        out.put_i64(client);
        out.put_u32(page);
    })
}

/// The data of a recorded reply.
#[must_use]
pub fn reply_data(client: i64, tid: u64) -> Bytes {
    sized(b'Q', 16, |out| {
        out.put_i64(client);
        out.put_u64(tid);
    })
}

/// All rows of a client in one of the reply tables.
#[must_use]
pub fn client_range(prefix: u8, client: i64) -> (Bytes, Bytes) {
    (
        table(prefix, |out| out.put_i64(client)),
        table(prefix, |out| out.put_i64(client + 1)),
    )
}

/// A page of slots.
#[must_use]
pub fn slots(pool: i64, page: u32) -> Bytes {
    table(b'S', |out| {
        out.put_i64(pool);
        out.put_u32(page);
    })
}

/// One clone of an object.
#[must_use]
pub fn clone(onode: u64, clone: u64) -> Bytes {
    table(b'C', |out| {
        out.put_u64(onode);
        out.put_u64(!clone);
    })
}

/// The clone that serves a snapshot of an object.
#[must_use]
pub fn snap(pool: i64, snap: u64, onode: u64) -> Bytes {
    table(b'I', |out| {
        out.put_i64(pool);
        out.put_u64(snap);
        out.put_u64(onode);
    })
}

/// All clones that serve a snapshot.
#[must_use]
pub fn snap_range(pool: i64, snap: u64) -> (Bytes, Bytes) {
    let start = |snap: u64| {
        table(b'I', |out| {
            out.put_i64(pool);
            out.put_u64(snap);
        })
    };
    (start(snap), start(snap.saturating_add(1)))
}

/// A counter.
#[must_use]
pub fn counter(name: &str) -> Bytes {
    table(b'N', |out| out.put_slice(name.as_bytes()))
}

/// The rows of a pool in the tables that start with the pool id (`O`, `V`, `U`, `S`, `I`).
#[must_use]
pub fn pool_range(prefix: u8, pool: i64) -> (Bytes, Bytes) {
    (
        table(prefix, |out| out.put_i64(pool)),
        table(prefix, |out| out.put_i64(pool + 1)),
    )
}
