//! What clients do to each image, while somebody wants to know (Ceph `src/osd/DynamicPerfStats.h`).
//!
//! Nobody does, mostly: then a request pays for one look at a flag, and nothing else.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::request::PendingOp;

/// An image, as the names of its objects tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageKey {
    /// The pool of its header.
    pub pool: i64,
    /// Its namespace.
    pub nspace: Bytes,
    /// Its id.
    pub id: Bytes,
}

/// What was done to an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageCounters {
    /// Requests that wrote.
    pub write_ops: u64,
    /// Requests that read.
    pub read_ops: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// How long requests that wrote took together, in nanoseconds.
    pub write_latency: u64,
    /// How long requests that read took together, in nanoseconds.
    pub read_latency: u64,
}

/// Counters of all images that something was done to.
#[derive(Debug, Default)]
pub struct ImageStats {
    wanted: AtomicBool,
    images: Mutex<HashMap<ImageKey, ImageCounters>>,
}

impl ImageStats {
    /// Begins or ends counting.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Relaxed);
        if !wanted {
            self.images.lock().clear();
        }
    }

    /// The time, if it is wanted.
    #[inline]
    pub(super) fn now(&self) -> Option<Instant> {
        self.wanted.load(Relaxed).then(Instant::now)
    }

    /// Counts a request that succeeded. What arrived before somebody wanted to know does not count.
    #[inline]
    pub(super) fn count(&self, op: &PendingOp, written: u64, read: u64) {
        if let Some(arrived) = op.arrived {
            self.add(op, arrived, written, read);
        }
    }

    fn add(&self, op: &PendingOp, arrived: Instant, written: u64, read: u64) {
        let Some((pool, id)) = image_of(&op.message.oid) else {
            return;
        };
        let took = u64::try_from(arrived.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let key = ImageKey {
            pool: pool.unwrap_or(op.message.pg.pg.pool as i64),
            nspace: op.message.locator.nspace.clone(),
            id,
        };
        let mut images = self.images.lock();
        let counters = match images.get_mut(&key) {
            Some(counters) => counters,
            // What is kept must not hold on to the request's buffers.
            None => images
                .entry(ImageKey {
                    nspace: Bytes::copy_from_slice(&key.nspace),
                    id: Bytes::copy_from_slice(&key.id),
                    ..key
                })
                .or_default(),
        };
        if op.modes.write {
            counters.write_ops += 1;
            counters.write_bytes += written;
            counters.write_latency += took;
        }
        if op.modes.read {
            counters.read_ops += 1;
            counters.read_bytes += read;
            counters.read_latency += took;
        }
    }

    /// What was done since the last time.
    #[must_use]
    pub fn take(&self) -> HashMap<ImageKey, ImageCounters> {
        std::mem::take(&mut *self.images.lock())
    }
}

/// The image that an object holds data or a journal of: the pool of its header, if that is another one, and its id.
fn image_of(oid: &Bytes) -> Option<(Option<i64>, Bytes)> {
    let rest = [b"rbd_data.".as_slice(), b"journal_data."]
        .iter()
        .find_map(|prefix| oid.strip_prefix(*prefix))?;
    let mut parts = rest.split(|b| *b == b'.');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next());
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let (pool, id) = match (is_number, third) {
        (true, Some(_)) => (std::str::from_utf8(first).ok()?.parse().ok(), second),
        _ => (None, first),
    };
    (!id.is_empty()).then(|| (pool, oid.slice_ref(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_tells_its_image() {
        let of = |name: &'static str| image_of(&Bytes::from_static(name.as_bytes()));
        let id = Bytes::from_static(b"10f5a");
        assert_eq!(of("rbd_data.10f5a.0000000000000001"), Some((None, id.clone())));
        assert_eq!(
            of("rbd_data.7.10f5a.0000000000000001"),
            Some((Some(7), id.clone()))
        );
        assert_eq!(of("journal_data.7.10f5a.3"), Some((Some(7), id)));
        assert_eq!(
            of("rbd_data.1234.0000000000000001"),
            Some((None, Bytes::from_static(b"1234")))
        );
        for other in [
            "rbd_header.10f5a",
            "rbd_data.",
            "rbd_data..x",
            "rbd_data.10f5a",
            "x",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
