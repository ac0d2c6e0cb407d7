//! Buffers for large reads, used again and again.

use bytes::{Bytes, BytesMut};
use pages::spares;

/// From this length on, in bytes, a read takes a buffer that goes back when it is done with.
pub(crate) const POOLED: usize = 64 << 10;

/// A buffer that goes back to the spare ones when the last reference to its bytes is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// All of its bytes are initialized.
    buffer: BytesMut,
    /// With what was beside them before.
    size: usize,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` bytes. What it holds is what the last user left.
    pub(crate) fn new(len: usize) -> Self {
        // Whole units, so that reads of nearly the same length share buffers.
        let units = len.next_multiple_of(POOLED);
        let (size, mut buffer) = spares::take(units);
        if buffer.len() < units {
            buffer.resize(units, 0);
        }
        Self { buffer, size, len }
    }

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
        spares::give(self.size, std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_bytes_are_gone() {
        // A size of its own: the spare buffers are those of all tests.
        let len = 77 * POOLED;
        let bytes = Buffer::new(len).freeze();
        let (first, slice) = (bytes.as_ptr(), bytes.slice(1..2));
        drop(bytes);
        assert_ne!(Buffer::new(len).as_ref().as_ptr(), first);
        drop(slice);
        let reused = [Buffer::new(len), Buffer::new(len)];
        assert!(reused.iter().any(|buffer| buffer.as_ref().as_ptr() == first));
    }

    #[test]
    fn a_buffer_has_the_length_that_was_asked_for_whoever_had_it_before() {
        let len = 55 * POOLED;
        let (size, mut given) = spares::take(len + 4096);
        given.clear();
        spares::give(size, given);
        let mut buffer = Buffer::new(len - 5);
        assert_eq!((buffer.as_mut().len(), buffer.as_ref().len()), (len - 5, len - 5));
        assert_eq!(buffer.freeze().len(), len - 5);
    }
}
