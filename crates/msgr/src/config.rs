//! What a connection needs to know of its own side.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use encoding::{
    Features,
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};

use crate::{
    auth::{AuthConfig, ConMode},
    budget::Budget,
    cephx::{AuthEntityName, CephxClient},
    gate::Gate,
    lossless::{Bounds, Link, Policies, Policy, SessionTable},
    v2::{Compression, Limits},
};

/// Which messenger protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// msgr v1, the legacy one.
    V1,
    /// msgr v2.0, the first revision of v2, in crc mode alone.
    V20,
    /// msgr v2.1; with peers that know no better, v2.0.
    #[default]
    V2,
}

/// Checksums of msgr v1 (`ms_crc_header`, `ms_crc_data`): both sides must agree on that of headers; that of data
/// is marked as absent in each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crc {
    /// Headers, fronts and middles.
    pub header: bool,
    /// Data.
    pub data: bool,
}

impl Default for Crc {
    fn default() -> Self {
        Self {
            header: true,
            data: true,
        }
    }
}

/// The monitor map for clients that have no session yet: over msgr v1 they may ask for it before they
/// authenticate, and get it right after.
pub trait MonMapSource: fmt::Debug + Send + Sync + 'static {
    /// The epoch, and the map encoded for a peer with `features`.
    fn monmap(&self, features: Features) -> (u32, Bytes);
}

/// A listener's side: one daemon at its addresses.
#[derive(Debug)]
pub struct ServerConfig {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Who the daemon is: the number is a monitor's rank, or an OSD's id.
    pub name: EntityName,
    /// Its addresses, as maps have them.
    pub addrs: EntityAddrVec,
    /// How clients authenticate.
    pub auth: AuthConfig,
    /// Features offered.
    pub supported: Features,
    /// Features demanded; over msgr v2, MSG_ADDR2 is in any case.
    pub required: Features,
    /// Refuse clients that mean to reach an address that is not among `addrs`: they hold an old map.
    pub verify_target: bool,
    /// msgr v2.1: compression of frames.
    pub compression: Compression,
    /// Bounds on messages.
    pub limits: Limits,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Bounds on what sessions hold in memory. Listeners of one process share it.
    pub budget: Arc<Budget>,
    /// Who is let in. Listeners of one process share it.
    pub gate: Arc<Gate>,
    /// What becomes of sessions when their connection breaks, by type of peer. At a monitor sessions of msgr v1 are lossy
    /// in any case: they stand before the client is authenticated.
    pub policies: Policies,
    /// The sessions that outlive their connections. Listeners of one daemon may share it.
    pub sessions: Arc<SessionTable>,
    /// Counts sessions.
    pub global_seq: AtomicU64,
    /// msgr v1: checksums made and checked.
    pub crc: Crc,
    /// msgr v1: sign messages and check signatures where both sides can (`cephx_sign_messages`).
    pub sign_messages: bool,
    /// msgr v1, at a monitor: the map. Without it clients get it in their session only.
    pub monmap: Option<Arc<dyn MonMapSource>>,
}

impl ServerConfig {
    /// With Ceph's usual settings.
    #[must_use]
    pub fn new(name: EntityName, addrs: EntityAddrVec, auth: AuthConfig) -> Self {
        Self {
            protocol: Protocol::V2,
            name,
            addrs,
            auth,
            supported: Features::OURS,
            required: Features::NONE,
            verify_target: true,
            compression: Compression::default(),
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            budget: Arc::default(),
            gate: Arc::default(),
            policies: Policies::all(Policy::stateless_server()),
            sessions: Arc::default(),
            global_seq: AtomicU64::new(0),
            crc: Crc::default(),
            sign_messages: true,
            monmap: None,
        }
    }

    pub(crate) fn next_global_seq(&self) -> u64 {
        self.global_seq.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// How a client authenticates.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// Not at all, under this name; a global id of 0 asks the monitor for one.
    None {
        /// Who it says it is.
        name: AuthEntityName,
        /// Its instance number.
        global_id: u64,
    },
    /// To a monitor, for tickets to the services named.
    Mon(Box<CephxClient>, Vec<EntityType>),
    /// To a service, with a ticket for it.
    Service(Box<CephxClient>),
}

impl ClientAuth {
    /// The same with credentials that were received since: who connects again is who it was.
    #[must_use]
    pub fn renewed(self, credentials: Option<CephxClient>) -> Self {
        match (self, credentials) {
            (Self::Mon(_, services), Some(client)) => Self::Mon(Box::new(client), services),
            (Self::Service(_), Some(client)) => Self::Service(Box::new(client)),
            (same, _) => same,
        }
    }
}

/// A client's side of one connection.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// What is spoken.
    pub protocol: Protocol,
    /// The server's type.
    pub server: EntityType,
    /// The server's address, as maps have it.
    pub target: EntityAddr,
    /// Our own addresses.
    pub addrs: EntityAddrVec,
    /// Who we are.
    pub auth: ClientAuth,
    /// Modes offered, the favourite first.
    pub modes: Vec<ConMode>,
    /// Features offered.
    pub supported: Features,
    /// What becomes of the session when the connection breaks, if the server agrees. Over msgr v1 sessions with monitors
    /// are lossy in any case.
    pub policy: Policy,
    /// The lossless session to be begun or resumed. None for a new one.
    pub link: Option<Arc<Link>>,
    /// msgr v2.1: compression of frames.
    pub compression: Compression,
    /// Bounds on messages.
    pub limits: Limits,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// msgr v1: checksums made and checked.
    pub crc: Crc,
    /// msgr v1: sign messages and check signatures where both sides can.
    pub sign_messages: bool,
}

impl ClientConfig {
    /// In crc mode, for a lossy session.
    #[must_use]
    pub fn new(server: EntityType, target: EntityAddr, auth: ClientAuth) -> Self {
        Self {
            protocol: Protocol::V2,
            server,
            target,
            addrs: EntityAddrVec(vec![EntityAddr {
                kind: encoding::types::AddrType::ANY,
                nonce: rand::random(),
                socket: Some(([127, 0, 0, 1], 0).into()),
            }]),
            auth,
            modes: vec![ConMode::CRC],
            supported: Features::OURS,
            policy: Policy::lossy_client(),
            link: None,
            compression: Compression::default(),
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            crc: Crc::default(),
            sign_messages: true,
        }
    }

    /// The lossless session to be begun or resumed, if it is not to be a lossy one.
    pub(crate) fn take_link(&mut self) -> Option<Arc<Link>> {
        if self.policy.lossy {
            return None;
        }
        let link = self.link.take();
        let link = link.unwrap_or_else(|| Link::new(Bounds::default()));
        Some(if link.is_closed() { link.successor() } else { link })
    }
}
