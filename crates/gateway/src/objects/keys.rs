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

use std::ops::Deref;

use bytes::{BufMut, Bytes, BytesMut};

use super::id::{ObjectId, put_escaped};

/// A key of these parts, in memory of just its size: more would take a second allocation to become [`Bytes`].
fn key_of<const N: usize>(prefix: u8, parts: [&[u8]; N]) -> Bytes {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(1 + len);
    out.push(prefix);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.into()
}

/// A key that needs no memory of its own: of a table, a number of 8 bytes and one of 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortKey([u8; 13]);

impl ShortKey {
    fn new(prefix: u8, first: [u8; 8], second: u32) -> Self {
        let mut key = [prefix; 13];
        key[1..9].copy_from_slice(&first);
        key[9..].copy_from_slice(&second.to_be_bytes());
        Self(key)
    }
}

impl Deref for ShortKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ShortKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<ShortKey> for Bytes {
    fn from(key: ShortKey) -> Self {
        Self::copy_from_slice(&key)
    }
}

/// A key with names that are escaped: how long it gets shows as it is written.
fn escaped(prefix: u8, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(48);
    out.put_u8(prefix);
    body(&mut out);
    out.freeze()
}

/// A key of an image.
fn of_image(prefix: u8, pool: i64, nspace: &[u8], image: &[u8]) -> Bytes {
    escaped(prefix, |out| {
        out.put_i64(pool);
        put_escaped(out, nspace);
        out.put_slice(image);
    })
}

/// The onode of a named object.
#[must_use]
pub fn object(id: &ObjectId) -> Bytes {
    escaped(b'O', |out| id.put_sort_key(out))
}

/// The start of all objects of a pool from a (reversed) hash on.
#[must_use]
pub fn objects_from(pool: i64, reversed_hash: u32) -> Bytes {
    key_of(b'O', [&pool.to_be_bytes(), &reversed_hash.to_be_bytes()])
}

/// One attribute.
#[must_use]
pub fn xattr(onode: u64, name: &[u8]) -> Bytes {
    key_of(b'X', [&onode.to_be_bytes(), name])
}

/// The omap header.
#[must_use]
pub fn omap_header(onode: u64) -> Bytes {
    key_of(b'H', [&onode.to_be_bytes()])
}

/// One omap entry.
#[must_use]
pub fn omap(onode: u64, key: &[u8]) -> Bytes {
    key_of(b'M', [&onode.to_be_bytes(), key])
}

/// The data of a small object.
#[must_use]
pub fn inline_data(onode: u64) -> Bytes {
    key_of(b'D', [&onode.to_be_bytes()])
}

/// Where one block is.
#[must_use]
pub fn block(onode: u64, block: u32) -> Bytes {
    key_of(b'B', [&onode.to_be_bytes(), &block.to_be_bytes()])
}

/// One watch.
#[must_use]
pub fn watch(onode: u64, client: i64, cookie: u64) -> Bytes {
    key_of(
        b'W',
        [&onode.to_be_bytes(), &client.to_be_bytes(), &cookie.to_be_bytes()],
    )
}

/// The range of all rows that an onode has in one table.
#[must_use]
pub fn onode_range(prefix: u8, onode: u64) -> (Bytes, Bytes) {
    (
        key_of(prefix, [&onode.to_be_bytes()]),
        key_of(prefix, [&(onode + 1).to_be_bytes()]),
    )
}

/// All rows of one table.
#[must_use]
pub fn whole_table(prefix: u8) -> (Bytes, Bytes) {
    (key_of(prefix, []), key_of(prefix + 1, []))
}

/// The volume of an image.
#[must_use]
pub fn image_volume(pool: i64, nspace: &[u8], image: &[u8]) -> Bytes {
    of_image(b'V', pool, nspace, image)
}

/// Who created an image.
#[must_use]
pub fn creator(pool: i64, nspace: &[u8], image: &[u8]) -> Bytes {
    of_image(b'U', pool, nspace, image)
}

/// When a placement group was scrubbed.
#[must_use]
pub fn scrub(pool: i64, seed: u32) -> Bytes {
    key_of(b'G', [&pool.to_be_bytes(), &seed.to_be_bytes()])
}

/// A page of data object entries.
#[must_use]
pub fn page(volume: u64, page: u32) -> ShortKey {
    ShortKey::new(b'P', volume.to_be_bytes(), page)
}

/// The onode of a data object that has attributes.
#[must_use]
pub fn extra(volume: u64, object: u64) -> Bytes {
    key_of(b'E', [&volume.to_be_bytes(), &object.to_be_bytes()])
}

/// A page of recorded replies.
#[must_use]
pub fn replies(client: i64, page: u32) -> ShortKey {
    ShortKey::new(b'R', client.to_be_bytes(), page)
}

/// The data of a recorded reply.
#[must_use]
pub fn reply_data(client: i64, tid: u64) -> Bytes {
    key_of(b'Q', [&client.to_be_bytes(), &tid.to_be_bytes()])
}

/// All rows of a client in one of the reply tables.
#[must_use]
pub fn client_range(prefix: u8, client: i64) -> (Bytes, Bytes) {
    (
        key_of(prefix, [&client.to_be_bytes()]),
        key_of(prefix, [&(client + 1).to_be_bytes()]),
    )
}

/// A page of slots.
#[must_use]
pub fn slots(pool: i64, page: u32) -> Bytes {
    key_of(b'S', [&pool.to_be_bytes(), &page.to_be_bytes()])
}

/// One clone of an object.
#[must_use]
pub fn clone(onode: u64, clone: u64) -> Bytes {
    key_of(b'C', [&onode.to_be_bytes(), &(!clone).to_be_bytes()])
}

/// The clone that serves a snapshot of an object.
#[must_use]
pub fn snap(pool: i64, snap: u64, onode: u64) -> Bytes {
    key_of(
        b'I',
        [&pool.to_be_bytes(), &snap.to_be_bytes(), &onode.to_be_bytes()],
    )
}

/// All clones that serve a snapshot.
#[must_use]
pub fn snap_range(pool: i64, snap: u64) -> (Bytes, Bytes) {
    let start = |snap: u64| key_of(b'I', [&pool.to_be_bytes(), &snap.to_be_bytes()]);
    (start(snap), start(snap.saturating_add(1)))
}

/// A counter.
#[must_use]
pub fn counter(name: &str) -> Bytes {
    key_of(b'N', [name.as_bytes()])
}

/// The rows of a pool in the tables that start with the pool id (`O`, `V`, `U`, `S`, `I`).
#[must_use]
pub fn pool_range(prefix: u8, pool: i64) -> (Bytes, Bytes) {
    (
        key_of(prefix, [&pool.to_be_bytes()]),
        key_of(prefix, [&(pool + 1).to_be_bytes()]),
    )
}
