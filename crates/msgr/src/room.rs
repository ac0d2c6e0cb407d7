//! Room for what is received: bulk data is read from the socket straight to where it stays, at an address that the store can give
//! to the disk as it is, in memory that was used before.
//!
//! Where data begins is known once a message's header is there, and by then much of the data may have come with it, to where it does not
//! lie right. So after a large message the next one is expected to look the same, and its first byte is received to where its data will be
//! aligned; where it looks otherwise, what has come of it is moved. Small messages are received many with one call.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pages::spares;

/// Buffers are filled in pieces of this size while messages are small.
const CHUNK: usize = 64 << 10;
/// A message larger than what is free gets a buffer of its own at once up to this size; beyond it, the buffer
/// grows as bytes arrive.
const AT_ONCE: usize = 8 << 20;
/// With so much data, in bytes, a message gets a buffer in which it is aligned.
const LARGE: usize = 16 << 10;
/// What the data of large messages is aligned to: a page, as `O_DIRECT` wants it.
const ALIGNMENT: usize = 4096;
/// The longest message, in bytes, that the next one is expected to look like: a session that waits holds a buffer for it, for a while. Of
/// longer ones, what has come with the header is little.
const EXPECTED: usize = 160 << 10;

/// What a message takes, counted from its first byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of all of it.
    pub(crate) len: usize,
    /// Where its data begins.
    pub(crate) data_at: usize,
}

impl Shape {
    fn is_large(self) -> bool {
        self.len.saturating_sub(self.data_at) >= LARGE
    }
}

/// Gives a reader its room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// So many bytes of the current message are missing, at least.
    missing: usize,
    /// Where its data begins, counted from the first byte that is not taken up yet; known once its header is there.
    data_at: Option<usize>,
    /// What the next message may look like.
    expected: Option<Shape>,
}

impl Room {
    /// Notes what the current message lacks: so many bytes, at least. Its data begins at `data_at`, counted from the first byte that is not
    /// taken up yet; none if its header is not there.
    pub(crate) fn lacks(&mut self, missing: usize, data_at: Option<usize>) {
        (self.missing, self.data_at) = (missing, data_at);
    }

    /// Notes that a message was received.
    pub(crate) fn received(&mut self, shape: Shape) {
        self.lacks(0, None);
        self.expected = (shape.is_large() && shape.len <= EXPECTED).then_some(shape);
    }

    /// Whether there is room for a large message of which nothing has come yet.
    pub(crate) fn is_held(&self, rx: &BytesMut) -> bool {
        self.expected.is_some() && self.data_at.is_none() && rx.is_empty()
    }

    /// Gives that back.
    pub(crate) fn give_back(&mut self, rx: &mut BytesMut) {
        if self.is_held(rx) {
            self.expected = None;
            *rx = BytesMut::new();
        }
    }

    /// Makes room for what the current message lacks, or for the next one.
    pub(crate) fn make(&self, rx: &mut BytesMut) {
        let free = rx.capacity() - rx.len();
        let whole = Shape {
            len: rx.len() + self.missing,
            data_at: self.data_at.unwrap_or(usize::MAX),
        };
        match self.expected {
            Some(shape) if rx.is_empty() && self.data_at.is_none() && !is_room_for(rx, shape) => {
                *rx = aligned(shape);
            }
            _ if self.missing > free && whole.is_large() && whole.len <= AT_ONCE => {
                let mut large = aligned(whole);
                large.extend_from_slice(rx);
                *rx = large;
            }
            _ if self.missing > free => {
                let wanted = self.missing.min(rx.len().max(AT_ONCE));
                rx.reserve(wanted.max(CHUNK));
            }
            _ if free < CHUNK / 16 && self.missing == 0 => rx.reserve(CHUNK),
            _ => {}
        }
    }
}

/// Whether a message that begins in an empty buffer has its data aligned and ends with it.
fn is_room_for(rx: &BytesMut, shape: Shape) -> bool {
    rx.capacity() == shape.len && (rx.as_ptr().addr() + shape.data_at).is_multiple_of(ALIGNMENT)
}

/// An empty buffer with room for a message and nothing behind it, in which its data is aligned.
fn aligned(shape: Shape) -> BytesMut {
    // Up to a page to align.
    let size = (ALIGNMENT + shape.len).next_multiple_of(ALIGNMENT);
    let (_, mut buffer) = spares::take(size);
    buffer.clear();
    let misaligned = (buffer.as_ptr().addr() + shape.data_at) % ALIGNMENT;
    let skip = (ALIGNMENT - misaligned) % ALIGNMENT;
    buffer.put_bytes(0, skip);
    buffer.advance(skip);
    // What follows would lie where its data is not aligned.
    drop(buffer.split_off(shape.len));
    buffer
}

/// Takes the first `len` received bytes: what is left of a message, behind its header.
pub(crate) fn take_message(rx: &mut BytesMut, len: usize) -> BytesMut {
    let message = rx.split_to(len);
    if rx.is_empty() && len >= LARGE {
        // So that the message alone has its buffer.
        *rx = BytesMut::new();
    }
    message
}

/// A message's bytes, to be cut up. The buffer of many is used again once nobody refers to any of them.
pub(crate) fn freeze(message: BytesMut) -> Bytes {
    match message.len() {
        LARGE..=AT_ONCE => Bytes::from_owner(Large(message)),
        _ => message.freeze(),
    }
}

/// A large message.
struct Large(BytesMut);

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if let Some((size, buffer)) = spares::whole(std::mem::take(&mut self.0)) {
            spares::give(size, buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(buffer: &[u8]) -> usize {
        buffer.as_ptr().addr()
    }

    /// A message with so much data, which begins there.
    fn shape(data_at: usize, data: usize) -> Shape {
        Shape {
            len: data_at + data,
            data_at,
        }
    }

    fn is_aligned(buffer: &[u8], data_at: usize) -> bool {
        (address(buffer) + data_at).is_multiple_of(ALIGNMENT)
    }

    #[test]
    fn data_of_a_large_message_is_aligned_wherever_it_begins() {
        for data_at in [3, 300, 4095, 4096, 70_001] {
            let mut rx = BytesMut::from(&b"abc"[..]);
            let mut room = Room::default();
            room.lacks(4 << 20, Some(data_at));
            room.make(&mut rx);
            assert_eq!(rx, &b"abc"[..]);
            assert!(rx.capacity() >= 3 + (4 << 20));
            assert!(is_aligned(&rx, data_at));
        }
    }

    #[test]
    fn behind_a_large_message_the_next_one_is_received_to_where_it_lies_right() {
        let mut room = Room::default();
        let mut rx = BytesMut::new();
        let large = shape(300, LARGE);
        room.received(large);
        room.lacks(32, None);
        for _ in 0..3 {
            room.make(&mut rx);
            // It ends with the buffer, so that the one behind it is not received to where it lies wrong.
            assert_eq!((rx.len(), rx.capacity()), (0, large.len));
            assert!(is_aligned(&rx, large.data_at));
            let place = address(&rx);
            room.make(&mut rx);
            assert_eq!(address(&rx), place);
            // Its header comes first, and is taken up.
            rx.put_bytes(1, 40);
            let header = rx.split_to(32);
            room.lacks(large.len - 40, Some(large.data_at - 32));
            room.make(&mut rx);
            assert_eq!(address(&rx), place + 32);
            rx.put_bytes(1, large.len - 40);
            drop((header, rx.split()));
            room.received(large);
            room.lacks(32, None);
        }
    }

    #[test]
    fn a_message_that_looks_otherwise_than_was_expected_is_moved() {
        let mut room = Room::default();
        let mut rx = BytesMut::new();
        room.received(shape(300, LARGE));
        room.make(&mut rx);
        rx.put_bytes(7, 5000);
        room.lacks(2 * LARGE, Some(500));
        room.make(&mut rx);
        assert_eq!(rx, [7; 5000][..]);
        assert!(rx.capacity() >= 5000 + 2 * LARGE && is_aligned(&rx, 500));
    }

    #[test]
    fn small_messages_are_received_many_at_a_time() {
        for before in [shape(300, 100), shape(300, LARGE - 1), shape(LARGE, 0)] {
            let mut room = Room::default();
            let mut rx = BytesMut::new();
            room.received(shape(300, LARGE));
            room.received(before);
            room.lacks(32, None);
            room.make(&mut rx);
            assert!(rx.capacity() >= CHUNK);
        }
    }

    #[test]
    fn a_session_that_waits_for_long_gives_its_room_back() {
        let mut room = Room::default();
        let mut rx = BytesMut::new();
        room.give_back(&mut rx);
        room.received(shape(300, 4 * LARGE));
        room.lacks(32, None);
        room.make(&mut rx);
        assert!(room.is_held(&rx) && rx.capacity() >= 4 * LARGE);
        // Not where something has come.
        rx.put_u8(1);
        room.give_back(&mut rx);
        assert!(!room.is_held(&rx) && rx.capacity() >= 4 * LARGE);
        rx.clear();
        room.give_back(&mut rx);
        assert_eq!((room.is_held(&rx), rx.capacity()), (false, 0));
        room.make(&mut rx);
        assert_eq!(rx.capacity(), CHUNK);
    }

    #[test]
    fn a_session_that_waits_behind_a_very_large_message_holds_little() {
        let mut room = Room::default();
        let mut rx = BytesMut::new();
        room.received(shape(300, 4 << 20));
        room.lacks(32, None);
        room.make(&mut rx);
        assert!(rx.capacity() < 2 * CHUNK);
    }

    #[test]
    fn a_buffer_is_used_again_once_all_that_was_in_it_is_gone() {
        // A size of its own: the buffers are those of all tests.
        let shape = shape(17, 5_555_555);
        let mut rx = aligned(shape);
        let place = address(&rx);
        rx.put_bytes(1, shape.len);
        let header = rx.split_to(10);
        let mut message = freeze(take_message(&mut rx, shape.len - 10));
        drop(header);
        let data = message.split_off(7);
        drop(message);
        assert_ne!(address(&aligned(shape)), place);
        drop(data);
        let again: Vec<BytesMut> = (0..3).map(|_| aligned(shape)).collect();
        assert!(again.iter().any(|buffer| address(buffer) == place));
        assert!(again.iter().all(|buffer| buffer.capacity() == shape.len));
    }

    #[test]
    fn behind_a_large_message_its_buffer_is_not_used_for_small_ones() {
        let mut rx = aligned(shape(17, 1 << 20));
        rx.put_bytes(1, 17 + (1 << 20));
        drop(freeze(take_message(&mut rx, 17 + (1 << 20))));
        let mut room = Room::default();
        room.lacks(32, None);
        room.make(&mut rx);
        assert!(rx.capacity() < 2 * CHUNK);
    }

    #[test]
    fn a_message_beyond_what_is_given_at_once_grows_as_it_arrives() {
        let mut rx = BytesMut::new();
        let mut room = Room::default();
        room.lacks(100 << 20, Some(0));
        room.make(&mut rx);
        assert!(rx.capacity() < 2 * AT_ONCE);
    }
}
