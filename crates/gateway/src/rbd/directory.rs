//! Names, ids and namespaces of a pool (`rbd_directory`, `rbd_id.*`, `rbd_namespace`).

use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::{Encode, Errno, Features};

use super::RBD;
use crate::rados::{IoCtx, ops};

/// `RBD_DIRECTORY`.
pub const DIRECTORY: &[u8] = b"rbd_directory";
/// `RBD_NAMESPACE`.
const NAMESPACES: &[u8] = b"rbd_namespace";
/// Entries that one request asks for.
const PAGE: u64 = 1024;

/// The object that holds the id of a name.
#[must_use]
pub fn id_oid(name: &[u8]) -> Vec<u8> {
    [b"rbd_id.", name].concat()
}

/// The id of an image's name.
///
/// # Errors
/// ENOENT if there is no such image.
pub fn id_of(ioctx: &IoCtx, name: &[u8]) -> Result<Bytes, Errno> {
    ioctx.query(&id_oid(name), RBD, "get_id", b"")
}

/// The name of an image's id.
///
/// # Errors
/// ENOENT if it has none.
pub fn name_of(ioctx: &IoCtx, id: &[u8]) -> Result<Bytes, Errno> {
    let input = ops::arg(&Bytes::copy_from_slice(id));
    ioctx.query(DIRECTORY, RBD, "dir_get_name", &input)
}

/// All images: names and ids.
///
/// # Errors
/// Of reading; no directory is an empty one.
pub fn images(ioctx: &IoCtx) -> Result<BTreeMap<Bytes, Bytes>, Errno> {
    let mut all = BTreeMap::new();
    loop {
        let after = all.keys().next_back().cloned().unwrap_or_default();
        let input = (after, PAGE).to_bytes(Features::ALL);
        let page: BTreeMap<Bytes, Bytes> = match ioctx.query(DIRECTORY, RBD, "dir_list", &input) {
            Err(Errno::ENOENT) => return Ok(all),
            r => r?,
        };
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The namespaces of a pool, but for the default one.
///
/// # Errors
/// Of reading.
pub fn namespaces(pool: &IoCtx) -> Result<Vec<Bytes>, Errno> {
    let pool = pool.clone().with_namespace(Bytes::new());
    let mut all: Vec<Bytes> = Vec::new();
    loop {
        let after = all.last().cloned().unwrap_or_default();
        let input = (after, PAGE).to_bytes(Features::ALL);
        let page: Vec<Bytes> = match pool.query(NAMESPACES, RBD, "namespace_list", &input) {
            Err(Errno::ENOENT) => return Ok(all),
            r => r?,
        };
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
