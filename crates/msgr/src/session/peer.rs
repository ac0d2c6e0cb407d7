//! Who a peer is.

use std::net::SocketAddr;

use encoding::{
    Feature, Features,
    maps::Release,
    types::{EntityAddrVec, EntityName},
};

use crate::{
    auth::{AuthMethod, ConMode},
    cephx::{AuthCapsInfo, KeyType},
    v2::Algorithm,
};

/// Who the peer is, as proven in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Type and number; a client's number is its global id.
    pub name: EntityName,
    /// The entity that authenticated: `client.admin`. Without authentication, what the peer says.
    pub entity: String,
    /// The client instance.
    pub global_id: u64,
    /// The peer's own addresses.
    pub addrs: EntityAddrVec,
    /// Where it connects from.
    pub socket: SocketAddr,
    /// Features of both sides.
    pub features: Features,
    /// The peer's own features, as it said them.
    pub supported: Features,
    /// What it may do here.
    pub caps: AuthCapsInfo,
    /// How it authenticated.
    pub method: AuthMethod,
    /// How frames are protected.
    pub mode: ConMode,
    /// How frames are compressed, if they are.
    pub compression: Option<Algorithm>,
    /// The type of the session key; none without cephx.
    pub key_type: Option<KeyType>,
}

impl PeerInfo {
    /// The features that monitor maps are written for. Their key types (`AuthCiphers`) are of Tentacle: a client that
    /// knows them is told of them, though we do not offer that release's other features.
    #[must_use]
    pub fn monmap_features(&self) -> Features {
        // Who hides the features of Pacific from its clients does not want them to be told more.
        let told = self.supported.is_since(Release::TENTACLE) && self.features.has(Feature::SERVER_PACIFIC);
        match told {
            true => Features(self.features.0 | Feature::SERVER_TENTACLE.word().0),
            false => self.features,
        }
    }
}
