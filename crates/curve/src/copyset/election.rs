//! What a copyset's peers say about its leader, and whom to believe.

use std::net::SocketAddr;

/// What is held against the last known leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Suspicion {
    /// Nothing.
    #[default]
    None,
    /// It answers that it does not lead, or not in time. It may still be named if nobody else is.
    NotServing(SocketAddr),
    /// There is no connection to it: only its own word counts.
    Unreachable(SocketAddr),
}

/// The answers to one round of `GetLeader`.
pub(super) struct Ballot {
    suspicion: Suspicion,
    decided: Option<SocketAddr>,
    votes: Vec<(SocketAddr, usize)>,
}

impl Ballot {
    pub(super) const fn new(suspicion: Suspicion) -> Self {
        Self {
            suspicion,
            decided: None,
            votes: Vec::new(),
        }
    }

    fn is_suspect(&self, named: SocketAddr) -> bool {
        match self.suspicion {
            Suspicion::None => false,
            Suspicion::NotServing(suspect) | Suspicion::Unreachable(suspect) => suspect == named,
        }
    }

    /// `voter` names a leader. True: no more answers are needed, because it named itself and nothing is held against it. A
    /// follower may name a leader that is dead until its election time-out ends.
    pub(super) fn vote(&mut self, voter: SocketAddr, named: SocketAddr) -> bool {
        if voter == named && !self.is_suspect(named) {
            self.decided = Some(named);
            return true;
        }
        if self.suspicion == Suspicion::Unreachable(named) && voter != named {
            return false;
        }
        match self.votes.iter_mut().find(|(candidate, _)| *candidate == named) {
            Some((_, votes)) => *votes += 1,
            None => self.votes.push((named, 1)),
        }
        false
    }

    /// Whom to believe when all have answered.
    pub(super) fn result(&self) -> Option<SocketAddr> {
        let by_votes = self
            .votes
            .iter()
            .max_by_key(|(candidate, votes)| (!self.is_suspect(*candidate), *votes));
        self.decided.or(by_votes.map(|(candidate, _)| *candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn who_names_itself_is_believed_at_once() {
        let mut ballot = Ballot::new(Suspicion::NotServing(peer(1)));
        assert!(!ballot.vote(peer(3), peer(1)));
        assert!(ballot.vote(peer(2), peer(2)));
        assert_eq!(ballot.result(), Some(peer(2)));
    }

    #[test]
    fn a_dead_leader_is_not_believed_on_others_word() {
        let mut ballot = Ballot::new(Suspicion::Unreachable(peer(1)));
        ballot.vote(peer(2), peer(1));
        ballot.vote(peer(3), peer(1));
        assert_eq!(ballot.result(), None, "the election is not over");
        ballot.vote(peer(1), peer(1));
        assert_eq!(ballot.result(), Some(peer(1)), "it is back");
    }

    #[test]
    fn a_suspect_is_taken_only_if_nobody_else_is_named() {
        let mut ballot = Ballot::new(Suspicion::NotServing(peer(1)));
        ballot.vote(peer(1), peer(1));
        ballot.vote(peer(2), peer(1));
        assert_eq!(ballot.result(), Some(peer(1)));
        ballot.vote(peer(3), peer(2));
        assert_eq!(ballot.result(), Some(peer(2)));
    }

    #[test]
    fn nobody_named_is_no_leader() {
        assert_eq!(Ballot::new(Suspicion::None).result(), None);
    }
}
