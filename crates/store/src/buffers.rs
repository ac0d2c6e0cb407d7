//! Buffers for large reads, used again and again: fresh memory of that size costs more than reading into it, since
//! the kernel has to find and clear every page.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

/// From this length on, in bytes, a read takes a buffer from the pool.
pub(crate) const POOLED: usize = 64 << 10;
/// What the pool keeps of unused buffers, in bytes.
const KEPT: usize = 64 << 20;

/// Unused buffers, the largest ones last.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    buffers: Vec<BytesMut>,
    bytes: usize,
}

impl Buffers {
    /// A buffer of `len` bytes. What it holds is what the last user left.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let mut buffer = self.free.lock().take(len).unwrap_or_default();
        if buffer.len() < len {
            // Whole units, so that reads of nearly the same length share buffers.
            let units = len.next_multiple_of(POOLED);
            buffer = pages::buffer(units);
            buffer.resize(units, 0);
        }
        Buffer {
            pool: Arc::clone(self),
            buffer,
            len,
        }
    }

    /// How many unused buffers are kept, and their bytes.
    pub(crate) fn kept(&self) -> (usize, usize) {
        let free = self.free.lock();
        (free.buffers.len(), free.bytes)
    }
}

impl Free {
    /// The smallest buffer of at least `len` bytes that is not wastefully large.
    fn take(&mut self, len: usize) -> Option<BytesMut> {
        let at = self.buffers.partition_point(|buffer| buffer.len() < len);
        let fits = self.buffers.get(at)?.len() <= len.saturating_mul(2).max(POOLED * 2);
        let buffer = fits.then(|| self.buffers.remove(at))?;
        self.bytes -= buffer.len();
        Some(buffer)
    }

    fn give(&mut self, buffer: BytesMut) {
        if self.bytes + buffer.len() > KEPT {
            return;
        }
        self.bytes += buffer.len();
        let at = self.buffers.partition_point(|other| other.len() < buffer.len());
        self.buffers.insert(at, buffer);
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
        self.pool.free.lock().give(std::mem::take(&mut self.buffer));
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
        assert_eq!(pool.free.lock().bytes, KEPT);
    }
}
