//! Sums after a crash: those of all that the journal has are made anew, as the files of sums may have been any time between the last
//! checkpoint and the end.
//!
//! A block that the journal covers as a whole gets the sum of what it says. One that it covers in part is taken as it stands when
//! all is written: of its old sum nobody knows which state of the block it was of.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    disk::DiskFile,
    error::Result,
    options::BLOCK,
    ranges::RangeSet,
    sums::{NONE, ROTTEN, SumCache, decode, sum_of, whole_blocks, whole_part},
    transaction::VolumeId,
    volume::Volume,
};

/// What whole blocks of a replayed range are.
pub(crate) enum Blocks<'a> {
    /// The range's bytes.
    Data(&'a [u8]),
    /// Sums of the whole blocks from this one on, maybe none.
    Sums(u64, &'a [u8]),
    Nothing,
}

#[derive(Default)]
pub(crate) struct Resum {
    sums: SumCache,
    /// Blocks that a change covers in part.
    odd: BTreeMap<VolumeId, BTreeSet<u64>>,
}

impl Resum {
    /// Takes up a range that was brought up to date. Each byte comes once.
    pub(crate) fn add(
        &mut self,
        volume: &Arc<Volume>,
        from: u64,
        to: u64,
        blocks: &Blocks<'_>,
    ) -> Result<()> {
        if !volume.sums.are_kept() {
            return Ok(());
        }
        let odd = [from, to].into_iter().filter(|at| at % BLOCK != 0);
        self.odd
            .entry(volume.id)
            .or_default()
            .extend(odd.map(|at| at / BLOCK));
        let (first, end) = whole_blocks(from, to - from);
        if first == end {
            return Ok(());
        }
        let found: Vec<u32> = match blocks {
            Blocks::Nothing => return self.sums.clear(volume, first, end),
            Blocks::Data(data) => whole_part(from, data)
                .chunks(BLOCK as usize)
                .map(sum_of)
                .collect(),
            Blocks::Sums(start, sums) => {
                let known = decode(sums).skip((first - start) as usize);
                let known = known.chain(std::iter::repeat(NONE));
                known.take((end - first) as usize).collect()
            }
        };
        self.sums.set(volume, first, &found)?;
        if self.sums.is_full() {
            self.sums.flush(volume)?;
        }
        Ok(())
    }

    /// Sums up what was covered in part, and writes all sums of a volume, durably. `covered`: what the journal has of it.
    pub(crate) fn finish(
        &mut self,
        volume: &Arc<Volume>,
        file: Option<&dyn DiskFile>,
        covered: &RangeSet,
    ) -> Result<()> {
        if !volume.sums.are_kept() {
            return Ok(());
        }
        if let Some(file) = file {
            for block in self.odd.remove(&volume.id).unwrap_or_default() {
                let (start, end) = (block * BLOCK, (block + 1) * BLOCK);
                let sum = self.sums.get_one(volume, block)?;
                if sum == ROTTEN && !covered.contains(start, end) {
                    continue;
                }
                let mut content = [0; BLOCK as usize];
                volume.read_at(file, start, &mut content)?;
                // A hole stays without.
                if sum != NONE || content != [0; BLOCK as usize] {
                    self.sums.set(volume, block, &[sum_of(&content)])?;
                }
            }
        }
        self.sums.flush(volume)?;
        volume.sums.sync()
    }
}
