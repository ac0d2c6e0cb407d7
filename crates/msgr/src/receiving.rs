//! What an established session's reader has received, in either protocol.

use bytes::{BufMut, BytesMut};

use crate::room::Room;

/// The receiving side of an established session in protocol `P`: bytes that are not part of an event yet, and room for more.
pub struct Receiving<P> {
    pub(crate) rx: BytesMut,
    /// For the current message, and the next one.
    pub(crate) room: Room,
    pub(crate) protocol: P,
}

impl<P> Receiving<P> {
    pub(crate) fn new(rx: BytesMut, protocol: P) -> Self {
        Self {
            rx,
            room: Room::default(),
            protocol,
        }
    }

    /// Where to put received bytes: room for the rest of the current message, so that bulk data is read
    /// straight into its place. Everything read stays within the capacity left.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        self.room.make(&mut self.rx);
        &mut self.rx
    }

    /// Whether memory is held for a large message of which nothing has come yet: the last one was large.
    pub fn holds_room(&self) -> bool {
        self.room.is_held(&self.rx)
    }

    /// Lets go of it, where the peer has nothing to say for now.
    pub fn give_room_back(&mut self) {
        self.room.give_back(&mut self.rx);
    }

    /// How many bytes were received and are not part of an event yet.
    pub fn buffered(&self) -> usize {
        self.rx.len()
    }

    /// Appends received bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.rx.put_slice(bytes);
    }
}
