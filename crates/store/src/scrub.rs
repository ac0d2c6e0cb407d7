//! Scrubbing: reads what volumes hold, past the system's cache, and verifies it; gives sums to what has none; and ends what is suspect
//! after a crash ([`crate::regions`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::{
    buffers::Buffer,
    core::Core,
    disk::DiskFile,
    error::{Context, Result, StoreError},
    kv::Snapshot,
    layer::{Found, Layer},
    map::RESERVED,
    options::BLOCK,
    store::{Store, wait_for},
    sums::{NONE, PAGE_SPAN, sum_of},
    transaction::{Op, Seq, Transaction, VolumeId},
    volume::Volume,
    volumes::Volumes,
};

/// How much is read at a time, in bytes.
const PIECE: u64 = 1 << 20;
/// How often to look whether a volume is due.
const LOOK: Duration = Duration::from_secs(10);
/// Offsets of damaged blocks that a volume's record has at most.
const RECORDED: usize = 1000;

/// How a volume is scrubbed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrub {
    /// Gives sums to blocks that have none.
    pub add_sums: bool,
    /// Takes damaged blocks as they are: they get new sums.
    pub accept: bool,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Bytes that were read.
    pub bytes: u64,
    /// Offsets of blocks that are not what was written.
    pub damaged: Vec<u64>,
    /// It was not ended before its end.
    pub complete: bool,
}

/// What is known of whether data is what was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integrity {
    /// Damaged blocks: the volume's name, its id and the offset.
    pub damaged: Vec<(String, VolumeId, u64)>,
    /// How often a damaged block was met since the store was opened.
    pub met: u64,
    /// Bytes that were scrubbed since the store was opened.
    pub scrubbed: u64,
    /// How many volumes were scrubbed to their end.
    pub scrubs: u64,
    /// The volume that is being scrubbed.
    pub scrubbing: Option<String>,
    /// Unfinished direct writes may have left blocks that are verified by no sum before a crash.
    pub suspect: bool,
}

#[derive(Default)]
struct Work {
    closing: bool,
    /// Volumes to be scrubbed before others.
    asked: BTreeSet<VolumeId>,
    /// When each was scrubbed last, or made: seconds since 1970.
    last: BTreeMap<VolumeId, u64>,
    scrubbing: Option<VolumeId>,
    /// None is to be scrubbed for now, but for what is suspect.
    held: bool,
}

/// What the scrubbing thread works by.
#[derive(Default)]
pub(crate) struct Scrubber {
    work: Mutex<Work>,
    wake: Condvar,
    bytes: AtomicU64,
    volumes: AtomicU64,
}

impl Scrubber {
    /// Takes a volume for scrubbed at a time, in seconds since 1970: it is new.
    pub(crate) fn made(&self, volume: VolumeId, at: u64) {
        self.work.lock().last.insert(volume, at);
    }

    /// Forgets a volume that is deleted.
    pub(crate) fn forget(&self, volume: VolumeId) {
        self.work.lock().last.remove(&volume);
    }

    pub(crate) fn close(&self) {
        self.work.lock().closing = true;
        self.wake.notify_all();
    }
}

fn key(table: u8, volume: VolumeId) -> Bytes {
    let mut key = vec![RESERVED, table];
    key.extend_from_slice(&volume.0.to_be_bytes());
    key.into()
}

/// Says that a volume has sums.
fn row_of_sums(volume: VolumeId) -> Op {
    Op::Put {
        key: key(b'S', volume),
        value: Bytes::from_static(&[1]),
    }
}

/// Says when a volume was scrubbed last, and which blocks are damaged.
fn row_of_scrub(volume: VolumeId, at: u64, damaged: &[u64]) -> Op {
    let words = std::iter::once(&at).chain(damaged.iter().take(RECORDED));
    Op::Put {
        key: key(b'L', volume),
        value: words.flat_map(|word| word.to_le_bytes()).collect(),
    }
}

/// Whether such rows can be read.
pub(crate) fn is_row(table: u8, value: &[u8]) -> bool {
    match table {
        b'S' => value == [1],
        _ => !value.is_empty() && value.len().is_multiple_of(8),
    }
}

/// The rows of a volume that is made with sums, at a time in seconds since 1970.
pub(crate) fn rows_of_new(volume: VolumeId, at: u64) -> [Op; 2] {
    [row_of_sums(volume), row_of_scrub(volume, at, &[])]
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Says of volumes that they have sums, as rows over those of `snapshot` say. Returns which have.
pub(crate) fn keep_sums(volumes: &Volumes, layer: &Layer, snapshot: &Snapshot) -> Result<BTreeSet<VolumeId>> {
    let mut with_sums = BTreeSet::new();
    for volume in volumes.all() {
        let key = key(b'S', volume.id);
        let has = match layer.get(&key) {
            Found::Value(_) => true,
            Found::Deleted => false,
            Found::Below => snapshot.get(&key)?.is_some(),
        };
        if has {
            with_sums.insert(volume.id);
            if !volume.sums.are_kept() {
                volume.sums.keep()?;
            }
        }
    }
    Ok(with_sums)
}

impl Core {
    /// What goes with a deleted volume.
    pub(crate) fn forget_rows(&self, volume: VolumeId) -> Vec<Op> {
        let kept = self
            .volumes
            .get(volume)
            .is_ok_and(|volume| volume.sums.are_kept());
        let tables = if kept { &b"SL"[..] } else { &[] };
        let rows = tables.iter().map(|table| Op::Delete {
            key: key(*table, volume),
        });
        rows.collect()
    }

    /// Takes up what earlier scrubs recorded.
    pub(crate) fn load_scrubs(&self) -> Result<()> {
        let rows = self
            .meta
            .scan(&[RESERVED, b'L'], Some(&[RESERVED, b'L' + 1]), usize::MAX)?;
        for (key, value) in rows {
            let id = key.get(2..).and_then(|id| id.try_into().ok());
            let mut words = value.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
            let (Some(id), Some(at)) = (id, words.next()) else {
                return Err(StoreError::corrupt("the record of a scrub"));
            };
            let id = VolumeId(u64::from_be_bytes(id));
            self.scrubber.work.lock().last.insert(id, at);
            for offset in words {
                self.damaged.remember(id, offset / BLOCK);
            }
        }
        Ok(())
    }

    /// Scrubs some ranges of a volume. `go_on` is asked after each piece, whose length it is told.
    fn scrub_ranges(
        &self,
        volume: &Arc<Volume>,
        ranges: &[(u64, u64)],
        how: Scrub,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Scrubbed> {
        let mut outcome = Scrubbed::default();
        let Some(file) = self.volumes.file(volume)? else {
            outcome.complete = true;
            return Ok(outcome);
        };
        let size = volume.size().next_multiple_of(BLOCK);
        for (start, end) in ranges {
            let mut at = *start;
            while let Some(from) = self
                .next_used(volume, &*file, at)?
                .filter(|from| from < end.min(&size))
            {
                let len = PIECE.min(end.min(&size) - from);
                self.scrub_piece(volume, &*file, from, len, how, &mut outcome)?;
                outcome.bytes += len;
                self.scrubber.bytes.fetch_add(len, Relaxed);
                at = from + len;
                if !go_on(len) || volume.deleted.load(Relaxed) {
                    return Ok(outcome);
                }
            }
        }
        // Before anything is said of them.
        let written = self.sums.flush(volume).and_then(|()| volume.sums.sync());
        if let Err(error) = written {
            self.fail("sums", &error);
            return Err(error);
        }
        outcome.complete = true;
        Ok(outcome)
    }

    /// The next piece with data or with sums, from `at` on.
    fn next_used(&self, volume: &Volume, file: &dyn DiskFile, at: u64) -> Result<Option<u64>> {
        let data = file
            .next_data(at)
            .context(|| format!("find data in volume {}", volume.name))?;
        let data = data.map(|(start, _)| start.max(at) / BLOCK * BLOCK);
        let sums = volume.sums.next_used(at / PAGE_SPAN)?;
        let sums = sums.map(|page| (page * PAGE_SPAN).max(at));
        Ok(data.into_iter().chain(sums).min())
    }

    fn scrub_piece(
        &self,
        volume: &Arc<Volume>,
        file: &dyn DiskFile,
        start: u64,
        len: u64,
        how: Scrub,
        outcome: &mut Scrubbed,
    ) -> Result<()> {
        let mut buffer = Buffer::new(len as usize);
        let buf = buffer.as_mut();
        let overlay = volume.overlay(start, len);
        let cached = volume.read_cached_at(file, start, buf);
        file.drop_cache(start, len);
        volume.read_at(file, start, buf)?;
        let wrong = self.wrong_blocks(volume, start, buf, &overlay, true)?;
        self.damaged
            .forget(volume.id, start / BLOCK, (start + len) / BLOCK);
        if wrong.is_some_and(|wrong| !wrong.is_empty()) {
            let (_, damaged) = self.look_again(volume, file, start, buf)?;
            if how.accept {
                self.give_sums(volume, file, start, buf, |block, _| damaged.contains(&block))?;
                self.damaged
                    .forget(volume.id, start / BLOCK, (start + len) / BLOCK);
            }
            outcome.damaged.extend(damaged.iter().map(|block| block * BLOCK));
        }
        if how.add_sums {
            self.give_sums(volume, file, start, buf, |_, sum| sum == NONE)?;
        }
        if !cached {
            file.drop_cache(start, len);
        }
        Ok(())
    }

    /// Gives sums to blocks of a piece that has been read, if `wanted` says so of the block and its sum.
    fn give_sums(
        &self,
        volume: &Arc<Volume>,
        file: &dyn DiskFile,
        start: u64,
        buf: &mut [u8],
        wanted: impl Fn(u64, u32) -> bool,
    ) -> Result<()> {
        let first = start / BLOCK;
        let mut sums = vec![NONE; buf.len() / BLOCK as usize];
        self.sums.get(volume, first, &mut sums, true)?;
        let is_data = |buf: &[u8], at: usize| {
            let block = buf.get(at * BLOCK as usize..(at + 1) * BLOCK as usize);
            block.is_some_and(|block| block.iter().any(|byte| *byte != 0))
        };
        let is_wanted = |buf: &[u8], at: usize, sum: u32| {
            wanted(first + at as u64, sum) && (sum != NONE || is_data(buf, at))
        };
        let wants = |(at, sum): (usize, &u32)| is_wanted(buf, at, *sum);
        if !sums.iter().enumerate().any(wants) {
            return Ok(());
        }
        match volume.sums.allocate(start, start + buf.len() as u64) {
            // Another time.
            Err(StoreError::NoSpace(_)) => return Ok(()),
            done => done?,
        }
        let _settling = volume.settling.lock();
        let overlay = volume.overlay(start, buf.len() as u64);
        volume.read_at(file, start, buf)?;
        self.sums.get(volume, first, &mut sums, true)?;
        for (at, sum) in sums.iter().enumerate() {
            let (block, from) = (first + at as u64, start + at as u64 * BLOCK);
            let changing = overlay
                .iter()
                .any(|extent| extent.offset < from + BLOCK && from < extent.offset + extent.len);
            if !changing && is_wanted(buf, at, *sum) {
                let content = &buf[at * BLOCK as usize..(at + 1) * BLOCK as usize];
                self.sums.set(volume, block, &[sum_of(content)])?;
            }
        }
        self.note_dirty_sums(volume);
        Ok(())
    }

    fn wait_durable(&self, seq: Seq) -> Result<()> {
        while self.options.stepped && !self.waiters.is_durable(seq) {
            if !self.step_any()? {
                return Err(StoreError::Closed);
            }
        }
        wait_for(|told| self.waiters.after_alone(seq, told))
    }

    /// Has sums kept of a volume that has none.
    fn begin_sums(&self, volume: &Arc<Volume>) -> Result<()> {
        let mut tx = Transaction::new();
        tx.ops.push(row_of_sums(volume.id));
        let seq = self.submit_rows(tx)?;
        // No sum before it is certain that the next opening knows of them: it would take them for those of later data.
        self.wait_durable(seq)?;
        volume.sums.begin()?;
        volume.forget_all_allocated();
        if volume.size() > 0 {
            volume.create_file()?;
        }
        Ok(())
    }

    /// Scrubs all of a volume, and records it.
    fn scrub_volume(
        &self,
        volume: &Arc<Volume>,
        how: Scrub,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Scrubbed> {
        if !volume.sums.are_kept() {
            if volume.remote().is_some() || !self.options.checksums || !how.add_sums {
                return Ok(Scrubbed::default());
            }
            self.begin_sums(volume)?;
        }
        let outcome = self.scrub_ranges(volume, &[(0, u64::MAX)], how, go_on)?;
        if !outcome.complete || volume.deleted.load(Relaxed) {
            return Ok(outcome);
        }
        self.scrubber.volumes.fetch_add(1, Relaxed);
        self.no_longer_suspect(volume.id)?;
        let at = now();
        let mut tx = Transaction::new();
        tx.ops
            .push(row_of_scrub(volume.id, at, &self.damaged.of(volume.id)));
        self.submit_rows(tx)?;
        self.scrubber.work.lock().last.insert(volume.id, at);
        Ok(outcome)
    }

    /// What is next to be done in the background: a volume, and whether all of it is to be read.
    fn next_scrub(&self) -> Option<(Arc<Volume>, bool)> {
        let mut work = self.scrubber.work.lock();
        while let Some(id) = work.asked.pop_first() {
            if let Ok(volume) = self.volumes.get(id) {
                return Some((volume, true));
            }
        }
        let volumes = self.volumes.all();
        let on_files = || volumes.iter().filter(|volume| volume.remote().is_none());
        if let Some(id) = self.regions.first_suspect()
            && let Some(volume) = on_files().find(|volume| volume.id == id)
        {
            return Some((Arc::clone(volume), false));
        }
        let interval = self.options.scrub_interval.as_secs();
        let now = now();
        let due = |volume: &&Arc<Volume>| {
            let last = work.last.get(&volume.id).copied();
            // A clock that was set back does not put it off for ever.
            let age = |last: u64| now.checked_sub(last).unwrap_or(interval);
            let has = volume.sums.are_kept() || self.options.checksums;
            interval > 0 && !work.held && has && last.is_none_or(|last| age(last) >= interval)
        };
        let oldest = |volume: &&Arc<Volume>| work.last.get(&volume.id).copied();
        let next = on_files().filter(due).min_by_key(oldest)?;
        Some((Arc::clone(next), true))
    }
}

/// The scrubbing thread.
pub(crate) fn run_scrub(core: &Core) {
    // Behind everything else; if it cannot be, it is still held back by its rate.
    let _ = rustix::process::setpriority_process(None, 19);
    let mut clock = 0;
    loop {
        let closing = |work: &Work| work.closing || core.has_failed();
        let next = core.next_scrub();
        {
            let mut work = core.scrubber.work.lock();
            if closing(&work) {
                return;
            }
            match &next {
                Some((volume, _)) => work.scrubbing = Some(volume.id),
                None => {
                    core.scrubber.wake.wait_for(&mut work, LOOK);
                }
            }
        }
        if next.is_none() {
            // What fails here fails elsewhere, too, and is told there.
            clock = core.end_idle_marks(clock).unwrap_or(clock);
        }
        let Some((volume, all)) = next else { continue };
        let done = scrub_in_background(core, &volume, all);
        let mut work = core.scrubber.work.lock();
        work.scrubbing = None;
        if let Err(error) = done
            && !closing(&work)
        {
            tracing::error!(volume = %volume.name, %error, "a scrub was given up");
            // Not at once again.
            work.last.insert(volume.id, now());
            core.scrubber.wake.wait_for(&mut work, LOOK);
        }
    }
}

fn scrub_in_background(core: &Core, volume: &Arc<Volume>, all: bool) -> Result<()> {
    let began = Instant::now();
    let mut read = 0;
    let mut go_on = |len: u64| {
        read += len;
        let rate = core.options.scrub_bytes_per_second.max(1);
        let due = began + Duration::from_secs_f64(read as f64 / rate as f64);
        let mut work = core.scrubber.work.lock();
        while !work.closing && !core.has_failed() {
            if all && work.held {
                core.scrubber.wake.wait_for(&mut work, LOOK);
            } else if core.scrubber.wake.wait_until(&mut work, due).timed_out() {
                break;
            }
        }
        !work.closing && !core.has_failed()
    };
    let how = Scrub {
        add_sums: true,
        accept: false,
    };
    if !all {
        let ranges = core.regions.suspect_in(volume.id);
        if core.scrub_ranges(volume, &ranges, how, &mut go_on)?.complete {
            core.no_longer_suspect(volume.id)?;
            tracing::info!(volume = %volume.name, "what unfinished writes left is summed up");
        }
        return Ok(());
    }
    let scrubbed = core.scrub_volume(volume, how, &mut go_on)?;
    let (name, bytes) = (&volume.name, scrubbed.bytes);
    match scrubbed.damaged.len() {
        0 => tracing::debug!(volume = %name, bytes, "scrubbed"),
        damaged => {
            tracing::error!(volume = %name, bytes, damaged, "scrubbed: blocks are not what was written to them");
        }
    }
    Ok(())
}

impl Store {
    /// Reads all of a volume and verifies it. `go_on` is told the length of each piece that was read, and may end it.
    ///
    /// Blocks. Errors are those of the disk; what is damaged stands in the outcome.
    pub fn scrub(
        &self,
        volume: VolumeId,
        how: Scrub,
        mut go_on: impl FnMut(u64) -> bool,
    ) -> Result<Scrubbed> {
        let core = self.core();
        core.check_failed()?;
        let volume = core.volumes.get(volume)?;
        core.scrub_volume(&volume, how, &mut go_on)
    }

    /// Has a volume scrubbed in the background before others.
    pub fn ask_scrub(&self, volume: VolumeId) {
        let scrubber = &self.core().scrubber;
        scrubber.work.lock().asked.insert(volume);
        scrubber.wake.notify_all();
    }

    /// Holds scrubbing back, or lets it go on.
    pub fn hold_scrubs(&self, hold: bool) {
        let scrubber = &self.core().scrubber;
        let held = std::mem::replace(&mut scrubber.work.lock().held, hold);
        if held && !hold {
            scrubber.wake.notify_all();
        }
    }

    /// What is known of whether data is what was written.
    #[must_use]
    pub fn integrity(&self) -> Integrity {
        let core = self.core();
        let name = |id: VolumeId| {
            let volume = core.volumes.get(id);
            volume.map_or_else(|_| id.to_string(), |volume| volume.name.to_string())
        };
        let damaged = core.damaged.all();
        let scrubbing = core.scrubber.work.lock().scrubbing;
        Integrity {
            damaged: damaged
                .into_iter()
                .map(|(id, offset)| (name(id), id, offset))
                .collect(),
            met: core.damaged.met(),
            scrubbed: core.scrubber.bytes.load(Relaxed),
            scrubs: core.scrubber.volumes.load(Relaxed),
            scrubbing: scrubbing.map(name),
            suspect: core.regions.first_suspect().is_some(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn a_volume_that_was_just_made_is_not_due_for_a_scrub() {
        let dir = tempfile::tempdir().unwrap();
        // Without the thread that would scrub it.
        let mut options = Options::new(dir.path());
        options.stepped = true;
        let store = Store::open(options).unwrap();
        let volume = store.volume("new").unwrap();
        assert!(store.core().next_scrub().is_none());
        // As it would be, had it been made long ago.
        store.core().scrubber.made(volume, 0);
        assert!(store.core().next_scrub().is_some());
    }
}
