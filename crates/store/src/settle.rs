//! Changes of volume files together with the sums of their blocks.

use std::sync::Arc;

use crate::{
    core::Core,
    disk::DiskFile,
    error::Result,
    options::BLOCK,
    sums::{self, BlockSums, NONE, ROTTEN, sum_of, whole_blocks},
    volume::Volume,
};

/// What becomes of a part of a block.
enum Part<'a> {
    Data(&'a [u8]),
    Zeros,
}

/// A part of a block that is changed, from and to within it.
struct Change<'a> {
    block: u64,
    from: usize,
    to: usize,
    part: Part<'a>,
}

impl Core {
    /// Writes journaled data. `known`: the sums of its blocks, if they were made when it was journaled.
    pub(crate) fn settle_write(
        &self,
        volume: &Arc<Volume>,
        file: &dyn DiskFile,
        offset: u64,
        data: &[u8],
        known: BlockSums,
    ) -> Result<()> {
        if !volume.sums.are_kept() {
            return volume.write_at(file, offset, data);
        }
        let _settling = volume.settling.lock();
        let end = offset + data.len() as u64;
        let (first, last) = (offset / BLOCK, end.div_ceil(BLOCK));
        let mut found = known;
        found.reserve_exact((last - first) as usize - found.len());
        for block in first + found.len() as u64..last {
            let start = block * BLOCK;
            let (from, to) = (offset.max(start), end.min(start + BLOCK));
            let part = &data[(from - offset) as usize..(to - offset) as usize];
            found.push(if part.len() as u64 == BLOCK {
                sum_of(part)
            } else {
                let change = Change {
                    block,
                    from: (from - start) as usize,
                    to: (to - start) as usize,
                    part: Part::Data(part),
                };
                self.sum_of_changed(volume, file, change)?
            });
        }
        volume.write_at(file, offset, data)?;
        self.sums.set(volume, first, &found)?;
        self.settled(volume, whole_blocks(offset, data.len() as u64));
        Ok(())
    }

    /// Discards a range.
    pub(crate) fn settle_discard(
        &self,
        volume: &Arc<Volume>,
        file: &dyn DiskFile,
        offset: u64,
        len: u64,
    ) -> Result<()> {
        if !volume.sums.are_kept() {
            return volume.punch(file, offset, len);
        }
        let _settling = volume.settling.lock();
        let end = offset + len;
        let (first, last) = whole_blocks(offset, len);
        let mut found = Vec::new();
        let mut edges: Vec<u64> = [offset, end]
            .into_iter()
            .filter(|at| at % BLOCK != 0)
            .map(|at| at / BLOCK)
            .collect();
        edges.dedup();
        for block in edges {
            let start = block * BLOCK;
            let change = Change {
                block,
                from: (offset.max(start) - start) as usize,
                to: (end.min(start + BLOCK) - start) as usize,
                part: Part::Zeros,
            };
            found.push((block, self.sum_of_changed(volume, file, change)?));
        }
        volume.punch(file, offset, len)?;
        self.sums.clear(volume, first, last)?;
        for (block, sum) in found {
            self.sums.set(volume, block, &[sum])?;
        }
        self.settled(volume, (first, last));
        Ok(())
    }

    /// The data of a direct write is in the file, and the journal names it: its sums count from now on.
    pub(crate) fn settle_direct(
        &self,
        volume: &Arc<Volume>,
        offset: u64,
        len: u64,
        found: &[u8],
    ) -> Result<()> {
        if !volume.sums.are_kept() {
            return Ok(());
        }
        let _settling = volume.settling.lock();
        let (first, end) = whole_blocks(offset, len);
        let mut new: Vec<u32> = sums::decode(found).collect();
        new.resize((end - first) as usize, NONE);
        self.sums.set(volume, first, &new)?;
        self.settled(volume, (first, end));
        Ok(())
    }

    /// The blocks from `first` up to and without `end` are new, and so are their sums and those at the edges.
    fn settled(&self, volume: &Arc<Volume>, (first, end): (u64, u64)) {
        self.damaged.forget(volume.id, first, end);
        self.note_dirty_sums(volume);
    }

    /// Writes directly what covers blocks in part: they have no sums then.
    pub(crate) fn write_odd_direct(
        &self,
        volume: &Arc<Volume>,
        file: &dyn DiskFile,
        offset: u64,
        data: &[u8],
    ) -> Result<()> {
        let _settling = volume.settling.lock();
        for at in [offset, offset + data.len() as u64] {
            if at % BLOCK != 0 {
                self.sums.set(volume, at / BLOCK, &[NONE])?;
            }
        }
        self.note_dirty_sums(volume);
        volume.write_durable_at(file, offset, data)
    }

    /// The sum that a block has with a part of it changed. The rest of it is verified before.
    fn sum_of_changed(&self, volume: &Volume, file: &dyn DiskFile, change: Change<'_>) -> Result<u32> {
        let block = change.block;
        let sum = self.sums.get_one(volume, block)?;
        if sum == ROTTEN || (sum == NONE && matches!(change.part, Part::Zeros)) {
            return Ok(sum);
        }
        let mut content = [0; BLOCK as usize];
        volume.read_at(file, block * BLOCK, &mut content)?;
        if sum != NONE && sum_of(&content) != sum {
            // Once more, past the system's cache.
            file.drop_cache(block * BLOCK, BLOCK);
            volume.read_at(file, block * BLOCK, &mut content)?;
            let suspect = || self.regions.is_suspect(volume.id, block * BLOCK);
            if sum_of(&content) != sum && !suspect() {
                self.found_damage(volume, block);
                // Durable before the change: a replay could not tell it from what a crash left.
                self.sums.set_durable(volume, block, ROTTEN)?;
                return Ok(ROTTEN);
            }
        }
        let target = &mut content[change.from..change.to];
        match change.part {
            Part::Data(data) => target.copy_from_slice(data),
            Part::Zeros => target.fill(0),
        }
        Ok(sum_of(&content))
    }

    /// Notes a block that is not what was written, and says so once.
    pub(crate) fn found_damage(&self, volume: &Volume, block: u64) {
        if self.damaged.note(volume.id, block) {
            tracing::error!(
                volume = %volume.name,
                offset = block * BLOCK,
                "a block is not what was written to it: it cannot be read until it is written anew"
            );
        }
    }

    /// Notes that a volume has sums that no fdatasync has covered. After they were changed.
    pub(crate) fn note_dirty_sums(&self, volume: &Arc<Volume>) {
        let mut dirty = self.dirty_sums.lock();
        dirty.entry(volume.id).or_insert_with(|| Arc::clone(volume));
    }

    /// Writes and syncs all sums that were changed.
    pub(crate) fn sync_sums(&self) -> Result<()> {
        let dirty = std::mem::take(&mut *self.dirty_sums.lock());
        for volume in dirty.into_values() {
            self.sums.flush(&volume)?;
            volume.sums.sync()?;
        }
        Ok(())
    }

    /// Writes changed sums where they take much memory.
    pub(crate) fn relieve_sums(&self) -> Result<()> {
        if !self.sums.is_full() {
            return Ok(());
        }
        let dirty: Vec<Arc<Volume>> = self.dirty_sums.lock().values().cloned().collect();
        dirty.iter().try_for_each(|volume| self.sums.flush(volume))
    }
}
