//! Buffers for large reads, used again and again.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pages::Spares;
use parking_lot::Mutex;

/// From this length on, in bytes, a read takes a buffer from the pool.
pub(crate) const POOLED: usize = 64 << 10;
/// What the pool keeps of unused buffers, in bytes.
const KEPT: usize = 64 << 20;

/// Unused buffers, with all their bytes initialized.
#[derive(Debug)]
pub(crate) struct Buffers {
    free: Mutex<Spares>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            free: Mutex::new(Spares::new(KEPT)),
        }
    }
}

impl Buffers {
    /// A buffer of `len` bytes. What it holds is what the last user left.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        // Whole units, so that reads of nearly the same length share buffers.
        let units = len.next_multiple_of(POOLED);
        let spare = self.free.lock().take(units);
        let buffer = spare.unwrap_or_else(|| {
            let mut fresh = pages::buffer(units);
            fresh.resize(units, 0);
            fresh
        });
        Buffer {
            pool: Arc::clone(self),
            buffer,
            len,
        }
    }

    /// How many unused buffers are kept, and their bytes.
    pub(crate) fn kept(&self) -> (usize, usize) {
        self.free.lock().held()
    }
}

/// A buffer that goes back to its pool when the last reference to its bytes is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    pool: Arc<Buffers>,
    buffer: BytesMut,
    len: usize,
}

impl Buffer {
    /// The bytes, to be filled.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }

    /// The filled buffer.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let too_much = self.pool.free.lock().give(buffer.len(), buffer);
        drop(too_much);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_bytes_are_gone() {
        let pool = Arc::new(Buffers::default());
        let bytes = pool.take(POOLED).freeze();
        let (first, slice) = (bytes.as_ptr(), bytes.slice(1..2));
        drop(bytes);
        assert_ne!(pool.take(POOLED).as_ref().as_ptr(), first);
        drop(slice);
        let reused = [pool.take(POOLED), pool.take(POOLED)];
        assert!(reused.iter().any(|buffer| buffer.as_ref().as_ptr() == first));
    }

    #[test]
    fn a_small_read_does_not_take_a_large_buffer() {
        let pool = Arc::new(Buffers::default());
        drop(pool.take(8 << 20));
        assert_eq!(pool.take(POOLED).buffer.len(), POOLED);
        assert_eq!(pool.take((8 << 20) - 5).buffer.len(), 8 << 20);
    }

    #[test]
    fn what_is_kept_unused_is_bounded() {
        let pool = Arc::new(Buffers::default());
        drop((0..20).map(|_| pool.take(8 << 20)).collect::<Vec<_>>());
        assert_eq!(pool.kept().1, KEPT);
    }
}
