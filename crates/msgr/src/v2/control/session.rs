//! Resuming a session.

use encoding::types::EntityAddrVec;

use super::control_frames;

control_frames! {
    /// The client wants to resume.
    SessionReconnect = SESSION_RECONNECT {
        /// Its addresses.
        addrs: EntityAddrVec,
        /// The client's name of the session.
        client_cookie: u64,
        /// The server's name of the session.
        server_cookie: u64,
        /// Counts the client's connection attempts.
        global_seq: u64,
        /// Counts connections of this session.
        connect_seq: u64,
        /// The last message received.
        msg_seq: u64,
    }

    /// There is no such session.
    SessionReset = SESSION_RESET {
        /// Whether nothing of it is left.
        full: bool,
    }

    /// Try again with a higher connect sequence.
    SessionRetry = SESSION_RETRY {
        /// The server's.
        connect_seq: u64,
    }

    /// Try again with a higher global sequence.
    SessionRetryGlobal = SESSION_RETRY_GLOBAL {
        /// The server's.
        global_seq: u64,
    }

    /// Resumed.
    SessionReconnectOk = SESSION_RECONNECT_OK {
        /// The last message the server received.
        msg_seq: u64,
    }

    /// The server is connecting too, and its connection wins.
    Wait = WAIT {}
}
