//! The stored form of a clone's record.
//!
//! Version 1 had the overlap as ranges, always, and no open slot; it is still read.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    clones::{CloneRecord, OpenSlot},
    extents::Extents,
    onode::{Onode, Placement},
    slots::SLOT_UNITS,
};

const VERSION: u8 = 2;
/// There is an open slot.
const OPEN: u8 = 1;
/// The overlap is a bit for each piece of the object, and not ranges.
const BITMAP: u8 = 2;
/// Bytes of a range.
const RANGE: usize = 8;

impl CloneRecord {
    /// The stored form, without the id. Objects are smaller than 4 GiB, so 32 bits do for the overlap.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let bitmap = Bitmap::of(&self.overlap, self.state.size);
        let overlap = bitmap.as_ref().map_or(self.overlap.len() * RANGE, Bitmap::bytes);
        let len = 1 + Onode::LEN + 4 + self.snaps.len() * 8 + 1 + 9 + 5 + overlap;
        let mut out = BytesMut::with_capacity(len);
        out.put_u8(VERSION);
        out.put_slice(&Onode::encode(&self.state, self.state.onode.unwrap_or(0)));
        let short = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        out.put_u32_le(short(self.snaps.len() as u64));
        self.snaps.iter().for_each(|snap| out.put_u64_le(*snap));
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.put_u8(flag(self.open.is_some(), OPEN) | flag(bitmap.is_some(), BITMAP));
        if let Some(open) = &self.open {
            out.put_u64_le(open.slot);
            out.put_u8(open.used);
        }
        match bitmap {
            Some(bitmap) => bitmap.put(&self.overlap, &mut out),
            None => {
                out.put_u32_le(short(self.overlap.len() as u64));
                for (start, end) in self.overlap.iter() {
                    out.put_u32_le(short(start));
                    out.put_u32_le(short(end));
                }
            }
        }
        out.freeze()
    }

    /// Reads key and value of a row; `None` if it is damaged.
    #[must_use]
    pub fn decode(key: &[u8], mut raw: &[u8]) -> Option<Self> {
        let id = !u64::from_be_bytes(key.get(9..17)?.try_into().ok()?);
        if raw.len() < 1 + Onode::LEN {
            return None;
        }
        let version = raw.get_u8();
        if !(1..=VERSION).contains(&version) {
            return None;
        }
        let (state, mut raw) = raw.split_at(Onode::LEN);
        let state = Onode::decode(state, Placement::Slots)?;
        let snaps = count(8, &mut raw)?;
        let snaps = (0..snaps).map(|_| raw.get_u64_le()).collect();
        let flags = match version {
            1 => 0,
            _ => raw.try_get_u8().ok()?,
        };
        let open = match flags & OPEN != 0 {
            true => Some(open_slot(&mut raw)?),
            false => None,
        };
        let overlap = match flags & BITMAP != 0 {
            true => Bitmap::read(state.size, &mut raw)?,
            false => ranges(&mut raw)?,
        };
        Some(Self {
            id,
            snaps,
            overlap,
            state,
            open,
        })
    }
}

/// A number of things of `width` bytes, all of which are there.
fn count(width: usize, raw: &mut &[u8]) -> Option<usize> {
    let count = raw.try_get_u32_le().ok()? as usize;
    (raw.len() >= count.checked_mul(width)?).then_some(count)
}

fn open_slot(raw: &mut &[u8]) -> Option<OpenSlot> {
    let slot = raw.try_get_u64_le().ok()?;
    let used = raw.try_get_u8().ok()?;
    let sound = (1..SLOT_UNITS).contains(&used.into());
    sound.then_some(OpenSlot { slot, used })
}

fn ranges(raw: &mut &[u8]) -> Option<Extents> {
    let mut overlap = Extents::default();
    for _ in 0..count(RANGE, raw)? {
        overlap.insert(raw.get_u32_le().into(), raw.get_u32_le().into());
    }
    Some(overlap)
}

/// An overlap as a bit for each piece of the object: a piece is shared or it is not, and its length a power of two.
/// Random writes of blocks leave many short ranges, for which this is much shorter.
struct Bitmap {
    /// Bits of a piece's length.
    shift: u8,
    /// How many pieces there are. The last one may be cut short by the object's end.
    pieces: u64,
}

impl Bitmap {
    /// That of an overlap; `None` if ranges are not longer.
    fn of(overlap: &Extents, size: u64) -> Option<Self> {
        let edge = |at: u64| if at == size { 0 } else { at };
        let edges = overlap
            .iter()
            .fold(0, |all, (start, end)| all | start | edge(end));
        let shift = edges.trailing_zeros().min(31) as u8;
        let map = Self {
            shift,
            pieces: size.div_ceil(1 << shift),
        };
        (map.bytes() + 1 < overlap.len() * RANGE).then_some(map)
    }

    /// Bytes of the bits.
    fn bytes(&self) -> usize {
        self.pieces.div_ceil(8) as usize
    }

    /// Adds length of a piece, number of bytes, and bits, the first piece's in the lowest one.
    fn put(&self, overlap: &Extents, out: &mut BytesMut) {
        out.put_u8(self.shift);
        out.put_u32_le(u32::try_from(self.bytes()).unwrap_or(u32::MAX));
        let at = out.len();
        out.put_bytes(0, self.bytes());
        let bits = &mut out[at..];
        for (start, end) in overlap.iter() {
            set_bits(bits, start >> self.shift, end.div_ceil(1 << self.shift));
        }
    }

    fn read(size: u64, raw: &mut &[u8]) -> Option<Extents> {
        let shift = raw.try_get_u8().ok().filter(|shift| *shift < 32)?;
        let bytes = count(1, raw)?;
        let map = Self {
            shift,
            pieces: size.div_ceil(1 << shift),
        };
        if bytes != map.bytes() {
            return None;
        }
        let (bits, rest) = raw.split_at(bytes);
        *raw = rest;
        let mut overlap = Extents::default();
        let shared = |piece: u64| {
            bits.get(piece as usize / 8)
                .is_some_and(|byte| byte >> (piece % 8) & 1 != 0)
        };
        let mut piece = 0;
        while piece < map.pieces {
            let start = piece;
            while piece < map.pieces && shared(piece) {
                piece += 1;
            }
            overlap.insert(start << shift, (piece << shift).min(size));
            piece += 1;
        }
        Some(overlap)
    }
}

/// Sets the bits from `first` to before `end`, the first of each byte the lowest. Most of a clone's are set.
fn set_bits(bits: &mut [u8], first: u64, end: u64) {
    let (from, to) = ((first / 8) as usize, (end / 8) as usize);
    let (head, tail) = (u8::MAX << (first % 8), !(u8::MAX << (end % 8)));
    if from == to {
        bits.get_mut(from)
            .into_iter()
            .for_each(|byte| *byte |= head & tail);
        return;
    }
    bits.get_mut(from).into_iter().for_each(|byte| *byte |= head);
    bits.get_mut(from + 1..to).unwrap_or_default().fill(u8::MAX);
    // None if the last byte is full.
    bits.get_mut(to).into_iter().for_each(|byte| *byte |= tail);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{clones::sharing, keys};

    #[test]
    fn bits_are_set_from_the_first_to_before_the_end() {
        for (first, end) in (0..=32).flat_map(|first| (first..=32).map(move |end| (first, end))) {
            let mut bits = [0; 4];
            set_bits(&mut bits, first, end);
            let set = (0..32).filter(|bit| bits[bit / 8] >> (bit % 8) & 1 != 0);
            assert!(set.eq(first as usize..end as usize), "{first}..{end}: {bits:?}");
        }
    }

    /// Checks that a clone reads back, and no part of it as a clone. Returns how many bytes it takes.
    fn reads_back(clone: &CloneRecord) -> usize {
        let (key, raw) = (keys::clone(5, 9), clone.encode());
        for cut in 0..raw.len() {
            assert_eq!(CloneRecord::decode(&key, &raw[..cut]), None);
        }
        assert_eq!(CloneRecord::decode(&key, &raw).as_ref(), Some(clone));
        raw.len()
    }

    /// Version, onode, two snapshots, flags.
    const FIXED: usize = 1 + Onode::LEN + 4 + 16 + 1;

    #[test]
    fn few_ranges_are_stored_as_ranges() {
        let mut clone = sharing(70_000, [(0, 4097), (8192, 70_000)]);
        assert_eq!(reads_back(&clone), FIXED + 4 + 16);
        clone.open = Some(OpenSlot { slot: 77, used: 15 });
        assert_eq!(reads_back(&clone), FIXED + 9 + 4 + 16);
        clone.overlap = Extents::default();
        assert_eq!(reads_back(&clone), FIXED + 9 + 4);
    }

    #[test]
    fn many_ranges_of_whole_blocks_are_stored_as_bits() {
        let every_other = |step: u64| {
            (0..4 << 20)
                .step_by(2 * step as usize)
                .map(move |at| (at, at + step))
        };
        // A bit for each 4 KiB, as many for each 512 bytes, and few for large writes.
        assert_eq!(reads_back(&sharing(4 << 20, every_other(4096))), FIXED + 5 + 128);
        assert_eq!(reads_back(&sharing(4 << 20, every_other(512))), FIXED + 5 + 1024);
        assert_eq!(reads_back(&sharing(4 << 20, every_other(65_536))), FIXED + 5 + 8);
        // The object's end need not lie on an edge, nor the range's before it.
        let odd = (0..100)
            .map(|n| (n * 8192, n * 8192 + 4096))
            .chain([(819_200, 819_300)]);
        assert_eq!(reads_back(&sharing(819_300, odd)), FIXED + 5 + 26);
    }

    #[test]
    fn ranges_with_odd_edges_stay_ranges() {
        let odd = (0..100).map(|n| (n * 8192 + 1, n * 8192 + 4096));
        assert_eq!(reads_back(&sharing(4 << 20, odd)), FIXED + 4 + 800);
    }

    #[test]
    fn a_bitmap_of_another_length_than_the_object_is_damage() {
        let clone = sharing(1 << 20, (0..128).map(|n| (n * 8192, n * 8192 + 4096)));
        let key = keys::clone(5, 9);
        let mut raw = clone.encode().to_vec();
        assert_eq!(raw[FIXED - 1..][..6], [BITMAP, 12, 32, 0, 0, 0]);
        raw[FIXED] = 13;
        assert_eq!(CloneRecord::decode(&key, &raw), None);
        raw[FIXED] = 32;
        assert_eq!(CloneRecord::decode(&key, &raw), None);
    }

    #[test]
    fn an_open_slot_that_is_full_or_empty_is_damage() {
        let mut clone = sharing(70_000, [(0, 4096)]);
        for used in [0, 16, 255] {
            clone.open = Some(OpenSlot { slot: 1, used });
            assert_eq!(CloneRecord::decode(&keys::clone(5, 9), &clone.encode()), None);
        }
    }

    #[test]
    fn version_1_is_read() {
        let clone = sharing(70_000, [(0, 4096), (8192, 70_000)]);
        let mut raw = vec![1];
        raw.extend_from_slice(&Onode::encode(&clone.state, 3));
        raw.extend_from_slice(&2_u32.to_le_bytes());
        for snap in [9_u64, 7] {
            raw.extend_from_slice(&snap.to_le_bytes());
        }
        for number in [2_u32, 0, 4096, 8192, 70_000] {
            raw.extend_from_slice(&number.to_le_bytes());
        }
        let key = keys::clone(5, 9);
        assert_eq!(CloneRecord::decode(&key, &raw).as_ref(), Some(&clone));
        for cut in 0..raw.len() {
            assert_eq!(CloneRecord::decode(&key, &raw[..cut]), None);
        }
        raw[0] = 3;
        assert_eq!(CloneRecord::decode(&key, &raw), None);
    }
}
