//! Where the units of a block stand that a clone keeps: the value of its rows in table `B`.
//!
//! Units that are not named are zeros, if the clone keeps them. The row of a block that lies in a slot as a whole is
//! the slot's number, as it is for objects that are no clones, and as it was for all blocks of clones before there were units:
//! such a row may name units that its clone does not keep.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use store::StoreError;

use super::{
    Objects, keys,
    slots::{SLOT_SIZE, SLOT_UNITS, UNIT},
};

/// Neighbouring units of a block that are neighbours in a slot too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first unit, within the block.
    pub first: u8,
    /// How many there are. They do not reach beyond the block, nor beyond the slot.
    pub count: u8,
    /// Where the first one stands in the slot volume, in units.
    pub at: u64,
}

impl Run {
    /// Bytes of the stored form: first unit and count less one in half a byte each, place.
    const LEN: usize = 1 + 8;

    /// The unit behind the last one, within the block.
    #[must_use]
    pub const fn end(&self) -> u8 {
        self.first + self.count
    }

    /// The slot.
    #[must_use]
    pub const fn slot(&self) -> u64 {
        self.at / SLOT_UNITS
    }

    /// The units as bits.
    #[must_use]
    pub const fn units(&self) -> u16 {
        bits(self.first, self.count)
    }

    /// The places in the slot as bits.
    #[must_use]
    pub const fn places(&self) -> u16 {
        bits((self.at % SLOT_UNITS) as u8, self.count)
    }

    /// Where it begins in the slot volume, in bytes.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.at * UNIT
    }

    fn is_sound(&self) -> bool {
        let within = |first: u64| first + u64::from(self.count) <= SLOT_UNITS;
        self.count > 0 && within(self.first.into()) && within(self.at % SLOT_UNITS)
    }

    /// The part of it from unit `first` up to and without `end`.
    fn part(&self, first: u8, end: u8) -> Option<Self> {
        let (first, end) = (first.max(self.first), end.min(self.end()));
        (first < end).then(|| Self {
            first,
            count: end - first,
            at: self.at + u64::from(first - self.first),
        })
    }
}

/// `count` bits from bit `first` on.
pub(super) const fn bits(first: u8, count: u8) -> u16 {
    (((1_u32 << count) - 1) << first) as u16
}

/// The runs of bits that are set: the first one and how many.
pub fn runs_of_bits(mut bits: u16) -> impl Iterator<Item = (u8, u8)> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let first = bits.trailing_zeros();
            let count = (bits >> first).trailing_ones();
            let run = (first as u8, count as u8);
            bits &= !self::bits(run.0, run.1);
            run
        })
    })
}

/// Where units of a block stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept(Vec<Run>);

impl Kept {
    /// All units of a block, in a slot of their own.
    #[must_use]
    pub fn whole(slot: u64) -> Self {
        Self(vec![Run {
            first: 0,
            count: SLOT_UNITS as u8,
            at: slot * SLOT_UNITS,
        }])
    }

    /// Whether no unit is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The runs in the order of the block.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.0.iter().copied()
    }

    /// The units that are named, as bits.
    #[must_use]
    pub fn units(&self) -> u16 {
        self.runs().fold(0, |units, run| units | run.units())
    }

    /// Adds a run whose units are not named yet.
    pub fn add(&mut self, run: Run) {
        let at = self.0.partition_point(|other| other.first < run.first);
        let follows = |a: &Run, b: &Run| {
            a.end() == b.first && a.at + u64::from(a.count) == b.at && a.slot() == b.slot()
        };
        if let Some(before) = at.checked_sub(1).and_then(|at| self.0.get_mut(at))
            && follows(before, &run)
        {
            before.count += run.count;
            return;
        }
        self.0.insert(at, run);
    }

    /// What it names of `units`.
    #[must_use]
    pub fn only(&self, units: u16) -> Self {
        let mut found = Self::default();
        for (first, count) in runs_of_bits(units) {
            let parts = self.runs().filter_map(|run| run.part(first, first + count));
            parts.for_each(|part| found.add(part));
        }
        found
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        if let [run] = self.0.as_slice()
            && *self == Self::whole(run.slot())
        {
            return Bytes::copy_from_slice(&run.slot().to_le_bytes());
        }
        let mut out = BytesMut::with_capacity(self.0.len() * Run::LEN);
        for run in &self.0 {
            out.put_u8(run.first << 4 | (run.count - 1));
            out.put_u64_le(run.at);
        }
        out.freeze()
    }

    /// Reads the stored form; `None` if it is damaged.
    #[must_use]
    pub fn decode(raw: &[u8]) -> Option<Self> {
        if let Ok(slot) = raw.try_into().map(u64::from_le_bytes) {
            return (slot <= u64::MAX / SLOT_SIZE).then(|| Self::whole(slot));
        }
        if raw.is_empty() || !raw.len().is_multiple_of(Run::LEN) {
            return None;
        }
        let mut runs: Vec<Run> = Vec::new();
        for mut raw in raw.chunks_exact(Run::LEN) {
            let units = raw.get_u8();
            let run = Run {
                first: units >> 4,
                count: (units & 15) + 1,
                at: raw.get_u64_le(),
            };
            let in_order = runs.last().is_none_or(|last| last.end() <= run.first);
            if !run.is_sound() || !in_order || run.at > u64::MAX / UNIT {
                return None;
            }
            runs.push(run);
        }
        Some(Self(runs))
    }
}

impl Objects {
    /// Where the units of a block stand that a clone keeps. `onode` is the clone's.
    ///
    /// # Errors
    /// If the store fails or the row is damaged.
    pub(super) fn kept_of(&self, onode: Option<u64>, block: u64) -> Result<Kept, StoreError> {
        let (Some(onode), Ok(block)) = (onode, u32::try_from(block)) else {
            return Ok(Kept::default());
        };
        match self.store().get(&keys::block(onode, block))? {
            Some(raw) => Kept::decode(&raw).ok_or(StoreError::Corrupt("block of a clone".into())),
            None => Ok(Kept::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

    use super::*;

    fn run(first: u8, count: u8, at: u64) -> Run {
        Run { first, count, at }
    }

    #[test]
    fn a_block_in_a_slot_of_its_own_is_stored_as_the_slots_number() {
        let kept = Kept::whole(7);
        assert_eq!(kept.encode()[..], 7_u64.to_le_bytes());
        assert_eq!(Kept::decode(&kept.encode()), Some(kept.clone()));
        assert_eq!(kept.units(), u16::MAX);
    }

    #[test]
    fn runs_read_back_as_written_and_damage_is_seen() {
        let mut kept = Kept::default();
        kept.add(run(9, 7, 100));
        kept.add(run(0, 1, 31));
        kept.add(run(4, 2, 16));
        let raw = kept.encode();
        let golden = [
            &[0x00][..],
            &31_u64.to_le_bytes(),
            &[0x41],
            &16_u64.to_le_bytes(),
            &[0x96],
            &100_u64.to_le_bytes(),
        ];
        assert_eq!(raw[..], golden.concat());
        assert_eq!(Kept::decode(&raw), Some(kept));
        for cut in (0..raw.len()).filter(|cut| !cut.is_multiple_of(9)) {
            let whole = Kept::decode(&raw[..cut]);
            assert_eq!(whole.is_some(), cut == 8, "eight bytes are a slot's number");
        }
        assert_eq!(Kept::decode(&[]), None);
        // Beyond the block, beyond the slot, and units twice.
        for (units, at) in [(0xf1_u8, 0_u64), (0x03, 13), (0x00, u64::MAX)] {
            assert_eq!(Kept::decode(&[&[units][..], &at.to_le_bytes()].concat()), None);
        }
        assert_eq!(Kept::decode(&[&raw[9..18], &raw[9..18]].concat()), None);
    }

    #[test]
    fn neighbours_in_block_and_slot_are_one_run() {
        let mut kept = Kept::default();
        kept.add(run(3, 2, 20));
        kept.add(run(5, 1, 22));
        assert_eq!(kept.runs().collect::<Vec<_>>(), [run(3, 3, 20)]);
        // Two slots.
        kept.add(run(6, 1, 40));
        let mut two = Kept::default();
        two.add(run(0, 1, 31));
        two.add(run(1, 1, 32));
        assert_eq!((kept.runs().count(), two.runs().count()), (2, 2));
    }

    #[test]
    fn a_part_of_the_units_stands_where_it_stood() {
        let mut kept = Kept::default();
        kept.add(run(0, 4, 16));
        kept.add(run(8, 8, 40));
        let part = kept.only(0b1000_0011_0000_1010);
        let runs: Vec<_> = part.runs().collect();
        assert_eq!(
            runs,
            [run(1, 1, 17), run(3, 1, 19), run(8, 2, 40), run(15, 1, 47)]
        );
        assert_eq!(part.units(), 0b1000_0011_0000_1010);
        assert!(kept.only(0b1111_0000).is_empty());
        assert_eq!(kept.only(u16::MAX), kept);
    }

    #[test]
    fn runs_of_bits_are_all_bits() {
        for bits in [0, 1, 0x8000, u16::MAX, 0b0110_1001_1100_0001] {
            let all = runs_of_bits(bits).fold(0, |all, (first, count)| all | super::bits(first, count));
            assert_eq!(all, bits);
        }
    }
}
