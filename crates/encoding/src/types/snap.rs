//! Snapshots of objects: `SnapContext`, `SnapSet`, `clone_info` (Ceph `src/common/snap_types.h`,
//! `src/osd/osd_types.h`, `src/include/rados/rados_types.hpp`).

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
};

/// `snapid_t`: a snapshot's number.
pub type SnapId = u64;

/// `CEPH_NOSNAP`: the head of an object, not a snapshot.
pub const NOSNAP: SnapId = u64::MAX - 1;
/// `CEPH_SNAPDIR`: all snapshots of an object at once (list-snaps).
pub const SNAPDIR: SnapId = u64::MAX;

/// `CEPH_MAXSNAP`: the largest number that a snapshot may have.
pub const MAXSNAP: SnapId = u64::MAX - 2;

/// `interval_set<uint64_t>` as ranges of offset and length, in bytes, ascending and disjoint.
pub type Extents = Vec<(u64, u64)>;

/// The snapshots that exist, as a writer sees them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapContext {
    /// The newest snapshot the writer knows of.
    pub seq: SnapId,
    /// Existing snapshots, newest first.
    pub snaps: Vec<SnapId>,
}

impl SnapContext {
    /// Whether the snapshots descend strictly, none is newer than `seq`, and that is a snapshot's number; others are
    /// refused with -EINVAL.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let mut bound = self.seq.saturating_add(1);
        let descend = self.snaps.iter().all(|&s| {
            let below = s < bound;
            bound = s;
            below
        });
        descend && self.seq <= MAXSNAP
    }
}

impl Decode for SnapContext {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            seq: r.u64()?,
            snaps: r.vec()?,
        })
    }
}

impl Encode for SnapContext {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_u64_le(self.seq);
        out.put_vec(self.snaps.iter(), features);
    }
}

/// What an object's head knows of its clones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapSet {
    /// The newest snapshot the object has seen.
    pub seq: SnapId,
    /// Legacy list of snapshots, newest first; written by releases before Tentacle.
    pub snaps: Vec<SnapId>,
    /// Clones, oldest first.
    pub clones: Vec<SnapId>,
    /// For each clone, what it shares with the next newer one (or the head).
    pub clone_overlap: BTreeMap<SnapId, Extents>,
    /// For each clone, its size in bytes.
    pub clone_size: BTreeMap<SnapId, u64>,
    /// For each clone, the snapshots it serves, newest first.
    pub clone_snaps: BTreeMap<SnapId, Vec<SnapId>>,
}

impl Decode for SnapSet {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "SnapSet";
        let mut f = r.frame(3, WHAT)?;
        if !f.since(2) {
            return Err(DecodeError::TooOld {
                what: WHAT,
                version: f.version,
            });
        }
        let seq = f.u64()?;
        f.skip(1, "SnapSet head_exists")?;
        Ok(Self {
            seq,
            snaps: f.vec()?,
            clones: f.vec()?,
            clone_overlap: f.map()?,
            clone_size: f.map()?,
            clone_snaps: if f.since(3) { f.map()? } else { BTreeMap::new() },
        })
    }
}

impl Encode for SnapSet {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(3, 2, |out| {
            out.put_u64_le(self.seq);
            out.put_bool(true); // head_exists, always so since Luminous
            out.put_vec(self.snaps.iter(), features);
            out.put_vec(self.clones.iter(), features);
            out.put_map(&self.clone_overlap, features);
            out.put_map(&self.clone_size, features);
            out.put_map(&self.clone_snaps, features);
        });
    }
}

/// One clone (or the head) in the answer to list-snaps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloneInfo {
    /// The clone; [`NOSNAP`] for the head.
    pub cloneid: SnapId,
    /// The snapshots it serves, ascending.
    pub snaps: Vec<SnapId>,
    /// What it shares with the next newer one.
    pub overlap: Extents,
    /// Its size in bytes.
    pub size: u64,
}

impl Decode for CloneInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "clone_info")?;
        Ok(Self {
            cloneid: f.u64()?,
            snaps: f.vec()?,
            overlap: f.vec()?,
            size: f.u64()?,
        })
    }
}

impl Encode for CloneInfo {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| {
            out.put_u64_le(self.cloneid);
            out.put_vec(self.snaps.iter(), features);
            out.put_vec(self.overlap.iter(), features);
            out.put_u64_le(self.size);
        });
    }
}

/// `obj_list_snap_response_t`: the answer to list-snaps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListSnapsResponse {
    /// The clones, oldest first, then the head if it exists.
    pub clones: Vec<CloneInfo>,
    /// The newest snapshot the object has seen.
    pub seq: SnapId,
}

impl Decode for ListSnapsResponse {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "obj_list_snap_response_t")?;
        Ok(Self {
            clones: f.vec()?,
            seq: if f.since(2) { f.u64()? } else { NOSNAP },
        })
    }
}

impl Encode for ListSnapsResponse {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 1, |out| {
            out.put_vec(self.clones.iter(), features);
            out.put_u64_le(self.seq);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snap_context_must_descend_strictly_from_seq() {
        let valid = |seq, snaps: &[u64]| {
            SnapContext {
                seq,
                snaps: snaps.to_vec(),
            }
            .is_valid()
        };
        assert!(valid(0, &[]) && valid(5, &[5, 3]) && valid(9, &[5, 3]) && valid(5, &[3, 0]));
        assert!(!valid(4, &[5]) && !valid(5, &[3, 3]) && !valid(5, &[3, 4]) && !valid(5, &[0, 0]));
        assert!(!valid(NOSNAP, &[]));
    }
}
