//! cephx, Ceph's ticket protocol: keys, tickets, the monitor's side, the services' side and the client's.
//!
//! Format: Ceph `src/auth/cephx/CephxProtocol.h`, `src/auth/Auth.h`, `src/auth/Crypto.cc`.

mod aes256k;
mod authorizer;
mod client;
mod crypto_key;
mod key_server;
mod keyring;
mod refusal;
mod rotating;
mod sealed;
mod server_mon;
mod server_service;
mod ticket;
mod ticket_reply;

pub use authorizer::{Authorize, AuthorizeChallenge, AuthorizeReply, AuthorizerHead};
pub use client::{CephxClient, ServiceTicket};
pub use crypto_key::{CryptoKey, KeyError, KeyType, KeyUsage};
pub use key_server::{EntityAuth, KeyServer, KeyringServer};
pub use keyring::{Keyring, KeyringError};
pub use refusal::Refusal;
pub use rotating::{ExpiringKey, RotatingSecrets, ServiceSecrets, TicketTtl};
pub use sealed::{SealError, open, open_blob, seal, seal_blob};
pub use server_mon::{Authenticated, MonAuthSession};
pub use server_service::{Accepted, ServiceAuth, Verdict};
pub use ticket::{AuthCapsInfo, AuthEntityName, AuthTicket, ServiceTicketInfo, TicketBlob};

/// `CEPHX_GET_AUTH_SESSION_KEY`.
pub const GET_AUTH_SESSION_KEY: u16 = 0x0100;
/// `CEPHX_GET_PRINCIPAL_SESSION_KEY`.
pub const GET_PRINCIPAL_SESSION_KEY: u16 = 0x0200;
/// `CEPHX_GET_ROTATING_KEY`.
pub const GET_ROTATING_KEY: u16 = 0x0400;

/// Negative error numbers that cephx answers with (Linux values, as on Ceph's wire).
pub mod errno {
    /// Operation not permitted.
    pub const EPERM: i32 = -1;
    /// Input/output error.
    pub const EIO: i32 = -5;
    /// Permission denied.
    pub const EACCES: i32 = -13;
    /// Device or resource busy.
    pub const EBUSY: i32 = -16;
    /// Invalid argument.
    pub const EINVAL: i32 = -22;
    /// Operation not supported.
    pub const EOPNOTSUPP: i32 = -95;
}
