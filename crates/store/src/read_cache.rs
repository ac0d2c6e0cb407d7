//! Large pieces of volumes, kept in memory: what was lately written or read at once is read again without the disk, and without a copy
//! or a checksum. Large writes go past the system's cache, so without this they have to be read from the disk; and for devices there is
//! no other cache.
//!
//! What is kept is what readers see: a change makes a hole as soon as it is submitted, and what is read while it changes is not kept.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use pages::spares;
use parking_lot::{RwLock, RwLockWriteGuard};

use crate::{
    memory::Held,
    piece::{Kept, Piece},
    ranges::overlap,
    transaction::VolumeId,
};

/// What is kept of all volumes.
#[derive(Debug)]
pub(crate) struct ReadCache {
    /// The most bytes that are kept; 0 for nothing at all.
    limit: usize,
    /// Shorter pieces are not kept.
    least: usize,
    clock: AtomicU64,
    found: AtomicU64,
    missed: AtomicU64,
    pieces: RwLock<Pieces>,
}

/// Where a piece lies: volume and offset.
type Place = (VolumeId, u64);

/// The pieces, disjoint.
#[derive(Debug, Default)]
struct Pieces {
    kept: BTreeMap<Place, Piece>,
    /// Their bytes.
    bytes: usize,
    /// The same by [`Piece::queued`].
    queue: BTreeMap<u64, Place>,
    /// Reads under way that are to be kept.
    readings: Vec<Expected>,
    /// Room for what is not used of the cache's memory.
    room: spares::Room,
}

#[derive(Debug)]
struct Expected {
    ticket: u64,
    volume: VolumeId,
    range: Range<u64>,
}

impl Expected {
    fn touches(&self, volume: VolumeId, range: &Range<u64>) -> bool {
        self.volume == volume && overlap((self.range.start, self.range.end), (range.start, range.end))
    }
}

impl Pieces {
    /// The pieces that touch a range, the last first.
    fn touching<'a>(
        &'a self,
        volume: VolumeId,
        range: &Range<u64>,
    ) -> impl Iterator<Item = (Place, &'a Piece)> + use<'a> {
        let start = range.start;
        let before = self.kept.range((volume, 0)..(volume, range.end)).rev();
        before
            .map(|(place, piece)| (*place, piece))
            .take_while(move |(_, piece)| start < piece.range().end)
    }

    /// The piece that has all of a range.
    fn around(&self, volume: VolumeId, range: &Range<u64>) -> Option<&Piece> {
        let (_, piece) = self.touching(volume, range).next()?;
        let all = piece.range();
        (all.start <= range.start && range.end <= all.end).then_some(piece)
    }

    fn is_being_read(&self, volume: VolumeId, range: &Range<u64>) -> bool {
        self.readings.iter().any(|read| read.touches(volume, range))
    }

    /// Makes holes where a range touches pieces. Whether one of them is not worth keeping any more.
    fn pierce(&self, volume: VolumeId, range: &Range<u64>) -> bool {
        self.touching(volume, range)
            .fold(false, |worn, (_, piece)| piece.pierce(range) | worn)
    }

    /// Puts a piece where nothing is kept.
    fn insert(&mut self, place: Place, data: Bytes, now: u64) {
        self.bytes += data.len();
        self.queue.insert(now, place);
        self.kept.insert(place, Piece::new(place.1, data, now));
    }

    /// Ends a reading. None if a change ended it before.
    fn end(&mut self, ticket: u64) -> Option<Range<u64>> {
        let at = self.readings.iter().position(|read| read.ticket == ticket)?;
        Some(self.readings.swap_remove(at).range)
    }

    /// Forgets the pieces that touch the range and are `so`, and returns them: to be dropped when no lock is held.
    fn forget(&mut self, volume: VolumeId, range: &Range<u64>, so: impl Fn(&Piece) -> bool) -> Vec<Bytes> {
        self.readings.retain(|read| !read.touches(volume, range));
        let touching = self.touching(volume, range).filter(|(_, piece)| so(piece));
        let places: Vec<Place> = touching.map(|(place, _)| place).collect();
        places
            .into_iter()
            .filter_map(|place| self.remove(place))
            .collect()
    }

    fn remove(&mut self, place: Place) -> Option<Bytes> {
        let piece = self.kept.remove(&place)?;
        self.queue.remove(&piece.queued);
        let data = piece.into_data();
        self.bytes -= data.len();
        Some(data)
    }

    /// Forgets the pieces that were used longest ago until there are no more than `limit` bytes, and returns them.
    fn shrink(&mut self, limit: usize) -> Vec<Bytes> {
        let mut gone = Vec::new();
        while self.bytes > limit
            && let Some((queued, place)) = self.queue.pop_first()
        {
            match self.kept.get_mut(&place) {
                Some(piece) if piece.used() > queued => {
                    piece.queued = piece.used();
                    self.queue.insert(piece.queued, place);
                }
                _ => gone.extend(self.remove(place)),
            }
        }
        gone
    }
}

impl ReadCache {
    /// Keeps at most `limit` bytes, in pieces of at least `least` bytes.
    pub(crate) fn new(limit: usize, least: usize) -> Self {
        Self {
            limit,
            least: least.max(1),
            clock: AtomicU64::new(0),
            found: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            pieces: RwLock::new(Pieces {
                room: spares::Room::new(limit),
                ..Pieces::default()
            }),
        }
    }

    /// A moment that is later than all before.
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Relaxed)
    }

    /// Whether a piece of that length is kept.
    fn keeps(&self, len: usize) -> bool {
        (self.least..=self.limit).contains(&len)
    }

    /// What is kept of a range, if it lies in one piece.
    pub(crate) fn get(&self, volume: VolumeId, offset: u64, len: usize) -> Option<Kept> {
        if self.limit == 0 || len == 0 {
            return None;
        }
        let range = offset..offset.saturating_add(len as u64);
        let pieces = self.pieces.read();
        let piece = pieces.around(volume, &range)?;
        let kept = piece.get(&range)?;
        piece.set_used(self.now());
        self.found.fetch_add(len as u64 - kept.missing(), Relaxed);
        Some(kept)
    }

    /// Says that a range is about to be read. None if it would not be kept.
    pub(crate) fn expect(self: &Arc<Self>, volume: VolumeId, offset: u64, len: usize) -> Option<Reading> {
        if !self.keeps(len) {
            return None;
        }
        let range = offset..offset.saturating_add(len as u64);
        let mut pieces = self.pieces.write();
        let kept = match pieces.around(volume, &range) {
            // A part does not take the place of the whole.
            Some(piece) if piece.range() != range => return None,
            Some(piece) => piece.get(&range),
            None => None,
        };
        let ticket = self.now();
        pieces.readings.push(Expected {
            ticket,
            volume,
            range,
        });
        Some(Reading {
            cache: Arc::clone(self),
            volume,
            ticket: Some(ticket),
            missing: kept.as_ref().map_or(len as u64, Kept::missing),
            kept,
        })
    }

    /// A range was changed, for all who read from now on: to `data`, or to what is not worth keeping.
    pub(crate) fn changed(&self, volume: VolumeId, offset: u64, len: u64, data: Option<&Bytes>) {
        if self.limit == 0 || len == 0 {
            return;
        }
        let range = offset..offset.saturating_add(len);
        if let Some(data) = data.filter(|data| self.keeps(data.len())) {
            return self.replace(self.pieces.write(), volume, &range, data);
        }
        // Most writes are small, and touch nothing that is kept or make holes only.
        let pieces = self.pieces.read();
        if pieces.pierce(volume, &range) || pieces.is_being_read(volume, &range) {
            drop(pieces);
            let mut pieces = self.pieces.write();
            // What was being read may have been kept between the locks.
            pieces.pierce(volume, &range);
            let gone = pieces.forget(volume, &range, Piece::is_worn);
            self.let_go(pieces, gone);
        }
    }

    /// Forgets a range.
    pub(crate) fn forget(&self, volume: VolumeId, offset: u64, len: u64) {
        self.changed(volume, offset, len, None);
    }

    /// Puts `data` in the place of what is kept of a range.
    fn replace(
        &self,
        mut pieces: RwLockWriteGuard<'_, Pieces>,
        volume: VolumeId,
        range: &Range<u64>,
        data: &Bytes,
    ) {
        let mut gone = pieces.forget(volume, range, |_| true);
        pieces.insert((volume, range.start), data.clone(), self.now());
        gone.extend(pieces.shrink(self.limit));
        self.let_go(pieces, gone);
    }

    /// Drops what went, without a lock, and leaves its memory to others.
    fn let_go(&self, mut pieces: RwLockWriteGuard<'_, Pieces>, gone: Vec<Bytes>) {
        let unused = self.limit - pieces.bytes;
        pieces.room.resize(unused);
        drop(pieces);
        drop(gone);
    }

    /// What is kept.
    pub(crate) fn held(&self) -> Held {
        let pieces = self.pieces.read();
        Held::new(pieces.kept.len(), pieces.bytes)
    }

    /// How many bytes were found, and how many had to be read to be kept.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.found.load(Relaxed), self.missed.load(Relaxed))
    }
}

/// A read under way whose outcome is to be kept.
#[derive(Debug)]
pub(crate) struct Reading {
    cache: Arc<ReadCache>,
    volume: VolumeId,
    /// None once it has ended.
    ticket: Option<u64>,
    /// Bytes that nothing was kept of.
    missing: u64,
    /// What there is of it already.
    kept: Option<Kept>,
}

impl Reading {
    /// What is kept of it already: what has holes only.
    pub(crate) fn take_kept(&mut self) -> Option<Kept> {
        self.kept.take()
    }

    /// Keeps what was read, unless it was changed meanwhile.
    pub(crate) fn keep(mut self, data: &Bytes) {
        self.cache.missed.fetch_add(self.missing, Relaxed);
        let ticket = self.ticket.take();
        let mut pieces = self.cache.pieces.write();
        if let Some(range) = ticket.and_then(|ticket| pieces.end(ticket)) {
            self.cache.replace(pieces, self.volume, &range, data);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.cache.pieces.write().end(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VOLUME: VolumeId = VolumeId(1);

    fn cache(limit: usize) -> Arc<ReadCache> {
        Arc::new(ReadCache::new(limit, 10))
    }

    fn bytes(len: usize, fill: u8) -> Bytes {
        vec![fill; len].into()
    }

    /// What is kept of a range, if all of it is.
    fn whole(cache: &ReadCache, volume: VolumeId, offset: u64, len: usize) -> Option<Bytes> {
        let kept = cache.get(volume, offset, len)?;
        kept.holes.is_empty().then_some(kept.data)
    }

    #[test]
    fn what_was_written_at_once_is_found_in_any_part() {
        let cache = cache(100);
        cache.changed(VOLUME, 40, 20, Some(&bytes(20, 7)));
        assert_eq!(whole(&cache, VOLUME, 40, 20), Some(bytes(20, 7)));
        assert_eq!(whole(&cache, VOLUME, 45, 3), Some(bytes(3, 7)));
        assert_eq!(whole(&cache, VOLUME, 39, 5), None);
        assert_eq!(whole(&cache, VOLUME, 45, 16), None);
        assert_eq!(whole(&cache, VolumeId(2), 40, 20), None);
        assert_eq!(cache.held(), Held::new(1, 20));
        assert_eq!(cache.counts(), (23, 0));
    }

    #[test]
    fn short_pieces_are_not_kept_and_end_what_they_change() {
        let cache = cache(100);
        cache.changed(VOLUME, 0, 20, Some(&bytes(20, 1)));
        cache.changed(VOLUME, 19, 5, Some(&bytes(5, 2)));
        assert_eq!(whole(&cache, VOLUME, 0, 5), None);
        assert_eq!(whole(&cache, VOLUME, 19, 5), None);
        assert_eq!(cache.held(), Held::default());
    }

    #[test]
    fn what_was_read_is_kept_unless_it_changed_meanwhile() {
        let cache = cache(100);
        let [kept, crossed] = [0, 50].map(|offset| cache.expect(VOLUME, offset, 20).unwrap());
        cache.changed(VOLUME, 60, 1, None);
        kept.keep(&bytes(20, 3));
        crossed.keep(&bytes(20, 4));
        assert_eq!(whole(&cache, VOLUME, 0, 20), Some(bytes(20, 3)));
        assert_eq!(whole(&cache, VOLUME, 50, 20), None);
        assert!(cache.expect(VOLUME, 0, 9).is_none(), "too short");
        drop(cache.expect(VOLUME, 0, 10));
        assert!(cache.pieces.read().readings.is_empty());
    }

    #[test]
    fn a_small_change_makes_a_hole_and_more_than_half_of_them_end_a_piece() {
        let cache = cache(1 << 20);
        cache.changed(VOLUME, 0, 40_960, Some(&bytes(40_960, 1)));
        cache.changed(VOLUME, 5000, 3, Some(&bytes(3, 2)));
        let kept = cache.get(VOLUME, 0, 10_000).unwrap();
        assert_eq!(kept.data, bytes(10_000, 1));
        assert_eq!((kept.holes.first(), kept.holes.len()), (Some(&(4096..8192)), 1));
        assert_eq!(whole(&cache, VOLUME, 8192, 100), Some(bytes(100, 1)));
        assert!(cache.get(VOLUME, 5000, 10).is_none());
        assert_eq!(cache.held(), Held::new(1, 40_960));
        cache.forget(VOLUME, 8192, 20_480);
        assert_eq!(cache.held(), Held::default());
    }

    #[test]
    fn what_has_holes_is_whole_again_when_all_of_it_was_read() {
        let cache = cache(1 << 20);
        cache.changed(VOLUME, 0, 40_960, Some(&bytes(40_960, 1)));
        cache.forget(VOLUME, 4096, 1);
        assert!(cache.expect(VOLUME, 0, 20_000).is_none(), "a part");
        let mut reading = cache.expect(VOLUME, 0, 40_960).unwrap();
        assert_eq!(reading.take_kept().unwrap().missing(), 4096);
        reading.keep(&bytes(40_960, 2));
        assert_eq!(whole(&cache, VOLUME, 0, 40_960), Some(bytes(40_960, 2)));
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_whatever_volume_it_is_of() {
        let cache = cache(60);
        let put = |volume, offset| cache.changed(VolumeId(volume), offset, 20, Some(&bytes(20, 1)));
        put(1, 0);
        put(1, 20);
        put(2, 0);
        assert!(whole(&cache, VolumeId(1), 5, 2).is_some());
        put(3, 0);
        put(3, 20);
        let there = |volume, offset| whole(&cache, VolumeId(volume), offset, 20).is_some();
        assert!(there(1, 0) && there(3, 0) && there(3, 20));
        assert!(!there(1, 20) && !there(2, 0));
        assert_eq!(cache.held(), Held::new(3, 60));
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let cache = cache(0);
        cache.changed(VOLUME, 0, 20, Some(&bytes(20, 1)));
        assert!(cache.expect(VOLUME, 0, 20).is_none());
        assert_eq!(cache.held(), Held::default());
    }

    #[test]
    fn what_is_larger_than_all_memory_drives_nothing_out() {
        let cache = cache(30);
        cache.changed(VOLUME, 0, 20, Some(&bytes(20, 1)));
        cache.changed(VOLUME, 100, 31, Some(&bytes(31, 1)));
        assert_eq!(cache.held(), Held::new(1, 20));
    }

    /// Places of the property test are multiples of it, or one byte behind.
    const UNIT: usize = 2048;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, usize),
        Discard(u64, usize),
        Begin(u64, usize),
        End(usize),
        Look(u64, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Borders of blocks and others.
        let range = (0u64..80, 1usize..40, 0u64..2)
            .prop_map(|(at, len, odd)| (at * UNIT as u64 + odd, len * UNIT - odd as usize));
        let step = prop_oneof![
            range.clone().prop_map(|(at, len)| Step::Write(at, len)),
            range.clone().prop_map(|(at, len)| Step::Discard(at, len)),
            range.clone().prop_map(|(at, len)| Step::Begin(at, len)),
            any::<usize>().prop_map(Step::End),
            range.prop_map(|(at, len)| Step::Look(at, len)),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_reader_sees(steps in steps(), limit in 0usize..150) {
            let (cache, limit) = (Arc::new(ReadCache::new(limit * UNIT, 10 * UNIT)), limit * UNIT);
            let mut content = vec![0; 128 * UNIT];
            let mut readings: Vec<(Reading, Bytes)> = Vec::new();
            for (step, value) in steps.into_iter().zip((1..=u8::MAX).cycle()) {
                match step {
                    Step::Write(at, len) => {
                        content[at as usize..at as usize + len].fill(value);
                        cache.changed(VOLUME, at, len as u64, Some(&bytes(len, value)));
                    }
                    Step::Discard(at, len) => {
                        content[at as usize..at as usize + len].fill(0);
                        cache.forget(VOLUME, at, len as u64);
                    }
                    Step::Begin(at, len) => {
                        let seen = Bytes::copy_from_slice(&content[at as usize..at as usize + len]);
                        readings.extend(cache.expect(VOLUME, at, len).map(|reading| (reading, seen)));
                    }
                    Step::End(which) if !readings.is_empty() => {
                        let (reading, seen) = readings.swap_remove(which % readings.len());
                        reading.keep(&seen);
                    }
                    Step::End(_) => {}
                    Step::Look(at, len) => {
                        let Some(found) = cache.get(VOLUME, at, len) else { continue };
                        let mut is_kept = vec![true; len];
                        for hole in found.holes {
                            is_kept[(hole.start - at) as usize..(hole.end - at) as usize].fill(false);
                        }
                        let mut read = found.data.iter().zip(&content[at as usize..]).zip(is_kept);
                        prop_assert!(read.all(|((found, there), kept)| !kept || found == there));
                    }
                }
                let pieces = cache.pieces.read();
                let bytes: usize = pieces.kept.values().map(|piece| piece.range().count()).sum();
                prop_assert!(bytes == pieces.bytes && bytes <= limit);
                prop_assert_eq!(pieces.queue.len(), pieces.kept.len());
                prop_assert_eq!(pieces.room.bytes(), limit - bytes);
            }
        }
    }
}
