//! What copy-get answers: a piece of an object, and where the next one begins (`object_copy_data_t`,
//! `object_copy_cursor_t` in Ceph `src/osd/osd_types.h`).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
    types::{ReqId, SnapId, Utime},
};

/// `object_copy_cursor_t`: how far a copy has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectCopyCursor {
    /// All attributes were copied.
    pub attr_complete: bool,
    /// Bytes of data copied.
    pub data_offset: u64,
    /// All data was copied.
    pub data_complete: bool,
    /// The last omap key copied.
    pub omap_offset: Bytes,
    /// The whole omap was copied.
    pub omap_complete: bool,
}

impl ObjectCopyCursor {
    /// Whether nothing is left to copy.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.attr_complete && self.data_complete && self.omap_complete
    }
}

impl Decode for ObjectCopyCursor {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "object_copy_cursor_t")?;
        Ok(Self {
            attr_complete: f.bool()?,
            data_offset: f.u64()?,
            data_complete: f.bool()?,
            omap_offset: f.blob()?,
            omap_complete: f.bool()?,
        })
    }
}

impl Encode for ObjectCopyCursor {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_frame(1, 1, |out| {
            out.put_bool(self.attr_complete);
            out.put_u64_le(self.data_offset);
            out.put_bool(self.data_complete);
            out.put_blob(&self.omap_offset);
            out.put_bool(self.omap_complete);
        });
    }
}

/// `object_copy_data_t`: a piece of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCopyData {
    /// Where the next piece begins.
    pub cursor: ObjectCopyCursor,
    /// Bytes of the whole object; `u64::MAX` of one that does not exist.
    pub size: u64,
    /// Time of the last change.
    pub mtime: Utime,
    /// Which checksums are given: 1 data, 2 omap.
    pub flags: u32,
    /// CRC-32C of the whole data.
    pub data_digest: u32,
    /// CRC-32C of the whole omap.
    pub omap_digest: u32,
    /// Attributes, with the first piece.
    pub attrs: BTreeMap<Bytes, Bytes>,
    /// Data of this piece.
    pub data: Bytes,
    /// The omap header, with the first piece of the omap.
    pub omap_header: Bytes,
    /// Omap rows of this piece.
    pub omap: BTreeMap<Bytes, Bytes>,
    /// Of a clone: the snapshots it serves, newest first.
    pub snaps: Vec<SnapId>,
    /// Of a head: the newest snapshot it has seen.
    pub snap_seq: SnapId,
    /// Recent requests that changed the object, with the versions they made.
    pub reqids: Vec<(ReqId, u64)>,
    /// Results of those that failed, by their place in `reqids`.
    pub reqid_return_codes: BTreeMap<u32, i32>,
    /// Order of truncations against writes.
    pub truncate_seq: u64,
    /// The size of that truncation.
    pub truncate_size: u64,
}

impl Default for ObjectCopyData {
    /// Of an object that does not exist.
    fn default() -> Self {
        Self {
            cursor: ObjectCopyCursor::default(),
            size: u64::MAX,
            mtime: Utime::default(),
            flags: 0,
            data_digest: u32::MAX,
            omap_digest: u32::MAX,
            attrs: BTreeMap::new(),
            data: Bytes::new(),
            omap_header: Bytes::new(),
            omap: BTreeMap::new(),
            snaps: Vec::new(),
            snap_seq: 0,
            reqids: Vec::new(),
            reqid_return_codes: BTreeMap::new(),
            truncate_seq: 0,
            truncate_size: 0,
        }
    }
}

impl Decode for ObjectCopyData {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "object_copy_data_t";
        let mut f = r.frame(8, WHAT)?;
        if !f.since(5) {
            return Err(DecodeError::TooOld {
                what: WHAT,
                version: f.version,
            });
        }
        let mut data = Self {
            size: f.u64()?,
            mtime: Utime::decode(&mut f)?,
            attrs: f.map()?,
            data: f.blob()?,
            ..Self::default()
        };
        let omap = f.blob()?;
        if !omap.is_empty() {
            data.omap = Reader::new(&omap).map()?;
        }
        data.cursor = ObjectCopyCursor::decode(&mut f)?;
        data.omap_header = f.blob()?;
        data.snaps = f.vec()?;
        data.snap_seq = f.u64()?;
        data.flags = f.u32()?;
        data.data_digest = f.u32()?;
        data.omap_digest = f.u32()?;
        if f.since(6) {
            data.reqids = f.vec()?;
        }
        if f.since(7) {
            data.truncate_seq = f.u64()?;
            data.truncate_size = f.u64()?;
        }
        if f.since(8) {
            data.reqid_return_codes = f.map()?;
        }
        Ok(data)
    }
}

impl Encode for ObjectCopyData {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(8, 5, |out| {
            out.put_u64_le(self.size);
            self.mtime.encode(out, features);
            out.put_map(&self.attrs, features);
            out.put_blob(&self.data);
            let mut omap = BytesMut::new();
            if !self.omap.is_empty() {
                omap.put_map(&self.omap, features);
            }
            out.put_blob(&omap);
            self.cursor.encode(out, features);
            out.put_blob(&self.omap_header);
            out.put_vec(self.snaps.iter(), features);
            out.put_u64_le(self.snap_seq);
            out.put_u32_le(self.flags);
            out.put_u32_le(self.data_digest);
            out.put_u32_le(self.omap_digest);
            out.put_vec(self.reqids.iter(), features);
            out.put_u64_le(self.truncate_seq);
            out.put_u64_le(self.truncate_size);
            out.put_map(&self.reqid_return_codes, features);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_reads_back_and_every_truncation_of_it_fails() {
        let piece = ObjectCopyData {
            cursor: ObjectCopyCursor {
                attr_complete: true,
                data_offset: 7,
                omap_offset: Bytes::from_static(b"key"),
                ..ObjectCopyCursor::default()
            },
            size: 20,
            attrs: [(Bytes::from_static(b"a"), Bytes::from_static(b"1"))].into(),
            data: Bytes::from_static(b"content"),
            omap: [(Bytes::from_static(b"k"), Bytes::from_static(b"v"))].into(),
            snaps: vec![5, 3],
            reqids: vec![(ReqId::default(), 9)],
            reqid_return_codes: [(0, -2)].into(),
            ..ObjectCopyData::default()
        };
        let raw = piece.to_bytes(Features::ALL);
        assert_eq!(ObjectCopyData::from_bytes(&raw), Ok(piece));
        for cut in 0..raw.len() {
            assert!(ObjectCopyData::from_bytes(&raw.slice(..cut)).is_err(), "{cut}");
        }
    }
}
