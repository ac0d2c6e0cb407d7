//! The journal of an image: whether somebody else reads it, and its removal (Ceph `src/librbd/journal/RemoveRequest.cc`,
//! `src/journal/JournalTrimmer.cc`).

use bytes::Bytes;
use encoding::{Encode, Errno, Features, cls::journal::Client};

use crate::rados::IoCtx;

/// Readers that one request asks for (`JOURNAL_MAX_RETURN`).
const PAGE: u64 = 256;

/// Whether anybody but the image's own clients reads the journal, as mirrors do. The own ones are registered without a name
/// (`IMAGE_CLIENT_ID`).
///
/// # Errors
/// Of reading.
pub fn has_other_readers(ioctx: &IoCtx, id: &[u8]) -> Result<bool, Errno> {
    let oid = [b"journal.", id].concat();
    let input = (Bytes::new(), PAGE).to_bytes(Features::ALL);
    let readers: Vec<Client> = match ioctx.query(&oid, "journal", "client_list", &input) {
        Err(Errno::ENOENT) => return Ok(false),
        r => r?,
    };
    Ok(readers.iter().any(|reader| !reader.id.is_empty()))
}

/// Removes the journal of the image of that id; none there is no error.
///
/// # Errors
/// Of reading and removing.
pub fn remove(ioctx: &IoCtx, id: &[u8]) -> Result<(), Errno> {
    let oid = [b"journal.", id].concat();
    let get = |method| ioctx.query::<u64>(&oid, "journal", method, b"");
    let splay: u8 = match ioctx.query(&oid, "journal", "get_splay_width", b"") {
        Err(Errno::ENOENT) => return Ok(()),
        r => r?,
    };
    let (first, last) = (get("get_minimum_set")?, get("get_active_set")?);
    let pool: i64 = ioctx.query(&oid, "journal", "get_pool_id", b"")?;
    let data = match pool {
        ..0 => ioctx.clone(),
        pool => ioctx
            .rados()
            .open_pool_id(pool)?
            .with_namespace(ioctx.nspace().clone()),
    };
    let prefix = format!("journal_data.{}.{}.", ioctx.pool(), String::from_utf8_lossy(id));
    for set in first..=last {
        for n in 0..u64::from(splay) {
            let number = set.saturating_mul(splay.into()).saturating_add(n);
            data.remove_if_any(format!("{prefix}{number}").as_bytes())?;
        }
    }
    ioctx.remove_if_any(&oid)
}
