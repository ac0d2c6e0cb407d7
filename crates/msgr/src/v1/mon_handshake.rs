//! How a client authenticates with a monitor over msgr v1: by `MAuth` messages in a session that stands already
//! (`AuthMonitor::prep_auth` in Ceph `src/mon/AuthMonitor.cc`).
//!
//! Until it has done so it may only ask for the monitor map, ping, and send keepalives.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use bytes::Bytes;
use encoding::{
    Decode, Features, Message, MessageType, RawMessage, Reader,
    messages::{MAuth, MAuthReply, MMonMap, MPing},
};

use crate::{
    auth::{AuthDone, AuthMethod, AuthStep, ServerAuth},
    cephx::{AuthEntityName, errno},
    config::ServerConfig,
    error::{Error, Misbehaved, Result},
};

/// Failures that a connection may collect.
const MAX_REFUSALS: u32 = 8;

/// The monitor's side.
#[derive(Debug)]
pub struct MonHandshake {
    config: Arc<ServerConfig>,
    auth: ServerAuth,
    features: Features,
    method: AuthMethod,
    refusals: u32,
}

/// What a message came to.
#[derive(Debug, Default)]
pub struct MonStep {
    /// To be sent.
    pub replies: Vec<RawMessage>,
    /// The client is authenticated.
    pub(super) done: Option<Box<AuthDone>>,
}

impl MonStep {
    /// Whether the client is authenticated.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }
}

impl MonHandshake {
    /// With a client that has `features`.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, features: Features) -> Self {
        let auth = ServerAuth::new(config.auth.clone(), config.name.kind);
        Self {
            config,
            auth,
            features,
            method: AuthMethod(0),
            refusals: 0,
        }
    }

    /// How often the client was refused.
    #[must_use]
    pub const fn refusals(&self) -> u32 {
        self.refusals
    }

    /// How the client authenticates; 0 while that is not decided.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        self.method
    }

    /// Handles a message of the unauthenticated client.
    pub fn handle(&mut self, raw: &RawMessage, now: SystemTime) -> Result<MonStep> {
        let mut step = MonStep::default();
        match raw.header.kind {
            MessageType::AUTH => self.auth(raw, now, &mut step)?,
            MessageType::MON_GET_MAP => {
                let monmap = self.monmap().map(|(_, map)| map);
                step.replies
                    .extend(monmap.map(|map| map.with_tid(raw.header.tid)));
            }
            MessageType::PING => {
                let pong = MPing::default().encode(self.features);
                step.replies.push(pong.with_tid(raw.header.tid));
            }
            kind => {
                return Err(Error::Unexpected {
                    state: "authenticating",
                    tag: kind.name().unwrap_or("unknown message"),
                });
            }
        }
        Ok(step)
    }

    /// The map's epoch, and the message.
    fn monmap(&self) -> Option<(u32, RawMessage)> {
        let (epoch, monmap) = self.config.monmap.as_ref()?.monmap(self.features);
        Some((epoch, MMonMap { monmap }.encode(self.features)))
    }

    fn auth(&mut self, raw: &RawMessage, now: SystemTime, out: &mut MonStep) -> Result<()> {
        let message = MAuth::decode(raw)?;
        let step = if message.protocol == 0 {
            self.begin(&message.payload)
        } else {
            self.auth.more_v1(message.payload, now)
        };
        let (result, global_id, payload) = match step {
            AuthStep::Busy => return Err(Error::TryLater),
            AuthStep::More(payload) => (0, self.auth.global_id(), payload),
            AuthStep::Refused(error) => {
                self.refusals += 1;
                if self.refusals > MAX_REFUSALS {
                    return Err(Misbehaved::TooManyAuthAttempts.into());
                }
                (error, self.auth.global_id(), Bytes::new())
            }
            AuthStep::Done(done) => {
                let answer = (0, done.global_id, done.reply.clone());
                out.done = Some(done);
                answer
            }
        };
        let reply = MAuthReply {
            protocol: self.method.0,
            result,
            global_id,
            payload,
            message: String::new(),
        };
        out.replies
            .push(reply.encode(self.features).with_tid(raw.header.tid));
        if out.is_done()
            && let Some((epoch, map)) = self.monmap()
            && message.monmap_epoch < epoch
        {
            out.replies.push(map);
        }
        Ok(())
    }

    /// The client says which methods it can do, and who it is.
    fn begin(&mut self, payload: &Bytes) -> AuthStep {
        let Ok((offered, entity, global_id)) = parse_offer(payload) else {
            return AuthStep::Refused(errno::EINVAL);
        };
        let offered: Vec<u32> = offered.into_iter().collect();
        let (method, step) = self.auth.start_v1(&offered, (entity, global_id));
        self.method = method;
        step
    }
}

fn parse_offer(payload: &Bytes) -> encoding::codec::Result<(BTreeSet<u32>, AuthEntityName, u64)> {
    let mut r = Reader::new(payload);
    r.u8()?;
    Ok((Decode::decode(&mut r)?, AuthEntityName::decode(&mut r)?, r.u64()?))
}
