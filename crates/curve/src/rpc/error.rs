//! How a call fails.

use std::{io, sync::Arc};

use super::frame::{FrameError, Unsendable};

/// Error codes in replies: brpc's own, and errnos of the server's system (Linux).
pub mod code {
    /// No such entity: `GetLeader` of a copyset which is not on that chunkserver.
    pub const ENOENT: i32 = 2;
    /// Try again: `GetLeader` while there is no leader.
    pub const EAGAIN: i32 = 11;
    /// No such service.
    pub const ENOSERVICE: i32 = 1001;
    /// No such method, or no such full name of a service.
    pub const ENOMETHOD: i32 = 1002;
    /// The message does not parse, or lacks a required field.
    pub const EREQUEST: i32 = 1003;
    /// Too much waits to be sent.
    pub const EOVERCROWDED: i32 = 1011;
    /// The server failed.
    pub const EINTERNAL: i32 = 2001;
    /// The server is stopping: go elsewhere.
    pub const ELOGOFF: i32 = 2003;
    /// The server's limit of concurrent calls.
    pub const ELIMIT: i32 = 2004;
    /// The server closes the connection.
    pub const ECLOSE: i32 = 2005;
}

/// Why a call has no reply message.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// There is no connection, so nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(Arc<io::Error>),
    /// No reply in time. The call may have been run, or may yet be.
    #[error("no reply in time")]
    Timeout,
    /// The connection broke. The call may have been run, or may yet be.
    #[error("connection lost: {0}")]
    Closed(Closed),
    /// The server refuses the call as such.
    #[error("server answers {code}: {text}")]
    Remote {
        /// See [`code`].
        code: i32,
        /// The server's words.
        text: String,
    },
    /// Not sent, because no server may be sent this.
    #[error("not sent: {0}")]
    Unsendable(#[from] Unsendable),
    /// The reply's message does not parse.
    #[error("reply does not parse")]
    Reply,
    /// The reply lacks its status.
    #[error("reply without a status")]
    NoStatus,
}

impl RpcError {
    /// Whether the server may have run the call, now or later.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::Closed(_) | Self::Reply | Self::NoStatus
        )
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// The peer closed it.
    #[error("closed by the peer")]
    ByPeer,
    /// An error of the socket.
    #[error("{0}")]
    Socket(io::ErrorKind),
    /// The peer sent something that is not a frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// We gave it up, with all that had not been sent.
    #[error("given up")]
    GivenUp,
}
