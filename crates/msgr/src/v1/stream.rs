//! The stream of an established session: tags, messages, acknowledgements and keepalives.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Decode, Encode, Feature, Features, RawMessage, Reader,
    codec::{ceph_crc32c, wire_len},
    pieces,
    types::{EntityName, Utime},
};

use crate::{
    config::Crc,
    connection::Event,
    error::{Malformed, Misbehaved, Result},
    lossless::Attachment,
    room::{self, Shape},
    v2::{Limits, Output, Progress},
};

use super::{Footer, MessageHeader, Signer, Tag};

/// What both directions of a session agreed on.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) features: Features,
    pub(super) crc: Crc,
    pub(super) signer: Option<Signer>,
}

impl Terms {
    /// Whether footers have a field for a signature.
    fn with_signature(&self) -> bool {
        self.features.has(Feature::MSG_AUTH)
    }
}

/// Reads the stream.
#[derive(Debug)]
pub(super) struct StreamReader {
    terms: Terms,
    /// The last message received.
    in_seq: u64,
    lossless: Option<Attachment>,
    /// The header of a message that has not wholly arrived.
    head: Option<MessageHeader>,
    /// Of what was begun last.
    shape: Shape,
}

impl StreamReader {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            in_seq: 0,
            lossless: None,
            head: None,
            shape: Shape::default(),
        }
    }

    /// Reads for a session that outlives this stream.
    pub(super) fn set_lossless(&mut self, session: Option<Attachment>) {
        self.lossless = session;
    }

    pub(super) fn lossless(&self) -> Option<&Attachment> {
        self.lossless.as_ref()
    }

    /// The next event of `rx`, leaving `rx` behind it.
    pub(super) fn next(&mut self, rx: &mut BytesMut, limits: &Limits) -> Result<Progress<Event>> {
        loop {
            if let Some(head) = self.head {
                match self.message(head, rx)? {
                    Progress::Need(n) => return Ok(Progress::Need(n)),
                    Progress::Ready(None) => continue,
                    Progress::Ready(Some(message)) => return Ok(Progress::Ready(Event::Message(message))),
                }
            }
            let Some(&tag) = rx.first() else {
                return Ok(Progress::Need(1));
            };
            let tag = Tag(tag);
            let len = match tag {
                Tag::KEEPALIVE | Tag::CLOSE => 0,
                Tag::KEEPALIVE2 | Tag::KEEPALIVE2_ACK | Tag::ACK => 8,
                Tag::MSG => MessageHeader::LEN,
                Tag(other) => return Err(Malformed::UnknownTag(other).into()),
            };
            if rx.len() <= len {
                return Ok(Progress::Need(len + 1 - rx.len()));
            }
            let raw = rx.split_to(1 + len).freeze().slice(1..);
            if let Some(event) = self.piece(tag, &raw, limits)? {
                return Ok(Progress::Ready(event));
            }
        }
    }

    /// What the last message looks like; nothing, if something else came behind it.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Where the data of the message that has not wholly arrived begins, behind its header; none if that is not there.
    pub(super) fn data_at(&self) -> Option<usize> {
        let head = self.head?;
        Some(head.front_len as usize + head.middle_len as usize)
    }

    /// What stands behind a tag. None if there is nothing to tell of it (yet).
    fn piece(&mut self, tag: Tag, raw: &Bytes, limits: &Limits) -> Result<Option<Event>> {
        let mut r = Reader::new(raw);
        self.shape = Shape::default();
        Ok(match tag {
            Tag::MSG => {
                let head = MessageHeader::decode(&mut r)?;
                self.check_head(&head, raw, limits)?;
                self.head = Some(head);
                let header = 1 + MessageHeader::LEN;
                self.shape = Shape {
                    len: header + self.rest(&head),
                    data_at: header + head.front_len as usize + head.middle_len as usize,
                };
                None
            }
            Tag::KEEPALIVE2 => Some(Event::Keepalive(Utime::decode(&mut r)?)),
            Tag::KEEPALIVE2_ACK => Some(Event::KeepaliveAck(Utime::decode(&mut r)?)),
            Tag::ACK => Some(Event::Ack(r.u64()?)),
            Tag::CLOSE => Some(Event::Close),
            // A sign of life without an answer.
            _ => None,
        })
    }

    /// Bytes behind a message's header.
    fn rest(&self, head: &MessageHeader) -> usize {
        let lens = [head.front_len, head.middle_len, head.data_len].map(|len| len as usize);
        lens.iter().sum::<usize>() + Footer::len(self.terms.with_signature())
    }

    fn check_head(&self, head: &MessageHeader, raw: &[u8], limits: &Limits) -> Result<()> {
        if self.terms.crc.header && MessageHeader::crc_of(raw) != head.crc && !cfg!(fuzzing) {
            return Err(Malformed::HeaderCrc.into());
        }
        let lens = [head.front_len, head.middle_len, head.data_len];
        let bounds = [limits.front, limits.middle, limits.data];
        for (segment, (len, max)) in lens.into_iter().zip(bounds).enumerate() {
            if len > max {
                return Err(Misbehaved::SegmentTooLong { segment, len, max }.into());
            }
        }
        Ok(())
    }

    /// The message behind `head`. None if it was received before.
    fn message(&mut self, head: MessageHeader, rx: &mut BytesMut) -> Result<Progress<Option<RawMessage>>> {
        let lens = [head.front_len, head.middle_len, head.data_len].map(|len| len as usize);
        let signed = self.terms.with_signature();
        let total = self.rest(&head);
        if rx.len() < total {
            return Ok(Progress::Need(total - rx.len()));
        }
        self.head = None;
        let mut raw = room::freeze(room::take_message(rx, total));
        let [front, middle, data] = lens.map(|len| raw.split_to(len));
        let footer = Footer::decode(signed, &raw)?;
        if footer.flags & Footer::COMPLETE == 0 {
            return Err(Misbehaved::Aborted.into());
        }
        self.check_crcs(&footer, [&front, &middle, &data])?;
        self.check_signature(&head, &footer)?;
        if !self.is_new(head.seq)? {
            return Ok(Progress::Ready(None));
        }
        Ok(Progress::Ready(Some(RawMessage {
            header: head.message,
            front,
            middle,
            data: pieces(data),
        })))
    }

    /// Numbers may skip ahead; what is not newer was seen before.
    fn is_new(&mut self, seq: u64) -> Result<bool> {
        if let Some(session) = &self.lossless {
            return session.accept(seq);
        }
        let new = seq > self.in_seq;
        self.in_seq = self.in_seq.max(seq);
        Ok(new)
    }

    fn check_crcs(&self, footer: &Footer, [front, middle, data]: [&Bytes; 3]) -> Result<()> {
        let headers = self.terms.crc.header;
        let with_data = self.terms.crc.data && footer.flags & Footer::NOCRC == 0;
        let sections = [
            ("front", headers, front, footer.front_crc),
            ("middle", headers, middle, footer.middle_crc),
            ("data", with_data, data, footer.data_crc),
        ];
        for (name, checked, section, crc) in sections {
            if checked && ceph_crc32c(0, section) != crc && !cfg!(fuzzing) {
                return Err(Malformed::SectionCrc(name).into());
            }
        }
        Ok(())
    }

    fn check_signature(&self, head: &MessageHeader, footer: &Footer) -> Result<()> {
        match &self.terms.signer {
            Some(signer) if signer.sign(head, footer) != Ok(footer.sig) && !cfg!(fuzzing) => {
                let unsigned = footer.flags & Footer::SIGNED == 0;
                Err(if unsigned {
                    Misbehaved::MessageUnsigned
                } else {
                    Misbehaved::MessageSignature
                }
                .into())
            }
            _ => Ok(()),
        }
    }
}

/// Writes the stream.
#[derive(Debug)]
pub(super) struct StreamWriter {
    terms: Terms,
    /// Who sends.
    src: EntityName,
    /// The last message sent.
    out_seq: u64,
}

impl StreamWriter {
    pub(super) fn new(terms: Terms, src: EntityName) -> Self {
        Self {
            terms,
            src,
            out_seq: 0,
        }
    }

    /// Numbers go on behind what the peer received before.
    pub(super) fn set_out_seq(&mut self, seq: u64) {
        self.out_seq = seq;
    }

    /// Sends under another name from now on.
    pub(super) fn set_src(&mut self, src: EntityName) {
        self.src = src;
    }

    /// A message.
    pub(super) fn put(&mut self, message: &RawMessage, out: &mut Output) {
        self.out_seq = self.out_seq.wrapping_add(1);
        let mut header = MessageHeader {
            seq: self.out_seq,
            message: message.header,
            front_len: wire_len(message.front.len()),
            middle_len: wire_len(message.middle.len()),
            data_len: wire_len(message.data_len()),
            src: self.src,
            crc: 0,
        };
        out.put_with(|b| {
            b.put_u8(Tag::MSG.0);
            if self.terms.crc.header {
                header.seal(b);
            } else {
                header.encode(b, Features::ALL);
            }
        });
        out.put(message.front.clone());
        out.put(message.middle.clone());
        for piece in &message.data {
            out.put(piece.clone());
        }
        let footer = self.footer(&header, message);
        out.put_with(|b| footer.encode(self.terms.with_signature(), b));
    }

    fn footer(&self, header: &MessageHeader, message: &RawMessage) -> Footer {
        let mut footer = Footer {
            flags: Footer::COMPLETE,
            ..Footer::default()
        };
        if self.terms.crc.header {
            footer.front_crc = ceph_crc32c(0, &message.front);
            footer.middle_crc = ceph_crc32c(0, &message.middle);
        }
        if self.terms.crc.data {
            footer.data_crc = message.data.iter().fold(0, |crc, piece| ceph_crc32c(crc, piece));
        } else {
            footer.flags |= Footer::NOCRC;
        }
        // A key of a type without the older form of signatures leaves the message unsigned: the peer refuses it.
        if let Some(Ok(sig)) = self.terms.signer.as_ref().map(|s| s.sign(header, &footer)) {
            footer.sig = sig;
            footer.flags |= Footer::SIGNED;
        }
        footer
    }

    /// A keepalive, with a time stamp if the peer knows them.
    pub(super) fn keepalive(&self, now: Utime, out: &mut Output) {
        if self.terms.features.has(Feature::MSGR_KEEPALIVE2) {
            stamped(Tag::KEEPALIVE2, now, out);
        } else {
            out.put_with(|b| b.put_u8(Tag::KEEPALIVE.0));
        }
    }

    /// The answer to a keepalive.
    pub(super) fn keepalive_ack(&self, stamp: Utime, out: &mut Output) {
        stamped(Tag::KEEPALIVE2_ACK, stamp, out);
    }

    /// Messages up to `seq` were received.
    pub(super) fn ack(&self, seq: u64, out: &mut Output) {
        out.put_with(|b| {
            b.put_u8(Tag::ACK.0);
            b.put_u64_le(seq);
        });
    }

    /// The session ends.
    pub(super) fn close(&self, out: &mut Output) {
        out.put_with(|b| b.put_u8(Tag::CLOSE.0));
    }
}

fn stamped(tag: Tag, stamp: Utime, out: &mut Output) {
    out.put_with(|b| {
        b.put_u8(tag.0);
        stamp.encode(b, Features::ALL);
    });
}
