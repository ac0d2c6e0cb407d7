//! The journal's byte format: batches of transactions. Little endian.
//!
//! A batch starts at a multiple of 4096 bytes with a header of 48 bytes:
//! magic u64, epoch u64, position u64, first sequence number u64, transactions u32, payload length u32,
//! crc32c u32 of the header before it and of the payload, zero u32. The payload follows, then padding.
//! Position, sequence number and epoch (random, drawn at each opening) tell a batch from stale bytes.
//! A transaction is: number of changes u32, then for each a tag byte and its fields.
//!
//! Data that is whole blocks of 4096 bytes stands behind the padding, as it is, that of one change behind that of the other, in their
//! order. The change's record has the sums of its blocks ([`crate::sums`]) in its place, so that what covers the records covers it, too.

use std::{
    iter::Sum,
    ops::{Add, AddAssign},
};

use bytes::Bytes;

use crate::{
    options::BLOCK,
    sums::SUM,
    transaction::{Op, Seq, Short, VolumeId},
};

const MAGIC: u64 = u64::from_le_bytes(*b"rbdgJNL1");
/// Length of the header in bytes.
pub(crate) const HEADER: usize = 48;
const CRC_AT: usize = 40;

const PUT: u8 = 1;
const PATCH: u8 = 2;
const DELETE: u8 = 3;
const DELETE_RANGE: u8 = 4;
const WRITE: u8 = 5;
const DIRECT: u8 = 6;
const DISCARD: u8 = 7;
const DELETE_VOLUME: u8 = 8;
const CREATE_VOLUME: u8 = 9;
const DIRECT_WITH_SUMS: u8 = 10;
const WRITE_OUTLINED: u8 = 11;

/// What transactions take in a batch, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Their records.
    pub(crate) records: u64,
    /// Data that stands behind the records of all: whole blocks.
    pub(crate) outlined: u64,
}

impl Size {
    /// Of one transaction.
    pub(crate) fn of(ops: &[Op]) -> Self {
        Self {
            records: encoded_len(ops),
            outlined: outlined(ops).map(|data| data.len() as u64).sum(),
        }
    }

    /// Header, records and padding.
    pub(crate) fn head_len(self) -> u64 {
        (HEADER as u64 + self.records).next_multiple_of(BLOCK)
    }

    /// A batch of them, as a whole.
    pub(crate) fn batch_len(self) -> u64 {
        self.head_len() + self.outlined
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            outlined: self.outlined + other.outlined,
        }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Self::add)
    }
}

/// The data of a transaction that stands behind the records.
pub(crate) fn outlined(ops: &[Op]) -> impl Iterator<Item = &Bytes> {
    ops.iter().filter_map(|op| match op {
        Op::Write { data, sums, .. } if !sums.is_empty() => Some(data),
        _ => None,
    })
}

/// Bytes of a transaction's record.
fn encoded_len(ops: &[Op]) -> u64 {
    let fields = |op: &Op| match op {
        Op::Write { sums, .. } if !sums.is_empty() => 20 + sums.len(),
        Op::Put { key, value } => 8 + key.len() + value.len(),
        Op::Patch { key, data, .. } => 16 + key.len() + data.len(),
        Op::Delete { key } => 4 + key.len(),
        Op::DeleteRange { start, end } => 8 + start.len() + end.len(),
        Op::Write { data, .. } => 20 + data.len(),
        Op::Direct { sums, .. } if !sums.is_empty() => 28 + sums.len(),
        Op::Direct { .. } | Op::Discard { .. } => 24,
        Op::DeleteVolume { .. } => 8,
        Op::CreateVolume { name, .. } => 12 + name.len(),
    };
    4 + ops.iter().map(|op| 1 + fields(op) as u64).sum::<u64>()
}

/// Appends a transaction.
pub(crate) fn encode(ops: &[Op], out: &mut Vec<u8>) {
    put_u32(out, ops.len());
    for op in ops {
        match op {
            Op::Put { key, value } => {
                out.push(PUT);
                put_bytes(out, key);
                put_bytes(out, value);
            }
            Op::Patch { key, offset, data } => {
                out.push(PATCH);
                put_bytes(out, key);
                out.extend_from_slice(&offset.to_le_bytes());
                put_bytes(out, data);
            }
            Op::Delete { key } => {
                out.push(DELETE);
                put_bytes(out, key);
            }
            Op::DeleteRange { start, end } => {
                out.push(DELETE_RANGE);
                put_bytes(out, start);
                put_bytes(out, end);
            }
            Op::Write {
                volume,
                offset,
                data,
                sums,
            } => {
                let outlined = !sums.is_empty();
                out.push(if outlined { WRITE_OUTLINED } else { WRITE });
                put_words(out, &[volume.0, *offset]);
                put_bytes(out, if outlined { sums } else { data });
            }
            Op::Direct {
                volume,
                offset,
                len,
                sums,
            } => {
                let with_sums = !sums.is_empty();
                out.push(if with_sums { DIRECT_WITH_SUMS } else { DIRECT });
                put_words(out, &[volume.0, *offset, *len]);
                if with_sums {
                    put_bytes(out, sums);
                }
            }
            Op::Discard { volume, offset, len } => {
                out.push(DISCARD);
                put_words(out, &[volume.0, *offset, *len]);
            }
            Op::DeleteVolume { volume } => {
                out.push(DELETE_VOLUME);
                put_words(out, &[volume.0]);
            }
            Op::CreateVolume { volume, name } => {
                out.push(CREATE_VOLUME);
                put_words(out, &[volume.0]);
                put_bytes(out, name);
            }
        }
    }
}

/// Lengths are bounded by [`crate::Options::journal_bytes`] / 8 long before they reach 32 bits.
fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_words(out: &mut Vec<u8>, words: &[u64]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Takes a transaction off the payload of a batch. Data that stands behind the records is left out, its sums are there. `None` means that
/// the payload is malformed.
pub(crate) fn decode(payload: &mut Bytes) -> Option<Vec<Op>> {
    let count = take_u32(payload)?;
    let mut ops = Vec::new();
    for _ in 0..count {
        let tag = payload.split_to_checked(1)?;
        ops.push(match *tag.first()? {
            PUT => Op::Put {
                key: take_bytes(payload)?,
                value: take_bytes(payload)?,
            },
            PATCH => Op::Patch {
                key: Short::from_slice(&take_bytes(payload)?),
                offset: take_u64(payload)?,
                data: Short::from_slice(&take_bytes(payload)?),
            },
            DELETE => Op::Delete {
                key: take_bytes(payload)?,
            },
            DELETE_RANGE => Op::DeleteRange {
                start: take_bytes(payload)?,
                end: take_bytes(payload)?,
            },
            WRITE => Op::Write {
                volume: VolumeId(take_u64(payload)?),
                offset: take_u64(payload)?,
                data: take_bytes(payload)?,
                sums: Short::new(),
            },
            WRITE_OUTLINED => Op::Write {
                volume: VolumeId(take_u64(payload)?),
                offset: take_u64(payload)?,
                data: Bytes::new(),
                sums: take_bytes(payload)
                    .filter(|sums| !sums.is_empty() && (sums.len() as u64).is_multiple_of(SUM))
                    .map(|sums| Short::from_slice(&sums))?,
            },
            tag @ (DIRECT | DIRECT_WITH_SUMS) => Op::Direct {
                volume: VolumeId(take_u64(payload)?),
                offset: take_u64(payload)?,
                len: take_u64(payload)?,
                sums: match tag {
                    DIRECT_WITH_SUMS => take_bytes(payload)?,
                    _ => Bytes::new(),
                },
            },
            DISCARD => Op::Discard {
                volume: VolumeId(take_u64(payload)?),
                offset: take_u64(payload)?,
                len: take_u64(payload)?,
            },
            DELETE_VOLUME => Op::DeleteVolume {
                volume: VolumeId(take_u64(payload)?),
            },
            CREATE_VOLUME => Op::CreateVolume {
                volume: VolumeId(take_u64(payload)?),
                name: take_bytes(payload)?,
            },
            _ => return None,
        });
    }
    Some(ops)
}

trait SplitChecked: Sized {
    fn split_to_checked(&mut self, n: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, n: usize) -> Option<Self> {
        (n <= self.len()).then(|| self.split_to(n))
    }
}

fn take_u32(from: &mut Bytes) -> Option<u32> {
    let bytes = from.split_to_checked(4)?;
    Some(u32::from_le_bytes(bytes.as_ref().try_into().ok()?))
}

fn take_u64(from: &mut Bytes) -> Option<u64> {
    let bytes = from.split_to_checked(8)?;
    Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?))
}

fn take_bytes(from: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(take_u32(from)?).ok()?;
    from.split_to_checked(len)
}

/// What stands in front of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) epoch: u64,
    /// Position of the batch in the endless journal, of which the file holds the last part.
    pub(crate) pos: u64,
    pub(crate) first: Seq,
    pub(crate) count: u32,
    /// Bytes of payload.
    pub(crate) len: u32,
}

/// The crc32c of pieces that stand one behind the other.
fn sum_of_all(pieces: [&[u8]; 2]) -> u32 {
    let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    pieces.into_iter().for_each(|piece| crc.update(piece));
    crc.finalize() as u32
}

impl Header {
    fn words(&self) -> [u8; CRC_AT] {
        let mut out = [0; CRC_AT];
        let words = [
            MAGIC,
            self.epoch,
            self.pos,
            self.first,
            u64::from(self.count) | u64::from(self.len) << 32,
        ];
        for (to, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        out
    }

    /// The header's bytes, with the checksum that covers `payload` too.
    pub(crate) fn seal(&self, payload: &[u8]) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let words = self.words();
        let crc = sum_of_all([&words, payload]);
        for (to, from) in out.iter_mut().zip(words.into_iter().chain(crc.to_le_bytes())) {
            *to = from;
        }
        out
    }

    /// Reads a header and the checksum behind it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, u32)> {
        let (words, rest) = bytes.get(..HEADER)?.split_at_checked(CRC_AT)?;
        let &[magic, epoch, pos, first, lens] = words.as_chunks::<8>().0 else {
            return None;
        };
        let &[crc, reserved] = rest.as_chunks::<4>().0 else {
            return None;
        };
        let [magic, epoch, pos, first, lens] = [magic, epoch, pos, first, lens].map(u64::from_le_bytes);
        if magic != MAGIC || reserved != [0; 4] {
            return None;
        }
        let header = Self {
            epoch,
            pos,
            first,
            count: lens as u32,
            len: (lens >> 32) as u32,
        };
        Some((header, u32::from_le_bytes(crc)))
    }

    /// Whether header and payload are what was written.
    pub(crate) fn matches(&self, payload: &[u8], crc: u32) -> bool {
        sum_of_all([&self.words(), payload]) == crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Op> {
        let b = |text: &'static str| Bytes::from_static(text.as_bytes());
        let volume = VolumeId(7);
        vec![
            Op::Put {
                key: b("k"),
                value: b("value"),
            },
            Op::Patch {
                key: Short::from_slice(b"k"),
                offset: 9,
                data: Short::from_slice(b"p"),
            },
            Op::Delete { key: b("") },
            Op::DeleteRange {
                start: b("a"),
                end: b(""),
            },
            Op::Write {
                volume,
                offset: 1 << 40,
                data: b("data"),
                sums: Short::new(),
            },
            Op::Write {
                volume,
                offset: 1 << 41,
                data: Bytes::new(),
                sums: Short::from_slice(b"12345678"),
            },
            Op::Direct {
                volume,
                offset: 4096,
                len: 1 << 22,
                sums: Bytes::new(),
            },
            Op::Direct {
                volume,
                offset: 100,
                len: 12_000,
                sums: b("12345678"),
            },
            Op::Discard {
                volume,
                offset: 1,
                len: 2,
            },
            Op::DeleteVolume { volume },
            Op::CreateVolume {
                volume,
                name: b("rbd/x"),
            },
        ]
    }

    #[test]
    fn every_change_survives_the_journal_and_every_truncation_is_noticed() {
        let mut out = Vec::new();
        encode(&sample(), &mut out);
        assert_eq!(out.len() as u64, Size::of(&sample()).records);
        assert_eq!(decode(&mut Bytes::from(out.clone())), Some(sample()));
        for end in 0..out.len() {
            assert_eq!(decode(&mut Bytes::copy_from_slice(&out[..end])), None);
        }
    }

    #[test]
    fn a_header_covers_itself_and_its_payload() {
        let header = Header {
            epoch: 1,
            pos: 4096,
            first: 3,
            count: 1,
            len: 5,
        };
        let sealed = header.seal(b"hello");
        let (parsed, crc) = Header::parse(&sealed).expect("parses");
        assert_eq!(parsed, header);
        assert!(parsed.matches(b"hello", crc));
        assert!(!parsed.matches(b"hellp", crc));
        assert!(!Header { pos: 0, ..parsed }.matches(b"hello", crc));
    }
}
