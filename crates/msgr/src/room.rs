//! Room for what is received: bulk data is read from the socket straight to where it stays, at an address that the store can give
//! to the disk as it is, in memory that was used before.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::Mutex;

/// Buffers are filled in pieces of this size while messages are small.
const CHUNK: usize = 64 << 10;
/// A message larger than what is free gets a buffer of its own at once up to this size; beyond it, the buffer
/// grows as bytes arrive.
const AT_ONCE: usize = 8 << 20;
/// From this size on, in bytes, a message gets a buffer in which its data is aligned.
const LARGE: usize = 128 << 10;
/// What the data of large messages is aligned to: a page, as `O_DIRECT` wants it.
const ALIGNMENT: usize = 4096;
/// Bytes of large buffers that are remembered, to be used again.
const KEPT: usize = 64 << 20;

/// What the current message still lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// So many bytes, at least.
    pub(crate) bytes: usize,
    /// Where its data begins, counted from the first byte that is not taken up yet.
    pub(crate) data_at: usize,
}

/// Makes room for what a message lacks.
pub(crate) fn make_room(rx: &mut BytesMut, missing: Missing) {
    let free = rx.capacity() - rx.len();
    let whole = rx.len() + missing.bytes;
    if missing.bytes > free && (LARGE..=AT_ONCE).contains(&whole) {
        let mut large = SPARES.lock().take(whole, missing.data_at);
        large.extend_from_slice(rx);
        *rx = large;
    } else if missing.bytes > free {
        let wanted = missing.bytes.min(rx.len().max(AT_ONCE));
        rx.reserve(wanted.max(CHUNK));
    } else if free < CHUNK / 16 && missing.bytes == 0 {
        rx.reserve(CHUNK);
    }
}

/// Large buffers of all connections.
static SPARES: Mutex<Spares> = Mutex::new(Spares {
    known: VecDeque::new(),
    bytes: 0,
});

/// Buffers that were handed out, oldest first. Fresh memory of that size costs more than receiving into it, since the kernel has to find and
/// clear every page.
struct Spares {
    known: VecDeque<Spare>,
    bytes: usize,
}

/// A buffer that was handed out. Once nothing else refers to it, it is free.
struct Spare {
    /// Its first byte, which leads to all of it.
    first: Bytes,
    size: usize,
}

impl Spares {
    /// An empty buffer with room for `len` bytes, in which those from `data_at` on are aligned.
    fn take(&mut self, len: usize, data_at: usize) -> BytesMut {
        // The first byte, and up to a page to align.
        let size = (1 + ALIGNMENT + len).next_multiple_of(CHUNK);
        let mut buffer = self.reuse(size).unwrap_or_else(|| BytesMut::with_capacity(size));
        buffer.put_u8(0);
        self.remember(buffer.split_to(1).freeze(), size);
        let misaligned = (buffer.as_ptr().addr() + data_at) % ALIGNMENT;
        let skip = (ALIGNMENT - misaligned) % ALIGNMENT;
        buffer.put_bytes(0, skip);
        buffer.advance(skip);
        buffer
    }

    /// A buffer of that size, or not much more, that nobody uses any more.
    fn reuse(&mut self, size: usize) -> Option<BytesMut> {
        let fits = |spare: &Spare| (size..=2 * size).contains(&spare.size) && spare.first.is_unique();
        let spare = self.known.remove(self.known.iter().position(fits)?)?;
        self.bytes -= spare.size;
        let mut buffer = spare.first.try_into_mut().ok()?;
        buffer.clear();
        (buffer.capacity() >= size).then_some(buffer)
    }

    fn remember(&mut self, first: Bytes, size: usize) {
        self.known.push_back(Spare { first, size });
        self.bytes += size;
        while self.bytes > KEPT {
            let Some(oldest) = self.known.pop_front() else {
                return;
            };
            self.bytes -= oldest.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spares() -> Spares {
        Spares {
            known: VecDeque::new(),
            bytes: 0,
        }
    }

    fn address(buffer: &[u8]) -> usize {
        buffer.as_ptr().addr()
    }

    #[test]
    fn data_of_a_large_message_is_aligned_wherever_it_begins() {
        for data_at in [0, 1, 300, 4095, 4096, 70_001] {
            let mut rx = BytesMut::from(&b"abc"[..]);
            let missing = Missing {
                bytes: 4 << 20,
                data_at,
            };
            make_room(&mut rx, missing);
            assert_eq!(rx, &b"abc"[..]);
            assert!(rx.capacity() >= 3 + (4 << 20));
            assert_eq!((address(&rx) + data_at) % ALIGNMENT, 0);
        }
    }

    #[test]
    fn a_buffer_is_used_again_once_all_that_was_in_it_is_gone() {
        let mut spares = spares();
        let mut first = spares.take(1 << 20, 17);
        first.put_bytes(1, 1 << 20);
        let place = address(&first);
        let mut data = first.split_to(1 << 20).freeze();
        drop(first);
        assert_ne!(address(&spares.take(1 << 20, 17)), place);
        let rest = data.split_off(5);
        drop(data);
        assert_ne!(address(&spares.take(1 << 20, 17)), place);
        drop(rest);
        let reused: Vec<BytesMut> = (0..3).map(|_| spares.take(1 << 20, 17)).collect();
        assert!(reused.iter().any(|buffer| address(buffer) == place));
        assert!(reused.iter().all(|buffer| buffer.capacity() >= 1 << 20));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut spares = spares();
        let held: Vec<BytesMut> = (0..40).map(|_| spares.take(4 << 20, 0)).collect();
        assert!(spares.bytes <= KEPT);
        assert_eq!(spares.bytes, spares.known.iter().map(|spare| spare.size).sum());
        drop(held);
        assert!(spares.take(4 << 20, 0).capacity() >= 4 << 20);
    }

    #[test]
    fn a_message_beyond_what_is_given_at_once_grows_as_it_arrives() {
        let mut rx = BytesMut::new();
        let missing = Missing {
            bytes: 100 << 20,
            data_at: 0,
        };
        make_room(&mut rx, missing);
        assert!(rx.capacity() < 2 * AT_ONCE);
    }
}
