//! What librbd keeps in an image's journal: entries of its objects (Ceph `src/journal/Entry.cc`), events in these, and what it
//! stores with its registration and its tags (`src/librbd/journal/Types.cc`).

use bytes::{Bytes, BytesMut};

use crate::{
    codec::{self, Decode, DecodeError, Encode, Put, Reader, ceph_crc32c},
    features::Features,
    types::Utime,
};

/// What an entry begins with.
const PREAMBLE: u64 = 0x3141_5926_5358_9793;
/// The version of entries.
const VERSION: u8 = 1;

/// `journal::Entry`: a piece of a journal object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its number within its tag, from 0 on.
    pub entry_tid: u64,
    /// Its tag.
    pub tag_tid: u64,
    /// What it holds: of an image's journal a [`JournalEvent`].
    pub data: Bytes,
}

impl Encode for JournalEntry {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let start = out.len();
        PREAMBLE.encode(out, features);
        VERSION.encode(out, features);
        self.entry_tid.encode(out, features);
        self.tag_tid.encode(out, features);
        self.data.encode(out, features);
        let crc = ceph_crc32c(0, &out[start..]);
        crc.encode(out, features);
    }
}

impl Decode for JournalEntry {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let whole = r.peek();
        let from = r.position();
        let preamble = r.u64()?;
        if preamble != PREAMBLE {
            return Err(DecodeError::Invalid {
                what: "preamble of a journal entry",
                value: preamble,
            });
        }
        let version = r.u8()?;
        if version != VERSION {
            return Err(DecodeError::Invalid {
                what: "version of a journal entry",
                value: version.into(),
            });
        }
        let entry = Self {
            entry_tid: r.u64()?,
            tag_tid: r.u64()?,
            data: r.blob()?,
        };
        let sum = ceph_crc32c(0, &whole[..r.position() - from]);
        let crc = r.u32()?;
        if crc != sum {
            return Err(DecodeError::Invalid {
                what: "checksum of a journal entry",
                value: crc.into(),
            });
        }
        Ok(entry)
    }
}

/// The next entry of a journal object's data; none at its end. Zeros in front of an entry are padding.
///
/// # Errors
/// If what is there is no entry, or only the beginning of one.
pub fn next_entry(r: &mut Reader<'_>) -> codec::Result<Option<JournalEntry>> {
    let padding = r.peek().iter().take_while(|b| **b == 0).count();
    r.skip(padding, "padding")?;
    match r.is_empty() {
        true => Ok(None),
        false => JournalEntry::decode(r).map(Some),
    }
}

open_number! {
    /// `librbd::journal::EventType`.
    EventType(u32) {
        /// An operation has ended.
        OP_FINISH = 3,
        /// A clone becomes independent of its parent.
        FLATTEN = 12,
    }
}

/// `librbd::journal::EventEntry`: something that was done to the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEvent {
    /// What.
    pub kind: EventType,
    /// The details of that kind.
    pub details: Bytes,
    /// When.
    pub timestamp: Utime,
}

impl JournalEvent {
    /// The image is being flattened, as the operation of that number.
    #[must_use]
    pub fn flatten(op_tid: u64, timestamp: Utime) -> Self {
        Self {
            kind: EventType::FLATTEN,
            details: op_tid.to_bytes(Features::ALL),
            timestamp,
        }
    }

    /// The operation of that number has ended: with 0, or a negative error number.
    #[must_use]
    pub fn op_finish(op_tid: u64, result: i32, timestamp: Utime) -> Self {
        Self {
            kind: EventType::OP_FINISH,
            // The number comes twice: as every operation's, and as what has ended.
            details: ((op_tid, op_tid), result).to_bytes(Features::ALL),
            timestamp,
        }
    }
}

impl Encode for JournalEvent {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(5, 1, |out| {
            self.kind.encode(out, features);
            out.extend_from_slice(&self.details);
        });
        out.put_frame(1, 1, |out| self.timestamp.encode(out, features));
    }
}

impl Decode for JournalEvent {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let mut f = r.frame(5, "librbd::journal::EventEntry")?;
        let (kind, details) = (EventType::decode(&mut f)?, f.rest());
        let timestamp = match f.since(4) {
            true => {
                let mut metadata = r.frame(1, "metadata of a journal event")?;
                Utime::decode(&mut metadata)?
            }
            false => Utime::default(),
        };
        Ok(Self {
            kind,
            details,
            timestamp,
        })
    }
}

/// `librbd::journal::ImageClientMeta`: what the image's own client stores with its registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageClientMeta {
    /// The class of the image's tags.
    pub tag_class: u64,
    /// The image is to be copied anew from the other site.
    pub resync_requested: bool,
}

/// `IMAGE_CLIENT_META_TYPE`.
const IMAGE_CLIENT: u32 = 0;

impl Encode for ImageClientMeta {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 1, |out| {
            IMAGE_CLIENT.encode(out, features);
            self.tag_class.encode(out, features);
            self.resync_requested.encode(out, features);
        });
    }
}

impl Decode for ImageClientMeta {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let mut f = r.frame(2, "librbd::journal::ClientData")?;
        let kind = f.u32()?;
        if kind != IMAGE_CLIENT {
            return Err(DecodeError::Invalid {
                what: "type of a journal client",
                value: kind.into(),
            });
        }
        Ok(Self {
            tag_class: f.u64()?,
            resync_requested: f.bool()?,
        })
    }
}

/// `librbd::journal::TagPredecessor`: how far the image had got when a tag began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagPredecessor {
    /// The site that the tag before was of; empty for this one.
    pub mirror_uuid: Bytes,
    /// Whether the following are known.
    pub commit_valid: bool,
    /// The tag before.
    pub tag_tid: u64,
    /// Its last entry that was committed.
    pub entry_tid: u64,
}

/// `librbd::journal::TagData`: what is stored with a tag.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagData {
    /// The site whose image is primary; empty for this one.
    pub mirror_uuid: Bytes,
    /// The tag before.
    pub predecessor: TagPredecessor,
}

impl Encode for TagData {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let before = &self.predecessor;
        self.mirror_uuid.encode(out, features);
        before.mirror_uuid.encode(out, features);
        before.commit_valid.encode(out, features);
        before.tag_tid.encode(out, features);
        before.entry_tid.encode(out, features);
    }
}

impl Decode for TagData {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self {
            mirror_uuid: r.blob()?,
            predecessor: TagPredecessor {
                mirror_uuid: r.blob()?,
                commit_valid: r.bool()?,
                tag_tid: r.u64()?,
                entry_tid: r.u64()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What librbd 16.2.15 wrote as `rbd flatten` flattened an image: the two entries, its registration and a tag.
    const FLATTEN: &str = "939758532659413101000000000000000001000000000000002000000005010c0000000c000000010000000000000001010800000090dd076bfb9aa506c4d8a9d8";
    const FINISH: &str = "939758532659413101010000000000000001000000000000002c00000005011800000003000000010000000000000001000000000000000000000001010800000090dd076b85bcd6067cea7674";
    const CLIENT: &str = "02010d00000000000000000000000000000000";
    const TAG: &str = "00000000000000000000000000000000000000000000000000";

    fn unhex(text: &str) -> Bytes {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    /// Reads it, writes it again, and fails to read each part of it.
    fn golden<T: Decode + Encode + std::fmt::Debug>(hex: &str) -> T {
        let raw = unhex(hex);
        let value = T::from_bytes(&raw).unwrap();
        assert_eq!(value.to_bytes(Features::ALL), raw);
        for len in 0..raw.len() {
            assert!(T::from_bytes(&raw.slice(..len)).is_err(), "{len} bytes");
        }
        value
    }

    #[test]
    fn entries_and_events_are_those_of_librbd() {
        let entry: JournalEntry = golden(FLATTEN);
        assert_eq!((entry.tag_tid, entry.entry_tid), (1, 0));
        let event = JournalEvent::from_bytes(&entry.data).unwrap();
        assert_eq!(event, JournalEvent::flatten(1, event.timestamp));
        assert_eq!(event.to_bytes(Features::ALL), entry.data);
        let entry: JournalEntry = golden(FINISH);
        assert_eq!((entry.tag_tid, entry.entry_tid), (1, 1));
        let event = JournalEvent::from_bytes(&entry.data).unwrap();
        assert_eq!(event, JournalEvent::op_finish(1, 0, event.timestamp));
        assert_eq!(event.to_bytes(Features::ALL), entry.data);
    }

    #[test]
    fn registrations_and_tags_are_those_of_librbd() {
        assert_eq!(golden::<ImageClientMeta>(CLIENT), ImageClientMeta::default());
        assert_eq!(golden::<TagData>(TAG), TagData::default());
        let told = TagData {
            mirror_uuid: Bytes::from_static(b"site"),
            predecessor: TagPredecessor {
                mirror_uuid: Bytes::from_static(b"other"),
                commit_valid: true,
                tag_tid: 7,
                entry_tid: 9,
            },
        };
        assert_eq!(TagData::from_bytes(&told.to_bytes(Features::ALL)), Ok(told));
    }

    #[test]
    fn entries_of_an_object_follow_each_other_with_padding_between() {
        let data: Bytes = [&unhex(FLATTEN)[..], &[0; 3], &unhex(FINISH), &[0; 5]]
            .concat()
            .into();
        let mut r = Reader::new(&data);
        let mut tids = Vec::new();
        while let Some(entry) = next_entry(&mut r).unwrap() {
            tids.push(entry.entry_tid);
        }
        assert_eq!(tids, [0, 1]);
        let torn = data.slice(..data.len() - 20);
        let mut r = Reader::new(&torn);
        assert!(next_entry(&mut r).unwrap().is_some() && next_entry(&mut r).is_err());
    }

    #[test]
    fn an_entry_whose_bytes_changed_is_refused() {
        let raw = unhex(FLATTEN);
        for at in 0..raw.len() {
            let mut damaged = raw.to_vec();
            damaged[at] ^= 0x10;
            assert!(JournalEntry::from_bytes(&damaged.into()).is_err(), "byte {at}");
        }
    }
}
