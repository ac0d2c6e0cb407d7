//! The journal of an image: who reads it, its removal, and what is written to it (Ceph `src/journal`, `src/librbd/journal`).

mod entries;
mod operation;
mod recorder;
mod sets;

use std::time::Duration;

use bytes::Bytes;
use encoding::{Encode, Errno, Features, cls::journal::Client};

pub(super) use operation::Operation;

use crate::rados::IoCtx;

/// Class `journal`.
const JOURNAL: &str = "journal";
/// The image's own clients, among those who read the journal (`IMAGE_CLIENT_ID`).
const OWN: Bytes = Bytes::new();
/// Readers that one request asks for (`JOURNAL_MAX_RETURN`).
const PAGE: u64 = 256;
/// How long readers are waited for that are told of a change.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(5);

/// A journal: its header, and where its entries are. They are spread over the objects of a set, one after the other, until one is
/// full; then the next set follows.
struct Journal {
    ioctx: IoCtx,
    /// The header object.
    oid: Vec<u8>,
    data: IoCtx,
    prefix: String,
    /// Objects of a set.
    splay_width: u64,
    /// An object is full from this size on, in bytes.
    soft_max_size: u64,
}

impl Journal {
    /// The journal of the image of that id; `None` if there is none.
    fn open(ioctx: &IoCtx, id: &[u8]) -> Result<Option<Self>, Errno> {
        let oid = [b"journal.", id].concat();
        let splay_width: u8 = match ioctx.query(&oid, JOURNAL, "get_splay_width", b"") {
            Err(Errno::ENOENT) => return Ok(None),
            r => r?,
        };
        let order: u8 = ioctx.query(&oid, JOURNAL, "get_order", b"")?;
        let pool: i64 = ioctx.query(&oid, JOURNAL, "get_pool_id", b"")?;
        let data = match pool {
            ..0 => ioctx.clone(),
            pool => ioctx
                .rados()
                .open_pool_id(pool)?
                .with_namespace(ioctx.nspace().clone()),
        };
        Ok(Some(Self {
            prefix: format!("journal_data.{}.{}.", ioctx.pool(), String::from_utf8_lossy(id)),
            ioctx: ioctx.clone(),
            oid,
            data,
            splay_width: u64::from(splay_width).max(1),
            soft_max_size: 1_u64.checked_shl(order.into()).ok_or(Errno::EBADMSG)?,
        }))
    }

    fn get(&self, method: &str) -> Result<u64, Errno> {
        self.ioctx.query(&self.oid, JOURNAL, method, b"")
    }

    fn exec(&self, method: &str, input: &[u8]) -> Result<(), Errno> {
        self.ioctx.exec(&self.oid, JOURNAL, method, input)
    }

    /// An object of the set that has it.
    fn object(&self, number: u64) -> Vec<u8> {
        format!("{}{number}", self.prefix).into_bytes()
    }

    /// The numbers of a set's objects.
    fn objects_of(&self, set: u64) -> impl Iterator<Item = u64> + use<> {
        let (first, count) = (set.saturating_mul(self.splay_width), self.splay_width);
        (0..count).map(move |n| first.saturating_add(n))
    }

    /// The image's own registration.
    fn own_client(&self) -> Result<Client, Errno> {
        let input = OWN.to_bytes(Features::ALL);
        self.ioctx.query(&self.oid, JOURNAL, "get_client", &input)
    }

    /// Tells readers that the header has changed. They look by themselves now and then: that nobody heard is no error.
    fn notify(&self) {
        if let Err(error) = self.ioctx.notify(&self.oid, b"", NOTIFY_TIMEOUT) {
            tracing::debug!(%error, "nobody was told of a change of a journal");
        }
    }
}

/// Whether anybody but the image's own clients reads the journal, as mirrors do. The own ones are registered without a name.
///
/// # Errors
/// Of reading.
pub(super) fn has_other_readers(ioctx: &IoCtx, id: &[u8]) -> Result<bool, Errno> {
    let oid = [b"journal.", id].concat();
    let input = (Bytes::new(), PAGE).to_bytes(Features::ALL);
    let readers: Vec<Client> = match ioctx.query(&oid, JOURNAL, "client_list", &input) {
        Err(Errno::ENOENT) => return Ok(false),
        r => r?,
    };
    Ok(readers.iter().any(|reader| reader.id != OWN))
}

/// Removes the journal of the image of that id; none there is no error (`src/librbd/journal/RemoveRequest.cc`,
/// `src/journal/JournalTrimmer.cc`).
///
/// # Errors
/// Of reading and removing.
pub(super) fn remove(ioctx: &IoCtx, id: &[u8]) -> Result<(), Errno> {
    let Some(journal) = Journal::open(ioctx, id)? else {
        return Ok(());
    };
    let mut sets = journal.sets_from(journal.get("get_minimum_set")?)?;
    while let Some(set) = sets.next() {
        for number in journal.objects_of(set) {
            if journal.data.remove_if_any(&journal.object(number))? {
                sets.has_some();
            }
        }
    }
    ioctx.remove_if_any(&journal.oid)?;
    Ok(())
}
