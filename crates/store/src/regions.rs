//! Where data is being written directly: what stands there after a crash may be neither what the sums say nor damaged.
//!
//! A direct write reaches the volume before the journal names it, and its sums come after that. So before the first one in a region
//! of a volume starts, the region is *marked*: a row of metadata lists the marked regions, and it is durable when the write starts. A
//! region stays marked until others push it out, so that writing on costs nothing; it is not pushed out while a write is under way
//! in it. What was marked when the store ended without being closed is *suspect* from then on: a block there whose sum is another is
//! taken for what an unfinished write left, which was never acknowledged, and gets a new sum. Scrubbing ends that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    core::{Core, DataKind, Queued},
    error::{Result, StoreError},
    map::RESERVED,
    transaction::{Op, Seq, Transaction, VolumeId},
};

/// The row that lists them: volume, offset and length of each, little endian.
pub(crate) const ROW: &[u8] = &[RESERVED, b'U'];
/// Stands for all volumes in the row.
const EVERYTHING: VolumeId = VolumeId(u64::MAX);
/// Marked regions that are kept without a write in them.
const KEPT: usize = 256;

/// A volume, and the number of a region in it, or [`WHOLE`].
type Region = (VolumeId, u64);

/// All of a volume.
const WHOLE: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Mark {
    /// Transactions that write there and are not applied yet.
    held: usize,
    /// The transaction that marks it; it cannot be written to before that has its place.
    by: Option<Seq>,
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    marked: BTreeMap<Region, Mark>,
    suspect: BTreeSet<Region>,
    clock: u64,
}

/// The regions of all volumes.
#[derive(Debug)]
pub(crate) struct Regions {
    /// Bytes of a region.
    size: u64,
    state: Mutex<State>,
    /// Held by who changes the row: rows take their places in the order in which they were made.
    changing: Mutex<()>,
}

/// Regions that a transaction writes to. They stay marked until it is dropped.
pub(crate) struct Held {
    of: Arc<Regions>,
    regions: Vec<Region>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        for region in &self.regions {
            if let Some(mark) = state.marked.get_mut(region) {
                mark.held -= 1;
            }
        }
    }
}

fn encode(regions: impl Iterator<Item = Region>, size: u64) -> Bytes {
    let words = |(volume, region): Region| match region {
        WHOLE => [volume.0, 0, u64::MAX],
        region => [volume.0, region * size, size],
    };
    regions.flat_map(words).flat_map(u64::to_le_bytes).collect()
}

/// The row that says that nothing is certain: files and journal are not of one time.
pub(crate) fn all_suspect() -> Bytes {
    encode(std::iter::once((EVERYTHING, WHOLE)), 0)
}

/// Whether such a row can be read.
pub(crate) fn is_row(row: &[u8]) -> bool {
    row.len().is_multiple_of(24)
}

impl Regions {
    /// What the row of a store says that is opened; `size`: bytes of a region from now on. `with_sums`: volumes that there are.
    pub(crate) fn new(size: u64, row: &[u8], with_sums: &BTreeSet<VolumeId>) -> Result<Self> {
        let mut state = State::default();
        let (words, rest) = row.as_chunks::<8>();
        let (entries, odd) = words.as_chunks::<3>();
        if !rest.is_empty() || !odd.is_empty() {
            return Err(StoreError::corrupt("the list of regions that are written to"));
        }
        for entry in entries {
            let [volume, offset, len] = entry.map(u64::from_le_bytes);
            let volume = VolumeId(volume);
            if volume == EVERYTHING {
                let all = with_sums.iter().map(|volume| (*volume, WHOLE));
                state.suspect.extend(all);
                continue;
            }
            let regions = match len {
                u64::MAX => WHOLE..WHOLE,
                len => offset / size..offset.saturating_add(len).div_ceil(size),
            };
            let whole = (len == u64::MAX).then_some(WHOLE);
            let known = regions.chain(whole).filter(|_| with_sums.contains(&volume));
            state.suspect.extend(known.map(|at| (volume, at)));
        }
        Ok(Self {
            size,
            state: Mutex::new(state),
            changing: Mutex::new(()),
        })
    }

    /// Whether a block with another sum may be what an unfinished write left.
    pub(crate) fn is_suspect(&self, volume: VolumeId, offset: u64) -> bool {
        let suspect = &self.state.lock().suspect;
        suspect.contains(&(volume, offset / self.size)) || suspect.contains(&(volume, WHOLE))
    }

    /// The suspect ranges of a volume.
    pub(crate) fn suspect_in(&self, volume: VolumeId) -> Vec<(u64, u64)> {
        let suspect = &self.state.lock().suspect;
        if suspect.contains(&(volume, WHOLE)) {
            return vec![(0, u64::MAX)];
        }
        let inside = suspect.range((volume, 0)..=(volume, u64::MAX));
        inside
            .map(|(_, at)| (at * self.size, (at + 1) * self.size))
            .collect()
    }

    /// A volume of which something is suspect.
    pub(crate) fn first_suspect(&self) -> Option<VolumeId> {
        self.state.lock().suspect.first().map(|(volume, _)| *volume)
    }

    /// Forgets a volume that is deleted.
    pub(crate) fn forget(&self, volume: VolumeId) {
        self.state.lock().suspect.retain(|(of, _)| *of != volume);
    }

    /// The row as it is when the store is closed: all writes have ended.
    pub(crate) fn row_at_close(&self) -> Bytes {
        encode(self.state.lock().suspect.iter().copied(), self.size)
    }

    /// Keeps regions marked, or to be marked.
    fn hold(self: &Arc<Self>, regions: BTreeSet<Region>) -> Held {
        let mut state = self.state.lock();
        state.clock += 1;
        let now = state.clock;
        for region in &regions {
            let mark = state.marked.entry(*region).or_default();
            mark.held += 1;
            mark.used = now;
        }
        Held {
            of: Arc::clone(self),
            regions: regions.into_iter().collect(),
        }
    }

    /// The transactions that marked them, if all of them are marked.
    fn marked_by(&self, held: &Held) -> Option<BTreeSet<Seq>> {
        let state = self.state.lock();
        held.regions
            .iter()
            .map(|region| state.marked.get(region).and_then(|mark| mark.by))
            .collect()
    }

    /// The row with all that is held, and up to `kept` with what was used last; the rest is no longer marked.
    fn next_row(&self, kept: usize) -> (Bytes, BTreeSet<Region>) {
        let mut state = self.state.lock();
        let mut idle: Vec<(u64, Region)> = state
            .marked
            .iter()
            .filter(|(_, mark)| mark.held == 0)
            .map(|(region, mark)| (mark.used, *region))
            .collect();
        idle.sort_unstable();
        let surplus = state.marked.len().saturating_sub(kept).min(idle.len());
        for (_, region) in idle.drain(..surplus) {
            state.marked.remove(&region);
        }
        let marked: BTreeSet<Region> = state.marked.keys().copied().collect();
        let all = state.suspect.union(&marked).copied();
        (encode(all, self.size), marked)
    }
}

impl Core {
    /// Has the regions marked that the direct writes of a transaction go to, before they start.
    pub(crate) fn mark_regions(&self, queued: &mut Queued) -> Result<()> {
        let mut wanted = BTreeSet::new();
        for op in &queued.data {
            if let DataKind::Direct { offset, data, .. } = &op.kind
                && op.volume.sums.are_kept()
            {
                let end = offset + data.len() as u64;
                let regions = offset / self.regions.size..end.div_ceil(self.regions.size);
                wanted.extend(regions.map(|at| (op.volume.id, at)));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let held = self.regions.hold(wanted);
        let by = match self.regions.marked_by(&held) {
            Some(by) => by,
            None => self.mark(&held)?,
        };
        queued.direct_behind.extend(by);
        queued.held = Some(held);
        Ok(())
    }

    /// Marks regions. Returns the transactions that did it.
    fn mark(&self, held: &Held) -> Result<BTreeSet<Seq>> {
        let _changing = self.regions.changing.lock();
        // Another may have done it meanwhile.
        if let Some(by) = self.regions.marked_by(held) {
            return Ok(by);
        }
        self.put_regions(KEPT)?;
        Ok(self.regions.marked_by(held).unwrap_or_default())
    }

    /// Records which regions are marked. The caller holds the lock for it.
    fn put_regions(&self, kept: usize) -> Result<()> {
        let (value, marked) = self.regions.next_row(kept);
        let mut tx = Transaction::new();
        tx.ops.push(Op::Put {
            key: Bytes::from_static(ROW),
            value,
        });
        let seq = self.submit_rows(tx)?;
        let mut state = self.regions.state.lock();
        for region in marked {
            if let Some(mark) = state.marked.get_mut(&region) {
                mark.by.get_or_insert(seq);
            }
        }
        Ok(())
    }

    /// The sums of a volume are right, and durable.
    pub(crate) fn no_longer_suspect(&self, volume: VolumeId) -> Result<()> {
        if self.regions.suspect_in(volume).is_empty() {
            return Ok(());
        }
        let _changing = self.regions.changing.lock();
        self.regions.forget(volume);
        self.put_regions(KEPT)
    }

    /// Ends all marks if nothing was written since `clock`. Returns how far it is.
    pub(crate) fn end_idle_marks(&self, clock: u64) -> Result<u64> {
        let idle = {
            let state = self.regions.state.lock();
            if state.clock != clock {
                return Ok(state.clock);
            }
            !state.marked.is_empty() && state.marked.values().all(|mark| mark.held == 0)
        };
        if idle {
            let _changing = self.regions.changing.lock();
            self.put_regions(0)?;
        }
        Ok(clock)
    }
}
