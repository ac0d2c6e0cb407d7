//! What a session sends, and how it gets to the socket.

use std::{io, sync::Arc};

use encoding::{RawMessage, types::Utime};
use tokio::net::TcpStream;

use crate::connection::WriteHalf;

/// What is sent.
pub(super) enum Outgoing {
    /// A message.
    Message(RawMessage),
    /// The answer to a keepalive, with its time.
    KeepaliveAck(Utime),
}

/// Bytes that a message takes on the wire beside its sections, roughly.
const OVERHEAD: usize = 96;

impl Outgoing {
    /// What it holds in memory, in bytes.
    pub(super) fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Message(m) => m.front.len() + m.middle.len() + m.data_len(),
                Self::KeepaliveAck(_) => 0,
            }
    }
}

/// The writing side of a connection.
pub(super) struct Writer {
    pub(super) half: WriteHalf,
    /// None once nothing more is to be written: the socket is closed then, whoever still holds the session.
    pub(super) socket: Option<Arc<TcpStream>>,
}

/// Pieces given to one vectored write.
const MAX_IOV: usize = 64;

impl Writer {
    pub(super) const fn new(half: WriteHalf, socket: Arc<TcpStream>) -> Self {
        Self {
            half,
            socket: Some(socket),
        }
    }

    /// Writes without waiting. True if nothing is left; also returns how many bytes went out.
    pub(super) fn write(&mut self) -> io::Result<(bool, usize)> {
        let mut written = 0;
        let Some(socket) = &self.socket else {
            return Ok((true, 0));
        };
        while !self.half.output().is_empty() {
            let mut iov = [io::IoSlice::new(&[]); MAX_IOV];
            let mut used = 0;
            for (slot, piece) in iov.iter_mut().zip(self.half.output().pieces()) {
                *slot = io::IoSlice::new(piece);
                used += 1;
            }
            match socket.try_write_vectored(&iov[..used]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.half.output().advance(n);
                    written += n;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok((false, written)),
                Err(e) => return Err(e),
            }
        }
        Ok((true, written))
    }
}
