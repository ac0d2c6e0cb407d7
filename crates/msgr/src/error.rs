//! Why a connection ends: four kinds of peer error, each with an enumerated reason, so that a log line, a
//! metric's label and a test can tell them apart.

use encoding::DecodeError;

use crate::cephx::{KeyError, SealError};

/// The result of protocol steps.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong with what the peer sent. All of them end the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not parse.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// A frame that is well formed and known, but not allowed now.
    #[error("unexpected {tag} frame while {state}")]
    Unexpected {
        /// What the connection was doing.
        state: &'static str,
        /// Name of the frame's tag.
        tag: &'static str,
    },
    /// The peer cannot be served, or we cannot be understood.
    #[error("incompatible peer: {0}")]
    Incompatible(#[from] Incompatible),
    /// Nothing is wrong with the peer, but it cannot be served now; it comes back by itself.
    #[error("cannot be served now")]
    TryLater,
    /// The session has moved to another connection, or is over.
    #[error("the session has moved to another connection, or is over")]
    Superseded,
    /// The peer breaks the protocol's rules, or fails to prove what it claims.
    #[error("peer misbehaved: {0}")]
    Misbehaved(#[from] Misbehaved),
}

impl Error {
    /// A short, stable label of the reason, for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unexpected { .. } => "unexpected",
            Self::Incompatible(_) => "incompatible",
            Self::TryLater => "try_later",
            Self::Superseded => "superseded",
            Self::Misbehaved(_) => "misbehaved",
        }
    }
}

/// Bytes that do not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first bytes are not the messenger's banner.
    #[error("not a messenger banner")]
    Banner,
    /// The banner's payload is shorter than two feature words.
    #[error("banner payload of {0} bytes")]
    BannerLength(u16),
    /// The preamble's checksum is wrong.
    #[error("preamble checksum mismatch")]
    PreambleCrc,
    /// A frame has one to four segments.
    #[error("{0} segments")]
    SegmentCount(u8),
    /// The last of several segments is empty.
    #[error("last segment is empty")]
    EmptyLastSegment,
    /// A control frame has one segment.
    #[error("control frame with {0} segments")]
    ControlSegments(usize),
    /// A segment's checksum is wrong.
    #[error("checksum mismatch in segment {0}")]
    SegmentCrc(usize),
    /// A compressed segment does not unpack.
    #[error("a segment is not what {0} packs")]
    Compressed(&'static str),
    /// The epilogue's status is neither complete nor aborted.
    #[error("epilogue status {0:#x}")]
    LateStatus(u8),
    /// A tag this protocol version does not have.
    #[error("unknown frame tag {0}")]
    UnknownTag(u8),
    /// A message header's checksum is wrong (v1).
    #[error("checksum mismatch in a message header")]
    HeaderCrc,
    /// The checksum of a section of a message is wrong (v1).
    #[error("checksum mismatch in the {0} of a message")]
    SectionCrc(&'static str),
    /// A frame's or ticket's content does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// A peer that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incompatible {
    /// The peer speaks msgr v1.
    #[error("peer speaks msgr v1")]
    MsgrV1,
    /// The peer speaks msgr v2 where v1 is spoken.
    #[error("peer speaks msgr v2")]
    MsgrV2,
    /// Other versions of the protocol between daemon and client (v1).
    #[error("protocol version {theirs} instead of {ours}")]
    ProtocolVersion {
        /// Ours.
        ours: u32,
        /// The peer's.
        theirs: u32,
    },
    /// The peer demands banner features we do not have.
    #[error("peer requires msgr2 features {0:#x}")]
    RequiredByPeer(u64),
    /// The peer lacks banner features we demand.
    #[error("peer lacks msgr2 features {0:#x}")]
    RequiredByUs(u64),
    /// The peer lacks features that are demanded here (v1).
    #[error("peer lacks features {0:#x}")]
    FeaturesMissing(u64),
    /// The server refuses us for want of features (client role).
    #[error("server requires features {0:#x}")]
    FeaturesRefused(u64),
    /// The peer compresses frames, which was not agreed on.
    #[error("compressed frame")]
    Compression,
    /// The server allows none of our authentication methods or modes (client role).
    #[error("authentication refused with error {result}; methods allowed {methods:?}, modes {modes:?}")]
    AuthRefused {
        /// Negative errno.
        result: i32,
        /// `CEPH_AUTH_*`.
        methods: Vec<u32>,
        /// `CEPH_CON_MODE_*`.
        modes: Vec<u32>,
    },
}

/// A peer that breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaved {
    /// A segment is longer than its bound.
    #[error("segment {segment} of {len} bytes exceeds {max}")]
    SegmentTooLong {
        /// Which segment, from 0.
        segment: usize,
        /// The claimed length.
        len: u32,
        /// The bound.
        max: u32,
    },
    /// More bytes than an unauthenticated peer may send.
    #[error("handshake exceeds {0} bytes")]
    HandshakeTooLong(usize),
    /// The handshake did not finish in time.
    #[error("handshake timed out")]
    HandshakeTimeout,
    /// The signature of the handshake's transcript is wrong.
    #[error("handshake signature mismatch")]
    Signature,
    /// An encrypted frame does not authenticate.
    #[error("frame authentication failed")]
    FrameTag,
    /// The peer wants to reach an address that is not ours.
    #[error("peer means to reach {0}, which is not us")]
    WrongTarget(String),
    /// The peer has no address.
    #[error("peer names no address of its own")]
    NoAddress,
    /// The peer says it is of another type than it was taken for.
    #[error("peer is of type {0:#x}")]
    WrongPeerType(u8),
    /// Too many failed attempts to authenticate.
    #[error("too many failed attempts to authenticate")]
    TooManyAuthAttempts,
    /// The server's proof of identity is wrong (client role).
    #[error("server cannot prove that it knows the key")]
    ServerProof,
    /// An authorizer is longer than its bound (v1).
    #[error("authorizer of {len} bytes exceeds {max}")]
    AuthorizerTooLong {
        /// The claimed length.
        len: u32,
        /// The bound.
        max: u32,
    },
    /// A message's signature is wrong (v1).
    #[error("message signature mismatch")]
    MessageSignature,
    /// A message is not signed though both sides can sign (v1).
    #[error(
        "a message is not signed: does the peer have cephx_sign_messages = false or nocephx_sign_messages?"
    )]
    MessageUnsigned,
    /// A message without an end (v1).
    #[error("message aborted by its sender")]
    Aborted,
    /// The server says it is at another address than we connected to (client role, v1).
    #[error("server says it is {0}")]
    WrongAddress(String),
    /// A connection of the same peer that is older than one seen before.
    #[error("an older connection than one seen before")]
    StaleConnection,
    /// More attempts over one connection to get a session than make sense.
    #[error("too many attempts to connect")]
    TooManyConnects,
    /// A way of compression we did not ask for (client role).
    #[error("compression method {0} was not asked for")]
    Compression(u32),
    /// A mode we did not offer (client role).
    #[error("connection mode {0} was not offered")]
    ConMode(u32),
}

impl From<DecodeError> for Error {
    fn from(e: DecodeError) -> Self {
        Self::Malformed(Malformed::Decode(e))
    }
}

/// In the client role: what a server sealed does not open.
impl From<SealError> for Error {
    fn from(e: SealError) -> Self {
        match e {
            SealError::Decode(e) => Malformed::Decode(e).into(),
            SealError::Key(_) | SealError::Magic => Misbehaved::ServerProof.into(),
        }
    }
}

impl From<KeyError> for Error {
    fn from(e: KeyError) -> Self {
        SealError::Key(e).into()
    }
}
