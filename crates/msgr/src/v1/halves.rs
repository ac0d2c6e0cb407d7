//! An established session's two directions.

use bytes::{BufMut, BytesMut};
use encoding::{RawMessage, types::Utime};

use crate::{
    connection::{Event, make_room},
    error::Result,
    v2::{Limits, Output, Progress},
};

use super::stream::{StreamReader, StreamWriter};

/// Receives.
pub struct ReadHalf {
    rx: BytesMut,
    /// Bytes missing to the end of the current message, at least.
    missing: usize,
    reader: StreamReader,
    limits: Limits,
}

impl ReadHalf {
    pub(super) fn new(rx: BytesMut, reader: StreamReader, limits: Limits) -> Self {
        Self {
            rx,
            missing: 0,
            reader,
            limits,
        }
    }

    /// Where to put received bytes: room for the rest of the current message, so that bulk data is read
    /// straight into its place. Everything read stays within the capacity left.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        make_room(&mut self.rx, self.missing);
        &mut self.rx
    }

    /// Appends received bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.rx.put_slice(bytes);
    }

    /// The next event of what was received. None if more bytes are needed.
    pub fn poll_event(&mut self) -> Result<Option<Event>> {
        Ok(match self.reader.next(&mut self.rx, &self.limits)? {
            Progress::Need(n) => {
                self.missing = n;
                None
            }
            Progress::Ready(event) => {
                self.missing = 0;
                Some(event)
            }
        })
    }
}

/// Sends.
pub struct WriteHalf {
    out: Output,
    writer: StreamWriter,
}

impl WriteHalf {
    pub(super) fn new(out: Output, writer: StreamWriter) -> Self {
        Self { out, writer }
    }

    /// What is to be written to the transport.
    pub fn output(&mut self) -> &mut Output {
        &mut self.out
    }

    /// Queues a message.
    pub fn send(&mut self, message: &RawMessage) {
        self.writer.put(message, &mut self.out);
    }

    /// Queues a keepalive.
    pub fn keepalive(&mut self, now: Utime) {
        self.writer.keepalive(now, &mut self.out);
    }

    /// Queues the answer to a keepalive.
    pub fn keepalive_ack(&mut self, stamp: Utime) {
        self.writer.keepalive_ack(stamp, &mut self.out);
    }

    /// Queues an acknowledgement. Lossy sessions, which are all that Ceph's clients have, go without.
    pub fn ack(&mut self, seq: u64) {
        self.writer.ack(seq, &mut self.out);
    }

    /// Queues the session's end.
    pub fn close(&mut self) {
        self.writer.close(&mut self.out);
    }
}
