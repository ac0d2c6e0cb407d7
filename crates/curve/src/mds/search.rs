//! Which MDS is tried next, and when.

use std::time::Duration;

use super::is_transient;
use crate::{
    config::Config,
    rpc::{RpcError, code},
};

/// So many failures in a row on one MDS, and another is tried.
const FAILURES_BEFORE_CHANGE: u32 = 2;
/// A pause after each whole round of addresses, so that refused connections do not spin.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Try again after a pause.
    Retry(Duration),
    /// No retry can help.
    GiveUp,
}

/// The tries of one call. Time passes outside.
#[derive(Debug)]
pub struct Search<'a> {
    config: &'a Config,
    index: usize,
    /// In a row, on this MDS.
    failures: u32,
    /// Changes since the call began.
    changes: usize,
    timeout: Duration,
}

impl<'a> Search<'a> {
    /// Starts with the MDS that last worked.
    #[must_use]
    pub fn new(config: &'a Config, current: usize) -> Self {
        Self {
            config,
            index: current % config.mds.len().max(1),
            failures: 0,
            changes: 0,
            timeout: config.mds_timeout,
        }
    }

    /// The MDS to call.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// How long to wait for its reply.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A try failed; `current` is the MDS that other calls last found working.
    pub fn failed(&mut self, error: &RpcError, current: usize) -> Step {
        if !is_transient(error) {
            return Step::GiveUp;
        }
        self.failures += 1;
        let gone = match error {
            RpcError::Connect(_) | RpcError::Closed(_) => true,
            RpcError::Remote { code, .. } => *code == code::ELOGOFF,
            _ => false,
        };
        if gone || self.failures >= FAILURES_BEFORE_CHANGE {
            return Step::Retry(self.change(current));
        }
        if matches!(error, RpcError::Timeout) {
            self.timeout = (self.timeout * 2).min(self.config.mds_max_timeout);
            return Step::Retry(Duration::ZERO);
        }
        Step::Retry(self.config.mds_pause)
    }

    fn change(&mut self, current: usize) -> Duration {
        let count = self.config.mds.len().max(1);
        let elsewhere = current % count;
        self.index = if elsewhere != self.index && self.changes == 0 {
            elsewhere
        } else {
            (self.index + 1) % count
        };
        self.failures = 0;
        self.timeout = self.config.mds_timeout;
        self.changes += 1;
        if self.changes.is_multiple_of(count) {
            ROUND_PAUSE
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;
    use crate::{auth::Identity, rpc::error::Closed};

    fn config(count: u16) -> Config {
        let mds = (0..count).map(|n| ([127, 0, 0, 1], 6666 + n).into()).collect();
        Config::new(mds, Identity::owner("lab"))
    }

    fn refused() -> RpcError {
        RpcError::Connect(Arc::new(io::ErrorKind::ConnectionRefused.into()))
    }

    #[test]
    fn a_refused_connection_is_a_follower_and_the_next_one_is_tried_at_once() {
        let config = config(3);
        let mut search = Search::new(&config, 1);
        assert_eq!(search.failed(&refused(), 1), Step::Retry(Duration::ZERO));
        assert_eq!(search.index(), 2);
        assert_eq!(search.failed(&refused(), 1), Step::Retry(Duration::ZERO));
        assert_eq!(search.index(), 0);
        assert_eq!(
            search.failed(&refused(), 1),
            Step::Retry(ROUND_PAUSE),
            "a whole round"
        );
        assert_eq!(search.index(), 1);
    }

    #[test]
    fn what_another_call_found_working_is_tried_first() {
        let config = config(5);
        let mut search = Search::new(&config, 0);
        search.failed(&RpcError::Closed(Closed::ByPeer), 3);
        assert_eq!(search.index(), 3);
    }

    #[test]
    fn timeouts_double_and_two_of_them_change_the_mds() {
        let config = config(2);
        let mut search = Search::new(&config, 0);
        assert_eq!(search.timeout(), Duration::from_millis(500));
        assert_eq!(search.failed(&RpcError::Timeout, 0), Step::Retry(Duration::ZERO));
        assert_eq!((search.index(), search.timeout()), (0, Duration::from_secs(1)));
        search.failed(&RpcError::Timeout, 0);
        assert_eq!(
            (search.index(), search.timeout()),
            (1, Duration::from_millis(500))
        );
    }

    #[test]
    fn a_server_that_stops_is_left_at_once_and_a_busy_one_gets_a_pause() {
        let config = config(2);
        let remote = |code| RpcError::Remote {
            code,
            text: String::new(),
        };
        let mut search = Search::new(&config, 0);
        assert_eq!(
            search.failed(&remote(code::ELIMIT), 0),
            Step::Retry(config.mds_pause)
        );
        assert_eq!(search.index(), 0);
        search.failed(&remote(code::ELOGOFF), 0);
        assert_eq!(search.index(), 1);
    }

    #[test]
    fn what_no_server_will_understand_is_not_repeated() {
        let config = config(2);
        for code in [code::EREQUEST, code::ENOMETHOD, code::ENOSERVICE] {
            let error = RpcError::Remote {
                code,
                text: String::new(),
            };
            assert_eq!(Search::new(&config, 0).failed(&error, 0), Step::GiveUp);
        }
    }
}
