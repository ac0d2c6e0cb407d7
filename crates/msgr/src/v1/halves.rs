//! An established session's two directions.

use encoding::{RawMessage, types::Utime};

use crate::{
    connection::Event,
    error::Result,
    lossless::{Attachment, Outbound},
    receiving::Receiving,
    v2::{Limits, Output, Progress},
};

use super::stream::{StreamReader, StreamWriter};

/// Receives.
pub type ReadHalf = Receiving<Reading>;

/// How messages are read.
pub struct Reading {
    reader: StreamReader,
    limits: Limits,
}

impl Reading {
    pub(super) fn new(reader: StreamReader, limits: Limits) -> Self {
        Self { reader, limits }
    }
}

impl ReadHalf {
    /// The next event of what was received. None if more bytes are needed.
    pub fn poll_event(&mut self) -> Result<Option<Event>> {
        let Reading { reader, limits } = &mut self.protocol;
        Ok(match reader.next(&mut self.rx, limits)? {
            Progress::Need(n) => {
                self.room.lacks(n, reader.data_at());
                None
            }
            Progress::Ready(event) => {
                self.room.received(reader.shape());
                if let (Event::Ack(seq), Some(session)) = (&event, reader.lossless()) {
                    session.acknowledged(*seq)?;
                }
                Some(event)
            }
        })
    }
}

/// Sends.
pub struct WriteHalf {
    out: Output,
    writer: StreamWriter,
    lossless: Option<Outbound>,
}

impl WriteHalf {
    /// In a lossless session it begins with what the peer has not acknowledged.
    pub(super) fn new(out: Output, writer: StreamWriter, lossless: Option<Attachment>) -> Self {
        let mut half = Self {
            out,
            writer,
            lossless: lossless.map(Outbound::new),
        };
        half.pump();
        half
    }

    /// What is to be written to the transport.
    pub fn output(&mut self) -> &mut Output {
        &mut self.out
    }

    /// Queues a message.
    pub fn send(&mut self, message: &RawMessage) {
        if let Some(session) = &self.lossless {
            session.queue(message.clone());
            return self.pump();
        }
        self.writer.put(message, &mut self.out);
    }

    /// In a lossless session: puts out what was queued elsewhere since, and acknowledges what was received.
    pub fn pump(&mut self) {
        while let Some(batch) = self.lossless.as_mut().and_then(|session| session.batch(false)) {
            self.writer.set_out_seq(batch.first - 1);
            for message in &batch.messages {
                self.writer.put(message, &mut self.out);
            }
        }
        if let Some(seq) = self.lossless.as_ref().and_then(Outbound::untold) {
            self.writer.ack(seq, &mut self.out);
        }
    }

    /// In a lossless session: nothing more goes over this connection. What is sent waits for another one.
    pub fn end(&mut self) {
        if let Some(session) = &mut self.lossless {
            session.end();
            self.out.clear();
        }
    }

    pub(crate) fn attachment(&self) -> Option<&Attachment> {
        self.lossless.as_ref().map(Outbound::attachment)
    }

    /// Queues a keepalive.
    pub fn keepalive(&mut self, now: Utime) {
        self.writer.keepalive(now, &mut self.out);
    }

    /// Queues the answer to a keepalive.
    pub fn keepalive_ack(&mut self, stamp: Utime) {
        if self.lossless.as_ref().is_some_and(Outbound::is_gone) {
            return;
        }
        self.writer.keepalive_ack(stamp, &mut self.out);
    }

    /// Queues an acknowledgement. Lossy sessions, as Ceph's clients have them, go without; in lossless ones
    /// [`pump`](Self::pump) does it.
    pub fn ack(&mut self, seq: u64) {
        self.writer.ack(seq, &mut self.out);
    }

    /// Queues the session's end.
    pub fn close(&mut self) {
        self.writer.close(&mut self.out);
    }
}
