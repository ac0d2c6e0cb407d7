//! The envelope of every message: header fields that both wire protocols share, and its three byte sections.
//!
//! Format: Ceph `src/include/msgr.h` (`ceph_msg_header`, `ceph_msg_header2`) and `src/msg/Message.h`.

use std::fmt;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::{codec::Result, features::Features};

/// `CEPH_MSG_*` / `MSG_*`: what kind of message. Open: unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(pub u16);

macro_rules! message_types {
    ($($name:ident = $value:literal,)*) => {
        impl MessageType {
            $(#[doc = concat!("`", stringify!($name), "`, ", stringify!($value), ".")]
            pub const $name: Self = Self($value);)*

            /// The name, if the type is known.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some(stringify!($name)),)* _ => None }
            }
        }
    };
}

message_types! {
    SHUTDOWN = 1, PING = 2, MON_MAP = 4, MON_GET_MAP = 5, STATFS = 13, STATFS_REPLY = 14,
    MON_SUBSCRIBE = 15, MON_SUBSCRIBE_ACK = 16, AUTH = 17, AUTH_REPLY = 18,
    MON_GET_VERSION = 19, MON_GET_VERSION_REPLY = 20, OSD_MAP = 41, OSD_OP = 42, OSD_OPREPLY = 43,
    WATCH_NOTIFY = 44, POOLOP_REPLY = 48, POOLOP = 49, MON_COMMAND = 50, MON_COMMAND_ACK = 51, LOG = 52,
    LOGACK = 53, GETPOOLSTATS = 58, GETPOOLSTATSREPLY = 59, CONFIG = 62, GET_CONFIG = 63, OSD_BACKOFF = 61,
    COMMAND = 97, COMMAND_REPLY = 98,
    MGR_OPEN = 0x700, MGR_CONFIGURE = 0x701, MGR_REPORT = 0x702, MGR_BEACON = 0x703, MGR_MAP = 0x704,
    MGR_DIGEST = 0x705, MON_MGR_REPORT = 0x706, SERVICE_MAP = 0x707, MGR_CLOSE = 0x708, MGR_COMMAND = 0x709,
    MGR_COMMAND_REPLY = 0x70a, MGR_UPDATE = 0x70b,
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "MessageType({:#x})", self.0),
        }
    }
}

/// The header fields that a message itself decides (the messenger adds sequence numbers and crcs).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHeader {
    /// Transaction id, chosen by the requester and repeated in the answer.
    pub tid: u64,
    /// What kind of message.
    pub kind: MessageType,
    /// Queueing priority (`CEPH_MSG_PRIO_*`); 127 is the default.
    pub priority: u16,
    /// Version of the encoding of the front.
    pub version: u16,
    /// The oldest decoder that can read it.
    pub compat_version: u16,
    /// Offset of the data within its page, a hint for aligned reads.
    pub data_off: u16,
}

/// `CEPH_MSG_PRIO_DEFAULT`.
pub const PRIO_DEFAULT: u16 = 127;
/// `CEPH_MSG_PRIO_HIGH`: what heartbeats and maps use.
pub const PRIO_HIGH: u16 = 196;

/// Data in pieces, one behind the other: most often one, which needs no list in memory of its own.
pub type Pieces = SmallVec<[Bytes; 1]>;

/// The pieces of data that is in one: none if it is empty.
#[must_use]
pub fn pieces(data: Bytes) -> Pieces {
    Some(data).filter(|data| !data.is_empty()).into_iter().collect()
}

/// A message as it travels: header and sections, not yet interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// Header fields.
    pub header: MessageHeader,
    /// The structured part.
    pub front: Bytes,
    /// Rarely used middle section.
    pub middle: Bytes,
    /// Bulk data. A received message has at most one piece; a sent one may have many, written without joining.
    pub data: Pieces,
}

impl RawMessage {
    /// A message with only a front and default header fields.
    #[must_use]
    pub fn new(kind: MessageType, version: u16, compat_version: u16, front: Bytes) -> Self {
        Self {
            header: MessageHeader {
                tid: 0,
                kind,
                priority: PRIO_DEFAULT,
                version,
                compat_version,
                data_off: 0,
            },
            front,
            middle: Bytes::new(),
            data: Pieces::new(),
        }
    }

    /// The length of the data section, in bytes.
    #[must_use]
    pub fn data_len(&self) -> usize {
        self.data.iter().map(Bytes::len).sum()
    }

    /// The data section as one piece; copies only if it is in several.
    #[must_use]
    pub fn data_bytes(&self) -> Bytes {
        match self.data.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let mut out = BytesMut::with_capacity(self.data_len());
                for piece in many {
                    out.extend_from_slice(piece);
                }
                out.freeze()
            }
        }
    }

    /// The same message with transaction id `tid`.
    #[must_use]
    pub fn with_tid(mut self, tid: u64) -> Self {
        self.header.tid = tid;
        self
    }
}

/// A message type: how it is read from, and written to, its raw form.
///
/// `decode` accepts every version that peers from Hammer on send; `encode` chooses the version by the
/// receiver's features. The transaction id travels in the header: set it with [`RawMessage::with_tid`].
pub trait Message: Sized {
    /// The wire's message type.
    const TYPE: MessageType;

    /// Interprets a raw message of this type.
    fn decode(raw: &RawMessage) -> Result<Self>;

    /// The raw form for a peer with `features`.
    fn encode(&self, features: Features) -> RawMessage;
}
