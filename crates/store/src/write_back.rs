//! What changes left in the page cache is written to the disk, in turns that leave the journal room in the disk's queue.

use std::{collections::BTreeMap, io, mem, sync::Arc};

use crate::{
    core::Core,
    disk::DiskFile,
    error::{Context, Result},
    options::BLOCK,
    transaction::VolumeId,
    volume::Volume,
};

/// So many ranges are one turn: each may be a request of its own to the disk.
const TURN_RANGES: usize = 32;
/// So many bytes are.
const TURN_BYTES: u64 = 256 << 10;
/// So many bytes may come meanwhile and be left to fdatasync, which puts all into the disk's queue at once.
const LEFT_TO_SYNC: u64 = 4 << 20;

/// What of a volume is in its file, and in no fdatasync yet.
pub(crate) struct Dirty {
    volume: Arc<Volume>,
    /// Offsets and ends in bytes, as they were written. What changed otherwise than by writes is not among them.
    ranges: Vec<(u64, u64)>,
}

impl Dirty {
    fn add(&mut self, offset: u64, end: u64) {
        match self.ranges.last_mut() {
            Some((_, last)) if *last == offset => *last = end,
            _ if offset < end => self.ranges.push((offset, end)),
            _ => {}
        }
    }
}

/// Notes that a file has changes that no fdatasync has covered, `len` bytes written at `offset`, or others with 0. After the change: a
/// checkpoint that takes the note away in between must not be the one that should have covered it.
pub(crate) fn note(core: &Core, volume: &Arc<Volume>, offset: u64, len: u64) {
    let mut dirty = core.dirty.lock();
    let dirty = dirty.entry(volume.id).or_insert_with(|| Dirty {
        volume: Arc::clone(volume),
        ranges: Vec::new(),
    });
    dirty.add(offset, offset + len);
}

/// Makes durable what is in the files of volumes.
pub(crate) fn sync_volumes(core: &Core) -> Result<()> {
    let mut written = BTreeMap::new();
    let mut before = u64::MAX;
    // What comes while the files are written back is in them, too, and would be left to fdatasync. Where it does not become much less each time the
    // journal would be full before it is little.
    loop {
        let bytes = write_back(core, &mut written)?;
        if bytes <= LEFT_TO_SYNC || bytes > before / 2 || is_urgent(core) {
            break;
        }
        before = bytes;
    }
    for volume in written.into_values() {
        if let Some(file) = core.volumes.file(&volume)? {
            file.sync_data()
                .context(|| format!("fdatasync of {}", volume.id))?;
        }
    }
    Ok(())
}

/// Writes to the disk what is noted, and puts down which volumes that is in: their files are more than may be open at a time. Returns how many
/// bytes it was.
fn write_back(core: &Core, written: &mut BTreeMap<VolumeId, Arc<Volume>>) -> Result<u64> {
    let dirty = mem::take(&mut *core.dirty.lock());
    let mut bytes = 0;
    for Dirty { volume, ranges } in dirty.into_values() {
        // A deleted volume has no file any more.
        let Some(file) = core.volumes.file(&volume)? else {
            continue;
        };
        bytes += ranges.iter().map(|&(start, end)| blocks(start, end)).sum::<u64>();
        write_in_turns(&*file, ranges, || !is_urgent(core))
            .context(|| format!("write back {}", volume.id))?;
        written.insert(volume.id, volume);
    }
    Ok(bytes)
}

/// Whether writers will soon wait for the checkpoint: then the disk had better have all at once.
fn is_urgent(core: &Core) -> bool {
    let order = core.order.lock();
    order.head - order.tail > core.options.urgent_from()
}

/// Writes ranges to the disk, no more than two turns of them at a time, as long as `go_on` says so before each.
/// A fdatasync does the rest: it would put all of them into the disk's queue together, before what the journal writes.
fn write_in_turns(
    file: &dyn DiskFile,
    mut ranges: Vec<(u64, u64)>,
    go_on: impl Fn() -> bool,
) -> io::Result<()> {
    ranges.sort_unstable();
    let mut before = None;
    for (start, end) in turns(&ranges) {
        if !go_on() {
            break;
        }
        file.start_write_back(start, end - start)?;
        if let Some((start, end)) = before.replace((start, end)) {
            file.wait_write_back(start, end - start)?;
        }
    }
    Ok(())
}

/// The spans of the file that one turn each takes, of ranges that are sorted.
fn turns(ranges: &[(u64, u64)]) -> impl Iterator<Item = (u64, u64)> {
    let mut rest = ranges.iter().flat_map(|range| pieces(*range)).peekable();
    std::iter::from_fn(move || {
        let (start, mut end) = rest.next()?;
        let (mut count, mut bytes) = (1, blocks(start, end));
        while let Some(&(from, to)) = rest.peek()
            && count < TURN_RANGES
            && bytes + blocks(from, to) <= TURN_BYTES
        {
            rest.next();
            (count, bytes) = (count + 1, bytes + blocks(from, to));
            end = end.max(to);
        }
        Some((start, end))
    })
}

/// The parts of a range of which each may be in one turn.
fn pieces((start, end): (u64, u64)) -> impl Iterator<Item = (u64, u64)> {
    let starts = (start..end).step_by(TURN_BYTES as usize);
    starts.map(move |at| (at, end.min(at + TURN_BYTES)))
}

/// What is written to the disk for a range, in bytes.
fn blocks(start: u64, end: u64) -> u64 {
    end.next_multiple_of(BLOCK) - start / BLOCK * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    fn all_turns(ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
        turns(ranges).collect()
    }

    #[test]
    fn a_turn_has_so_many_small_ranges() {
        let ranges: Vec<_> = (0..70)
            .map(|i| (i * 100 * KIB, i * 100 * KIB + 4 * KIB))
            .collect();
        let ends = |from: u64, to: u64| (from * 100 * KIB, to * 100 * KIB + 4 * KIB);
        assert_eq!(all_turns(&ranges), [ends(0, 31), ends(32, 63), ends(64, 69)]);
    }

    #[test]
    fn a_turn_has_so_many_bytes_of_large_ranges() {
        let ranges = [
            (0, 128 * KIB),
            (512 * KIB, 640 * KIB),
            (1024 * KIB, 1028 * KIB),
            (2048 * KIB, 2560 * KIB + 4 * KIB),
            (5000 * KIB, 5004 * KIB),
        ];
        let expected = [
            (0, 640 * KIB),
            (1024 * KIB, 1028 * KIB),
            (2048 * KIB, 2304 * KIB),
            (2304 * KIB, 2560 * KIB),
            (2560 * KIB, 5004 * KIB),
        ];
        assert_eq!(all_turns(&ranges), expected);
    }

    #[test]
    fn a_turn_reaches_to_the_end_of_its_longest_range() {
        assert_eq!(all_turns(&[(0, 64 * KIB), (4 * KIB, 8 * KIB)]), [(0, 64 * KIB)]);
        assert_eq!(all_turns(&[]), []);
    }
}
