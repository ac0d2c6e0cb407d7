//! What travels in the data of notify, its acknowledgement and its completion (Ceph `src/osd/PrimaryLogPG.cc`,
//! `src/osd/Watch.cc`, `src/osdc/Objecter.cc`; the formats have no types there).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::Features,
    types::{OpArgs, OsdOp},
};

/// Input of a notify op.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifyRequest {
    /// Seconds to wait for watchers; 0 is the server's default.
    pub timeout: u32,
    /// What watchers get.
    pub payload: Bytes,
}

impl NotifyRequest {
    /// The input of `op`. One that cannot be decoded is, as in Ceph, a notify with the default timeout.
    #[must_use]
    pub fn of(op: &OsdOp) -> Self {
        Self::decode(&mut Reader::new(&op.indata)).unwrap_or_default()
    }
}

impl Decode for NotifyRequest {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.skip(4, "notify version")?;
        Ok(Self {
            timeout: r.u32()?,
            payload: r.blob()?,
        })
    }
}

impl Encode for NotifyRequest {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u32_le(1); // version, obsolete
        out.put_u32_le(self.timeout);
        out.put_blob(&self.payload);
    }
}

/// Input of a notify-ack op: a watcher's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifyAck {
    /// The server's id of the notify.
    pub notify_id: u64,
    /// The client's id of its watch; none from old clients, which answer for any.
    pub cookie: Option<u64>,
    /// The answer, passed on to who notifies.
    pub reply: Bytes,
}

impl NotifyAck {
    /// The answer in `op`. Old clients have the notify's id in the arguments, and no input.
    #[must_use]
    pub fn of(op: &OsdOp) -> Self {
        Self::decode(&mut Reader::new(&op.indata)).unwrap_or_else(|_| Self {
            notify_id: match op.args() {
                OpArgs::Notify { cookie } => cookie,
                _ => 0,
            },
            ..Self::default()
        })
    }
}

impl Decode for NotifyAck {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            notify_id: r.u64()?,
            cookie: Some(r.u64()?),
            reply: if r.is_empty() { Bytes::new() } else { r.blob()? },
        })
    }
}

impl Encode for NotifyAck {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u64_le(self.notify_id);
        out.put_u64_le(self.cookie.unwrap_or_default());
        out.put_blob(&self.reply);
    }
}

/// Data of a completed notify: who answered what, and who did not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifyReplies {
    /// Watchers (client's global id, cookie) and their answers, ascending.
    pub replies: Vec<((u64, u64), Bytes)>,
    /// Watchers that did not answer in time.
    pub missed: Vec<(u64, u64)>,
}

impl Decode for NotifyReplies {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            replies: r.vec()?,
            missed: r.vec()?,
        })
    }
}

impl Encode for NotifyReplies {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_vec(self.replies.iter(), features);
        out.put_vec(self.missed.iter(), features);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::Message,
        messages::{MOsdOp, MWatchNotify, WatchEvent},
        testing::captured,
        types::OpCode,
    };

    #[test]
    fn a_notify_its_acknowledgement_and_its_completion_are_read_as_real_peers_sent_them() {
        let (mut notifies, mut acks, mut completions) = (0, 0, 0);
        for c in captured() {
            if c.name == "MOSDOp" {
                for op in MOsdOp::decode(&c.raw).unwrap().ops {
                    if op.op == OpCode::NOTIFY {
                        let request = NotifyRequest::from_bytes(&op.indata).unwrap();
                        assert_eq!(request.to_bytes(Features::OURS), op.indata, "{}", c.origin);
                        notifies += 1;
                    } else if op.op == OpCode::NOTIFY_ACK {
                        let ack = NotifyAck::from_bytes(&op.indata).unwrap();
                        assert_eq!(ack.to_bytes(Features::OURS), op.indata, "{}", c.origin);
                        acks += 1;
                    }
                }
            } else if c.name == "MWatchNotify" {
                let event = MWatchNotify::decode(&c.raw).unwrap();
                if event.opcode == WatchEvent::NOTIFY_COMPLETE {
                    let replies = NotifyReplies::from_bytes(&event.data).unwrap();
                    assert_eq!(replies.to_bytes(Features::OURS), event.data, "{}", c.origin);
                    completions += 1;
                }
            }
        }
        assert!(
            notifies > 0 && acks > 0 && completions > 0,
            "{notifies} {acks} {completions}"
        );
    }

    #[test]
    fn an_acknowledgement_without_input_is_for_the_notify_in_the_arguments() {
        let op = OsdOp::new(OpCode::NOTIFY_ACK, OpArgs::Notify { cookie: 7 }, Bytes::new());
        let ack = NotifyAck::of(&op);
        assert_eq!((ack.notify_id, ack.cookie), (7, None));
    }
}
