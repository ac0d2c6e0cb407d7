//! Beginning a session.

use encoding::{
    Features,
    types::{EntityAddr, EntityAddrVec},
};

use super::control_frames;

/// `CEPH_MSG_CONNECT_LOSSY`: the session ends with its connection.
pub const FLAG_LOSSY: u64 = 1;

control_frames! {
    /// The client introduces itself.
    ClientIdent = CLIENT_IDENT {
        /// Its addresses.
        addrs: EntityAddrVec,
        /// Whom it means to reach.
        target: EntityAddr,
        /// Its number; -1 before it has one.
        gid: i64,
        /// Counts its connection attempts, whoever to.
        global_seq: u64,
        /// What it can do.
        supported: Features,
        /// What it demands.
        required: Features,
        /// [`FLAG_LOSSY`].
        flags: u64,
        /// Names the session.
        cookie: u64,
    }

    /// The server introduces itself: the session is established.
    ServerIdent = SERVER_IDENT {
        /// Its addresses.
        addrs: EntityAddrVec,
        /// Its number: rank of a monitor, id of an OSD.
        gid: i64,
        /// Counts its connections.
        global_seq: u64,
        /// What it can do.
        supported: Features,
        /// What it demands.
        required: Features,
        /// [`FLAG_LOSSY`].
        flags: u64,
        /// Names the session; 0 if it is lossy.
        cookie: u64,
    }

    /// The client lacks features.
    IdentMissingFeatures = IDENT_MISSING_FEATURES {
        /// Which.
        features: Features,
    }
}
