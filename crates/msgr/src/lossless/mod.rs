//! Lossless sessions: those that outlive their transport. Nothing in here knows a protocol's bytes.

mod dial;
mod link;
mod order;
mod outbound;
mod policy;
mod table;

pub use link::{Bounds, Link};
pub use policy::{Policies, Policy};
pub use table::{PeerKey, SessionTable};

pub(crate) use dial::next_global_seq;
pub(crate) use link::{Attachment, Phase, State};
pub(crate) use outbound::Outbound;
pub(crate) use table::{Answer, Claim};

#[cfg(test)]
mod tests;
