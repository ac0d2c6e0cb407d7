//! Buffers that are used again: fresh memory costs more than what is done with it, since the kernel has to find and clear every page. They are those of
//! the whole process, so that what was received into can be read into next.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::BytesMut;
use parking_lot::Mutex;

use crate::{LARGE, at_large_page};

/// Bytes that are kept unused, beside what there is [`Room`] for.
const KEPT: usize = 128 << 20;

/// Unused buffers.
struct Spares {
    /// By their sizes in bytes, the latest last; none is empty.
    free: BTreeMap<usize, Vec<BytesMut>>,
    count: usize,
    bytes: usize,
}

impl Spares {
    const fn new() -> Self {
        Self {
            free: BTreeMap::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// A buffer of at least `len` bytes that is not wastefully large, with its size and as it was given: of the smallest ones the latest, which
    /// the processor's cache may still have.
    fn take(&mut self, len: usize) -> Option<(usize, BytesMut)> {
        let size = self.fitting(len)?;
        self.remove(size).map(|buffer| (size, buffer))
    }

    /// The size of such a buffer.
    fn fitting(&self, len: usize) -> Option<usize> {
        let (&size, _) = self.free.range(len..).next()?;
        (size <= len + (len / 4).max(8 << 10)).then_some(size)
    }

    fn remove(&mut self, size: usize) -> Option<BytesMut> {
        let alike = self.free.get_mut(&size)?;
        let buffer = alike.pop();
        if alike.is_empty() {
            self.free.remove(&size);
        }
        self.count -= 1;
        self.bytes -= size;
        buffer
    }

    /// Keeps a buffer of `size` bytes, as long as there are no more than `limit`. What is too much comes back, to be dropped where no lock is held:
    /// the buffer, or where there is none of its size, smaller ones.
    fn give(&mut self, size: usize, buffer: BytesMut, limit: usize) -> Vec<BytesMut> {
        let is_full = self.bytes + size > limit;
        if size > limit || is_full && self.fitting(size).is_some() {
            return vec![buffer];
        }
        let mut driven_out = Vec::new();
        while self.bytes + size > limit
            && let Some((&smallest, _)) = self.free.first_key_value()
        {
            driven_out.extend(self.remove(smallest));
        }
        self.count += 1;
        self.bytes += size;
        self.free.entry(size).or_default().push(buffer);
        driven_out
    }
}

/// The process's own.
static SPARES: Mutex<Spares> = Mutex::new(Spares::new());
/// The bytes of all [`Room`].
static ROOM: AtomicUsize = AtomicUsize::new(0);

/// A buffer of at least `len` bytes, with its size: one that was given back, as it was then, or a new one.
#[must_use]
pub fn take(len: usize) -> (usize, BytesMut) {
    let spare = SPARES.lock().take(len);
    spare.unwrap_or_else(|| (len, crate::buffer(len)))
}

/// Gives back a buffer and its size, to be used again by whoever needs one like it.
pub fn give(size: usize, buffer: BytesMut) {
    let limit = KEPT + ROOM.load(Relaxed);
    let too_much = SPARES.lock().give(size, buffer, limit);
    drop(too_much);
}

/// How many buffers there are that nobody uses, and their bytes.
#[must_use]
pub fn held() -> (usize, usize) {
    let spares = SPARES.lock();
    (spares.count, spares.bytes)
}

/// Memory that somebody may use for buffers and does not: so much more of it is kept.
#[derive(Debug, Default)]
pub struct Room(usize);

impl Room {
    /// For `bytes` bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        ROOM.fetch_add(bytes, Relaxed);
        Self(bytes)
    }

    /// The bytes that it is for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0
    }

    /// It is for `bytes` bytes from now on.
    pub fn resize(&mut self, bytes: usize) {
        ROOM.fetch_add(bytes, Relaxed);
        ROOM.fetch_sub(self.0, Relaxed);
        self.0 = bytes;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// The whole of a buffer that [`take`] gave, of which `part` is what is left, not its beginning; empty, and with its size in bytes. None if
/// somebody else has a part of it, too.
#[must_use]
pub fn whole(part: BytesMut) -> Option<(usize, BytesMut)> {
    // All from its first byte on.
    let mut part = part.freeze().try_into_mut().ok()?;
    part.clear();
    // There is one more byte from the beginning on only.
    if !part.try_reclaim(part.capacity() + 1) {
        return None;
    }
    // See `buffer`.
    if part.capacity() < 2 * LARGE {
        return Some((part.capacity(), part));
    }
    let size = part.capacity() - LARGE;
    Some((size, at_large_page(part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer;

    fn held(spares: &Spares) -> (usize, usize) {
        (spares.count, spares.bytes)
    }

    #[test]
    fn a_buffer_is_found_whole_by_its_last_part() {
        for len in [100, 20_000, LARGE - 1, LARGE, 2 * LARGE + 4096] {
            let mut made = buffer(len);
            let place = made.as_ptr();
            made.resize(len, 1);
            let head = made.split_to(7);
            let tail = made.split_off(len / 2);
            assert!(whole(tail).is_none(), "others have parts");
            drop(head);
            let (size, again) = whole(made).unwrap_or_default();
            assert_eq!((again.as_ptr(), again.len()), (place, 0), "{len}");
            assert!(size >= len && again.capacity() >= size, "{len}");
        }
    }

    #[test]
    fn of_what_is_large_enough_the_smallest_and_latest_is_taken() {
        let mut spares = Spares::new();
        let places: Vec<_> = [64 << 10, 128 << 10, 64 << 10, 256 << 10]
            .map(|size| {
                let buffer = buffer(size);
                let place = buffer.as_ptr();
                assert!(spares.give(size, buffer, 10 << 20).is_empty());
                place
            })
            .into();
        let mut take = |len| spares.take(len).map(|(_, buffer)| buffer.as_ptr());
        assert_eq!(take(60_000), Some(places[2]));
        assert_eq!(take(60_000), Some(places[0]));
        assert_eq!(take(60_000), None, "twice as large is too large");
        assert_eq!(take(250_000), Some(places[3]));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spares = Spares::new();
        let kept = (0..20).filter(|_| spares.give(100 << 10, BytesMut::new(), 1 << 20).is_empty());
        assert_eq!(kept.count(), 10);
        assert_eq!(held(&spares), (10, 1000 << 10));
        assert_eq!(spares.give(2 << 20, BytesMut::new(), 1 << 20).len(), 1);
        assert_eq!(held(&spares), (10, 1000 << 10));
    }

    #[test]
    fn a_size_that_there_is_none_of_drives_out_the_smallest() {
        let mut spares = Spares::new();
        for size in [100, 300, 200, 400] {
            assert!(spares.give(size << 10, BytesMut::new(), 1 << 20).is_empty());
        }
        assert_eq!(spares.give(600 << 10, BytesMut::new(), 1 << 20).len(), 3);
        assert_eq!(held(&spares), (2, 1000 << 10));
        assert_eq!(
            spares.give(50 << 10, BytesMut::new(), 1 << 20).len(),
            1,
            "of 400 KiB"
        );
        assert_eq!(held(&spares), (2, 650 << 10));
    }

    #[test]
    fn what_somebody_may_use_and_does_not_is_kept_beside() {
        let before = ROOM.load(Relaxed);
        let mut room = Room::new(100);
        assert_eq!(ROOM.load(Relaxed), before + 100);
        room.resize(50);
        // No other test here makes room.
        assert_eq!(ROOM.load(Relaxed), before + 50);
        drop(room);
        assert_eq!(ROOM.load(Relaxed), before);
    }
}
