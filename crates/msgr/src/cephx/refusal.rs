//! Why a client was refused. The client is told an errno alone; the log says what to look at.

use std::fmt;

use encoding::types::EntityType;

use super::{AuthEntityName, KeyType, RotatingSecrets};

/// Why a client's proof, ticket or claim was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such entity.
    UnknownEntity,
    /// `auth_allowed_ciphers` does not have the type of its key.
    CipherNotAllowed(KeyType),
    /// The proof was not made with its key.
    WrongKey,
    /// It shows a ticket, but did not ask for the global id that the ticket is for.
    SuperfluousTicket,
    /// It claims a global id and shows no ticket.
    ReclaimWithoutTicket(u64),
    /// It claims a global id with a ticket that cannot be opened.
    ReclaimWithBadTicket(u64, Box<Self>),
    /// It claims a global id with the ticket for another one.
    ReclaimWithForeignTicket {
        /// What it claims.
        claimed: u64,
        /// What the ticket is for.
        ticket: u64,
    },
    /// The entity may do nothing at the monitor.
    NoMonCaps,
    /// What it sent is no authorizer.
    Malformed,
    /// The ticket is for another service.
    WrongService(EntityType),
    /// The secret that sealed the ticket has been rotated away.
    SecretGone {
        /// The service.
        service: EntityType,
        /// The ticket's secret.
        id: u64,
        /// The oldest secret there is.
        oldest: u64,
    },
    /// The secret that sealed the ticket was never made here, or not yet.
    SecretUnknown {
        /// The service.
        service: EntityType,
        /// The ticket's secret.
        id: u64,
        /// The newest secret there is.
        newest: u64,
    },
    /// The ticket was not sealed with the secret that it names.
    BadSeal,
    /// The ticket is for another client instance.
    GlobalIdMismatch,
    /// The authorizer was not made with the ticket's session key.
    BadProof,
    /// The answer to the challenge is wrong: a replayed authorizer.
    BadChallenge,
}

impl Refusal {
    /// For a ticket whose secret is not there.
    pub(super) fn no_secret(secrets: &RotatingSecrets, service: EntityType, id: u64) -> Self {
        let ids = secrets.services.get(&service).and_then(|s| s.ids());
        match ids {
            Some((oldest, _)) if id < oldest => Self::SecretGone { service, id, oldest },
            Some((_, newest)) => Self::SecretUnknown { service, id, newest },
            None => Self::SecretUnknown {
                service,
                id,
                newest: 0,
            },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEntity => write!(f, "no such entity"),
            Self::CipherNotAllowed(kind) => write!(
                f,
                "its key is of type {}, which auth_allowed_ciphers does not have",
                kind.name()
            ),
            Self::WrongKey => write!(f, "the proof was not made with its key"),
            Self::SuperfluousTicket => write!(f, "a ticket is shown with a new global id"),
            Self::ReclaimWithoutTicket(id) => {
                write!(f, "attempt to reclaim global_id {id} without a ticket")
            }
            Self::ReclaimWithBadTicket(id, why) => {
                write!(f, "attempt to reclaim global_id {id} with a bad ticket: {why}")
            }
            Self::ReclaimWithForeignTicket { claimed, ticket } => write!(
                f,
                "attempt to reclaim global_id {claimed} with the ticket for {ticket}"
            ),
            Self::NoMonCaps => write!(f, "the entity has no mon caps"),
            Self::Malformed => write!(f, "malformed authorizer"),
            Self::WrongService(service) => write!(f, "the ticket is for {service}"),
            Self::SecretGone { service, id, oldest } => write!(
                f,
                "the ticket is too old: {service} secret {id} has been rotated away (the oldest is {oldest}). \
                 The client was suspended, or its clock or ours was changed: check time synchronisation; it gets a \
                 new ticket when it asks the monitor again"
            ),
            Self::SecretUnknown { service, id, newest } => write!(
                f,
                "the ticket was sealed with {service} secret {id}, but the newest is {newest}: it is from another \
                 cluster, or this one was set back to an older state"
            ),
            Self::BadSeal => write!(f, "the ticket was not sealed by this cluster"),
            Self::GlobalIdMismatch => write!(f, "the ticket is for another global_id"),
            Self::BadProof => write!(f, "the authorizer was not made with the ticket's session key"),
            Self::BadChallenge => write!(f, "the authorizer does not answer our challenge"),
        }
    }
}

/// Logs a refusal at the monitor.
pub(super) fn log_at_mon(name: &AuthEntityName, why: &Refusal) {
    tracing::warn!(entity = %name, "cephx: {why}");
}

/// Logs a refusal at a service.
pub(super) fn log_at_service(service: EntityType, why: &Refusal) {
    tracing::warn!(service = %service, "cephx: authorizer refused: {why}");
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::cephx::TicketTtl;

    #[test]
    fn a_ticket_that_outlived_its_secret_points_at_the_clock() {
        let mut secrets =
            RotatingSecrets::generate(SystemTime::UNIX_EPOCH, &TicketTtl::default(), KeyType::AES);
        secrets.wipe(SystemTime::UNIX_EPOCH, &TicketTtl::default(), KeyType::AES);
        let gone = Refusal::no_secret(&secrets, EntityType::OSD, 2);
        assert!(gone.to_string().contains("clock"), "{gone}");
        let unknown = Refusal::no_secret(&secrets, EntityType::OSD, 9);
        assert_eq!(
            unknown,
            Refusal::SecretUnknown {
                service: EntityType::OSD,
                id: 9,
                newest: 6
            }
        );
    }
}
