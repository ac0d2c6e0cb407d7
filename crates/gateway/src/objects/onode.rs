//! What is stored of an object besides its data: the [`Onode`] of a named object and the 24-byte [`Entry`] of
//! an image's data object. Both become an [`ObjectState`] in memory.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use encoding::types::Utime;
use store::VolumeId;

use super::clones::{CloneRecord, CloneView};

/// Where an object's data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Object `index` of an image: bytes `[index * object_size, ...)` of the image's volume.
    Volume {
        /// The image's volume.
        volume: VolumeId,
        /// The object's number.
        index: u64,
        /// Bytes an object has room for.
        object_size: u32,
    },
    /// Inline in the metadata while small, else in 64 KiB slots of the pool's slot volume.
    Slots,
}

/// An object as its ops see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// Whether it exists. If not, the other fields are as for a new object.
    pub exists: bool,
    /// Bytes.
    pub size: u64,
    /// `user_version`: the version of the last change a user can see.
    pub version: u64,
    /// Time of the last change, as the client said.
    pub mtime: Utime,
    /// Order of truncations against writes (`truncate_seq`).
    pub truncate_seq: u32,
    /// `truncate_size` of that truncation.
    pub truncate_size: u64,
    /// Number of the rows in the attribute and omap tables; none until it has such.
    pub onode: Option<u64>,
    /// Whether the omap was ever written.
    pub has_omap: bool,
    /// Whether the data is inline (only with [`Placement::Slots`]).
    pub inline: bool,
    /// Where the data is.
    pub placement: Placement,
    /// The newest snapshot the object has seen (`SnapSet::seq`).
    pub seq: u64,
    /// It does not exist, but its clones do: its record stays.
    pub whiteout: bool,
    /// Whether it has clones.
    pub clones: bool,
    /// The newest of them.
    pub newest: Option<Arc<CloneRecord>>,
    /// Set if this is not the head but a clone: where its data is to be looked for.
    pub view: Option<Arc<CloneView>>,
}

impl ObjectState {
    /// An object that does not exist.
    #[must_use]
    pub const fn absent(placement: Placement) -> Self {
        Self {
            exists: false,
            size: 0,
            version: 0,
            mtime: Utime { sec: 0, nsec: 0 },
            truncate_seq: 0,
            truncate_size: 0,
            onode: None,
            has_omap: false,
            inline: matches!(placement, Placement::Slots),
            placement,
            seq: 0,
            whiteout: false,
            clones: false,
            newest: None,
            view: None,
        }
    }

    /// Whether there is a record of it: it exists, or its clones do.
    #[must_use]
    pub const fn recorded(&self) -> bool {
        self.exists || self.whiteout
    }
}

const ONODE_VERSION: u8 = 2;
const OMAP: u8 = 1;
const INLINE: u8 = 2;
const CLONES: u8 = 4;
const WHITEOUT: u8 = 8;

/// The stored form of a named object's state.
#[derive(Debug)]
pub struct Onode;

impl Onode {
    /// Bytes of the stored form.
    pub const LEN: usize = 1 + 1 + 8 + 8 + 8 + 8 + 4 + 8 + 8;

    /// The stored form.
    #[must_use]
    pub fn encode(state: &ObjectState, onode: u64) -> Bytes {
        let mut out = BytesMut::with_capacity(Self::LEN);
        out.put_u8(ONODE_VERSION);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.put_u8(
            flag(state.has_omap, OMAP)
                | flag(state.inline, INLINE)
                | flag(state.clones, CLONES)
                | flag(state.whiteout, WHITEOUT),
        );
        out.put_u64_le(onode);
        out.put_u64_le(state.size);
        out.put_u64_le(state.version);
        out.put_u32_le(state.mtime.sec);
        out.put_u32_le(state.mtime.nsec);
        out.put_u32_le(state.truncate_seq);
        out.put_u64_le(state.truncate_size);
        out.put_u64_le(state.seq);
        out.freeze()
    }

    /// Reads the stored form, without the newest clone; `None` if it is damaged or from another release.
    #[must_use]
    pub fn decode(mut raw: &[u8], placement: Placement) -> Option<ObjectState> {
        if raw.len() < Self::LEN || raw.get_u8() != ONODE_VERSION {
            return None;
        }
        let flags = raw.get_u8();
        let onode = raw.get_u64_le();
        Some(ObjectState {
            exists: flags & WHITEOUT == 0,
            size: raw.get_u64_le(),
            version: raw.get_u64_le(),
            mtime: Utime {
                sec: raw.get_u32_le(),
                nsec: raw.get_u32_le(),
            },
            truncate_seq: raw.get_u32_le(),
            truncate_size: raw.get_u64_le(),
            onode: Some(onode),
            has_omap: flags & OMAP != 0,
            inline: flags & INLINE != 0,
            placement,
            seq: raw.get_u64_le(),
            whiteout: flags & WHITEOUT != 0,
            clones: flags & CLONES != 0,
            newest: None,
            view: None,
        })
    }
}

/// Data objects per page.
pub const PAGE_ENTRIES: u64 = 1024;

const EXISTS: u32 = 1;
const EXTRA: u32 = 2;
const GONE: u32 = 4;
/// The flags' upper bits are the snapshot sequence number; larger ones are in the onode beside the page.
const SEQ_SHIFT: u32 = 8;
/// Snapshot sequence numbers from here on do not fit into an entry.
pub const ENTRY_SEQS: u64 = 1 << (32 - SEQ_SHIFT);

/// The stored form of a data object's state: 24 bytes of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    flags: u32,
    size: u32,
    version: u64,
    mtime: Utime,
}

impl Entry {
    /// Bytes of an entry.
    pub const LEN: usize = 24;

    /// The entry of a state. `extra`: an onode is recorded beside the page.
    #[must_use]
    pub fn of(state: &ObjectState, extra: bool) -> Self {
        if !state.recorded() {
            return Self::default();
        }
        let seq = if state.seq < ENTRY_SEQS {
            state.seq as u32
        } else {
            0
        };
        let kind = if state.whiteout { GONE } else { EXISTS };
        Self {
            flags: kind | if extra { EXTRA } else { 0 } | seq << SEQ_SHIFT,
            size: u32::try_from(state.size).unwrap_or(u32::MAX),
            version: state.version,
            mtime: state.mtime,
        }
    }

    /// Whether the object exists, or its clones do.
    #[must_use]
    pub const fn recorded(&self) -> bool {
        self.flags & (EXISTS | GONE) != 0
    }

    /// Whether it can have been written: what is not recorded is all zeros.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self.flags & (EXISTS | GONE) {
            0 => *self == Self::default(),
            both => both != EXISTS | GONE,
        }
    }

    /// The object's size in bytes.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Whether an onode is recorded beside the page.
    #[must_use]
    pub const fn extra(&self) -> bool {
        self.flags & EXTRA != 0
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut entry = [0; Self::LEN];
        let mut out = &mut entry[..];
        out.put_u32_le(self.flags);
        out.put_u32_le(self.size);
        out.put_u64_le(self.version);
        out.put_u32_le(self.mtime.sec);
        out.put_u32_le(self.mtime.nsec);
        entry
    }

    /// Reads an entry from a page; what the page does not reach is an absent object.
    #[must_use]
    pub fn from_page(page: &[u8], slot: usize) -> Self {
        let Some(mut raw) = page.get(slot * Self::LEN..(slot + 1) * Self::LEN) else {
            return Self::default();
        };
        Self {
            flags: raw.get_u32_le(),
            size: raw.get_u32_le(),
            version: raw.get_u64_le(),
            mtime: Utime {
                sec: raw.get_u32_le(),
                nsec: raw.get_u32_le(),
            },
        }
    }

    /// The state in memory.
    #[must_use]
    pub fn state(&self, placement: Placement) -> ObjectState {
        let mut state = ObjectState::absent(placement);
        if self.recorded() {
            state.exists = self.flags & GONE == 0;
            state.whiteout = !state.exists;
            state.seq = u64::from(self.flags >> SEQ_SHIFT);
            state.size = self.size.into();
            state.version = self.version;
            state.mtime = self.mtime;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_onode_reads_back_as_written_and_damage_is_seen() {
        let mut state = ObjectState::absent(Placement::Slots);
        state.exists = true;
        state.size = 1 << 33;
        state.version = 7;
        state.onode = Some(9);
        state.has_omap = true;
        state.seq = 1 << 40;
        state.clones = true;
        let raw = Onode::encode(&state, 9);
        assert_eq!(Onode::decode(&raw, Placement::Slots), Some(state));
        for cut in 0..raw.len() {
            assert_eq!(Onode::decode(&raw[..cut], Placement::Slots), None);
        }
    }

    #[test]
    fn an_entry_reads_back_and_a_short_page_means_absent() {
        let placement = Placement::Slots;
        let mut state = ObjectState::absent(placement);
        state.exists = true;
        state.size = 4096;
        state.version = 3;
        state.inline = true;
        state.seq = ENTRY_SEQS - 1;
        let raw = Entry::of(&state, false).encode();
        assert_eq!(Entry::from_page(&raw, 0).state(placement), state);
        assert!(!Entry::from_page(&raw, 1).recorded());
    }
}
