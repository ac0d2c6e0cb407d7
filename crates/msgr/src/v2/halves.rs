//! An established session's two directions, each a state machine of its own, so that a reader and a writer
//! can run side by side.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::BytesMut;
use encoding::{Encode, Features, RawMessage, types::Utime};

use crate::{
    connection::Event,
    error::{Error, Result},
    lossless::{Attachment, Outbound},
    receiving::Receiving,
};

use super::{
    control::{Ack, ControlFrame, Keepalive2, Keepalive2Ack, decode},
    frame::{Frame, FrameReader, FrameWriter, Output, Progress},
    message::{MessageHeader2, of_frame},
    preamble::Tag,
    segments::Limits,
};

/// Receives.
pub type ReadHalf = Receiving<Reading>;

/// How frames are read and judged.
pub struct Reading {
    reader: FrameReader,
    limits: Limits,
    in_seq: Arc<AtomicU64>,
    lossless: Option<Attachment>,
}

impl Reading {
    pub(super) fn new(
        reader: FrameReader,
        limits: Limits,
        in_seq: Arc<AtomicU64>,
        lossless: Option<Attachment>,
    ) -> Self {
        Self {
            reader,
            limits,
            in_seq,
            lossless,
        }
    }
}

impl ReadHalf {
    /// The next event of what was received. None if more bytes are needed.
    pub fn poll_event(&mut self) -> Result<Option<Event>> {
        loop {
            let Reading { reader, limits, .. } = &mut self.protocol;
            match reader.next(&mut self.rx, limits)? {
                Progress::Need(n) => {
                    self.room.lacks(n, reader.data_at());
                    return Ok(None);
                }
                Progress::Ready(frame) => {
                    self.room.received(reader.shape());
                    if let Some(event) = self.protocol.event(frame)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }
}

impl Reading {
    fn event(&self, frame: Frame) -> Result<Option<Event>> {
        Ok(match frame.tag {
            Tag::MESSAGE => {
                let (header, message) = of_frame(frame)?;
                if let Some(session) = &self.lossless {
                    session.acknowledged(header.ack_seq)?;
                    return Ok(session.accept(header.seq)?.then_some(Event::Message(message)));
                }
                // Numbers may skip ahead; what is not newer was seen before.
                if header.seq <= self.in_seq.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                self.in_seq.store(header.seq, Ordering::Relaxed);
                Some(Event::Message(message))
            }
            Tag::KEEPALIVE2 => Some(Event::Keepalive(decode::<Keepalive2>(&frame)?.0)),
            Tag::KEEPALIVE2_ACK => Some(Event::KeepaliveAck(decode::<Keepalive2Ack>(&frame)?.0)),
            Tag::ACK => {
                let seq = decode::<Ack>(&frame)?.0;
                if let Some(session) = &self.lossless {
                    session.acknowledged(seq)?;
                }
                Some(Event::Ack(seq))
            }
            tag => {
                return Err(Error::Unexpected {
                    state: "session",
                    tag: tag.name(),
                });
            }
        })
    }
}

/// Sends.
pub struct WriteHalf {
    out: Output,
    writer: FrameWriter,
    out_seq: u64,
    in_seq: Arc<AtomicU64>,
    lossless: Option<Outbound>,
    /// For headers.
    scratch: BytesMut,
}

impl WriteHalf {
    /// In a lossless session it begins with what the peer has not acknowledged.
    pub(super) fn new(
        out: Output,
        writer: FrameWriter,
        in_seq: Arc<AtomicU64>,
        lossless: Option<Attachment>,
    ) -> Self {
        let mut half = Self {
            out,
            writer,
            out_seq: 0,
            in_seq,
            lossless: lossless.map(Outbound::new),
            scratch: BytesMut::new(),
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
        self.out_seq += 1;
        self.put(self.out_seq, self.in_seq.load(Ordering::Relaxed), message);
    }

    /// In a lossless session: puts out what was queued elsewhere since, and acknowledges what was received.
    pub fn pump(&mut self) {
        while let Some(batch) = self.lossless.as_mut().and_then(|session| session.batch(true)) {
            for (seq, message) in (batch.first..).zip(&batch.messages) {
                self.put(seq, batch.in_seq, message);
            }
        }
        if let Some(seq) = self.lossless.as_ref().and_then(Outbound::untold) {
            self.control(&Ack(seq));
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

    fn put(&mut self, seq: u64, ack_seq: u64, message: &RawMessage) {
        let header = MessageHeader2 {
            seq,
            ack_seq,
            // CEPH_MSG_FOOTER_COMPLETE
            flags: 1,
            message: message.header,
        };
        self.scratch.clear();
        header.encode(&mut self.scratch, Features::ALL);
        let (front, middle) = (
            std::slice::from_ref(&message.front),
            std::slice::from_ref(&message.middle),
        );
        self.writer.put(
            Tag::MESSAGE,
            &self.scratch,
            [front, middle, &message.data],
            &mut self.out,
        );
    }

    /// Queues a keepalive.
    pub fn keepalive(&mut self, now: Utime) {
        self.control(&Keepalive2(now));
    }

    /// Queues the answer to a keepalive.
    pub fn keepalive_ack(&mut self, stamp: Utime) {
        self.control(&Keepalive2Ack(stamp));
    }

    fn control<F: ControlFrame>(&mut self, frame: &F) {
        if self.lossless.as_ref().is_some_and(Outbound::is_gone) {
            return;
        }
        self.writer
            .put_control(F::TAG, &frame.to_bytes(Features::ALL), &mut self.out);
    }
}
