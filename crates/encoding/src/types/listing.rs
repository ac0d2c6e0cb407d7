//! Answers to listings: objects of a PG, and watchers of an object (Ceph `src/osd/osd_types.h`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
    types::{EntityAddr, EntityName, Hobject},
};

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ListEntry {
    /// Namespace.
    pub nspace: Bytes,
    /// Name.
    pub oid: Bytes,
    /// Placement key; empty if the name is it.
    pub locator: Bytes,
}

impl Decode for ListEntry {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            nspace: r.blob()?,
            oid: r.blob()?,
            locator: r.blob()?,
        })
    }
}

impl Encode for ListEntry {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_blob(&self.nspace);
        out.put_blob(&self.oid);
        out.put_blob(&self.locator);
    }
}

/// `pg_nls_response_t`: the answer to pgnls, over all namespaces or one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PgNlsResponse {
    /// Where to go on; [`Hobject::MAX`] at the end.
    pub handle: Hobject,
    /// Objects.
    pub entries: Vec<ListEntry>,
}

impl Decode for PgNlsResponse {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "pg_nls_response_t")?;
        Ok(Self {
            handle: Hobject::decode(&mut f)?,
            entries: f.vec()?,
        })
    }
}

impl Encode for PgNlsResponse {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| {
            self.handle.encode(out, features);
            out.put_vec(self.entries.iter(), features);
        });
    }
}

/// `pg_ls_response_t`: the answer to pgls of old clients, in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PgLsResponse {
    /// Where to go on; [`Hobject::MAX`] at the end.
    pub handle: Hobject,
    /// Names and placement keys.
    pub entries: Vec<(Bytes, Bytes)>,
}

impl Decode for PgLsResponse {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        match r.u8()? {
            1 => Ok(Self {
                handle: Hobject::decode(r)?,
                entries: r.vec()?,
            }),
            v => Err(DecodeError::Invalid {
                what: "pg_ls_response_t version",
                value: v.into(),
            }),
        }
    }
}

impl Encode for PgLsResponse {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_u8(1);
        self.handle.encode(out, features);
        out.put_vec(self.entries.iter(), features);
    }
}

/// `watch_item_t`: a watcher.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchItem {
    /// Who watches.
    pub name: EntityName,
    /// The client's id of the watch.
    pub cookie: u64,
    /// Seconds without a sign of life after which it ends.
    pub timeout_seconds: u32,
    /// Where from: what is blocklisted to break a lock.
    pub addr: EntityAddr,
}

impl Decode for WatchItem {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "watch_item_t")?;
        Ok(Self {
            name: EntityName::decode(&mut f)?,
            cookie: f.u64()?,
            timeout_seconds: f.u32()?,
            addr: if f.since(2) {
                EntityAddr::decode(&mut f)?
            } else {
                EntityAddr::default()
            },
        })
    }
}

impl Encode for WatchItem {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 1, |out| {
            self.name.encode(out, features);
            out.put_u64_le(self.cookie);
            out.put_u32_le(self.timeout_seconds);
            self.addr.encode(out, features);
        });
    }
}

/// `obj_list_watch_response_t`: the answer to list-watchers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListWatchersResponse {
    /// Watchers.
    pub entries: Vec<WatchItem>,
}

impl Decode for ListWatchersResponse {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "obj_list_watch_response_t")?;
        Ok(Self { entries: f.vec()? })
    }
}

impl Encode for ListWatchersResponse {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| out.put_vec(self.entries.iter(), features));
    }
}
