//! What becomes of a session when its transport breaks (Ceph `src/msg/Policy.h`).

use std::collections::BTreeMap;

use encoding::types::EntityType;

/// The rules of sessions with peers of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The session ends with its transport. Otherwise it is resumed over another one.
    pub lossy: bool,
    /// This side never connects by itself.
    pub server: bool,
    /// A session without anything to send waits for the peer, or for something to send, before it is resumed.
    pub standby: bool,
    /// A peer that begins anew ends the session. Otherwise what waits to be sent is sent in its new one.
    pub reset_check: bool,
}

macro_rules! policies {
    ($($(#[$doc:meta])* $name:ident = ($lossy:literal, $server:literal, $standby:literal, $reset_check:literal);)*) => {
        impl Policy {
            $($(#[$doc])*
            #[must_use]
            pub const fn $name() -> Self {
                Self {
                    lossy: $lossy,
                    server: $server,
                    standby: $standby,
                    reset_check: $reset_check,
                }
            })*
        }
    };
}

policies! {
    /// Daemons towards clients that ask again: nothing is kept.
    stateless_server = (true, true, false, false);
    /// Daemons that keep state for a client: it resumes its session.
    stateful_server = (false, true, true, true);
    /// Equals: either connects, and neither forgets what it has to send.
    lossless_peer = (false, false, true, false);
    /// Equals of which each notices that the other began anew.
    lossless_peer_reuse = (false, false, true, true);
    /// The other side of a stateless server.
    lossy_client = (true, false, false, false);
    /// The other side of a stateful server.
    lossless_client = (false, false, false, true);
}

/// A policy for each type of peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    default: Policy,
    of: BTreeMap<EntityType, Policy>,
}

impl Policies {
    /// One for all.
    #[must_use]
    pub const fn all(default: Policy) -> Self {
        Self {
            default,
            of: BTreeMap::new(),
        }
    }

    /// Another one for peers of this type.
    #[must_use]
    pub fn with(mut self, kind: EntityType, policy: Policy) -> Self {
        self.of.insert(kind, policy);
        self
    }

    /// The policy for peers of this type.
    #[must_use]
    pub fn get(&self, kind: EntityType) -> Policy {
        self.of.get(&kind).copied().unwrap_or(self.default)
    }
}
