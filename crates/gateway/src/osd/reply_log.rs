//! Recorded replies of mutations: a request that is sent again is answered, not run again, also when the
//! server was restarted in between.
//!
//! A client's replies stand in rings of pages, 32 bytes each, at the place its transaction id gives them. A
//! reply is written by the very transaction that it answers. Librados has at most 1024 requests in flight
//! (`objecter_inflight_ops`), a ring holds four times that.

use bytes::{Buf, BufMut, Bytes};
use encoding::types::{Eversion, ReqId};
use store::{Store, StoreError, Transaction};

use crate::objects::keys;

const ENTRY: usize = 32;
const PAGE: u64 = 256;
const PAGES: u64 = 16;
/// Set beside the epoch: there is a row of data.
const HAS_DATA: u32 = 1 << 31;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// The version that the mutation made.
    pub version: Eversion,
    /// The object's version after it.
    pub user_version: u64,
    /// The result.
    pub result: i32,
    /// Results and output of the single ops, where the client asked for them (`RETURNVEC`).
    pub ops: Option<Bytes>,
}

fn place(tid: u64) -> (u32, u64) {
    let page = (tid / PAGE % PAGES) as u32;
    (page, tid % PAGE * ENTRY as u64)
}

/// Adds the record of a reply to the transaction it answers.
pub(super) fn record(tx: &mut Transaction, request: &ReqId, reply: &Recorded) {
    let client = request.name.num;
    let (page, at) = place(request.tid);
    let mut entry = [0; ENTRY];
    let mut out = &mut entry[..];
    out.put_u64_le(request.tid);
    out.put_u64_le(reply.version.version);
    out.put_u64_le(reply.user_version);
    out.put_u32_le(reply.version.epoch | if reply.ops.is_some() { HAS_DATA } else { 0 });
    out.put_i32_le(reply.result);
    tx.patch(keys::replies(client, page), at, entry);
    if let Some(ops) = &reply.ops {
        tx.put(keys::reply_data(client, request.tid), ops.clone());
    }
}

/// The recorded reply of a request, if it was carried out.
///
/// # Errors
/// If the store fails.
pub(super) fn find(store: &Store, request: &ReqId) -> Result<Option<Recorded>, StoreError> {
    let client = request.name.num;
    let (page, at) = place(request.tid);
    let Some(page) = store.get(&keys::replies(client, page))? else {
        return Ok(None);
    };
    let Some(mut raw) = page.get(at as usize..at as usize + ENTRY) else {
        return Ok(None);
    };
    let tid = raw.get_u64_le();
    if tid != request.tid || tid == 0 {
        return Ok(None);
    }
    let version = raw.get_u64_le();
    let user_version = raw.get_u64_le();
    let epoch = raw.get_u32_le();
    let result = raw.get_i32_le();
    let ops = match epoch & HAS_DATA {
        0 => None,
        _ => store.get(&keys::reply_data(client, tid))?,
    };
    let version = Eversion {
        version,
        epoch: epoch & !HAS_DATA,
    };
    Ok(Some(Recorded {
        version,
        user_version,
        result,
        ops,
    }))
}

/// The clients of which replies are recorded.
///
/// # Errors
/// If the store fails.
pub(super) fn clients(store: &Store) -> Result<Vec<i64>, StoreError> {
    let (mut from, to) = keys::whole_table(b'R');
    let mut found = Vec::new();
    loop {
        let rows = store.scan(&from..&to, 1)?;
        let Some((key, _)) = rows.first() else {
            return Ok(found);
        };
        let client = key
            .get(1..9)
            .and_then(|b| b.try_into().ok())
            .map_or(0, i64::from_be_bytes);
        found.push(client);
        from = keys::client_range(b'R', client).1;
    }
}

/// Removes what is recorded of a client that will not come back.
///
/// # Errors
/// If the store fails.
pub(super) fn forget(store: &Store, client: i64) -> Result<(), StoreError> {
    let mut tx = Transaction::new();
    for table in [b'R', b'Q'] {
        let (from, to) = keys::client_range(table, client);
        tx.delete_range(from, to);
    }
    store.submit(tx)?;
    Ok(())
}
