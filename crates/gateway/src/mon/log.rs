//! The cluster's log: what daemons and operators had to say, the last entries of it (Ceph `src/mon/LogMonitor.cc`).

use std::{
    collections::{BTreeMap, VecDeque},
    time::{SystemTime, UNIX_EPOCH},
};

use encoding::{
    messages::LogEntry,
    types::{EntityAddrVec, EntityName, EntityType, EntityTypeId, Utime},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cluster::MON_NAME;

/// How many entries of a channel are kept: what a busy one says (`audit` has each command) does not drive out the others.
const ENTRIES: usize = 1000;
/// How many channels are kept. Clients may name their own.
const CHANNELS: usize = 16;
/// How many of a channel's may be for debugging: there is one every two seconds, and they must not push out the others.
const DEBUG_ENTRIES: usize = 300;

/// How much an entry matters (`clog_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLevel(pub u16);

impl LogLevel {
    /// Of interest when something is looked into.
    pub const DEBUG: Self = Self(0);
    /// Of interest to operators.
    pub const INFO: Self = Self(1);
    /// Something is not as it should be.
    pub const WARN: Self = Self(3);
    /// Something is wrong.
    pub const ERROR: Self = Self(4);

    /// The least level that a subscription is for: `log-info` and the like; none if it is not for the log.
    #[must_use]
    pub fn of_subscription(what: &str) -> Option<Self> {
        match what {
            "log-debug" => Some(Self::DEBUG),
            "log-info" => Some(Self::INFO),
            "log-sec" => Some(Self(2)),
            "log-warn" => Some(Self::WARN),
            "log-error" => Some(Self::ERROR),
            _ => None,
        }
    }
}

/// An entry and when it came.
#[derive(Debug)]
struct KeptEntry {
    /// Its number among all entries.
    order: u64,
    /// The version of the log that it came with.
    version: u64,
    entry: LogEntry,
}

impl KeptEntry {
    fn is_debug(&self) -> bool {
        LogLevel(self.entry.prio) == LogLevel::DEBUG
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// The last entries of each channel.
    channels: BTreeMap<String, VecDeque<KeptEntry>>,
    /// The number of the last entry.
    order: u64,
    /// The number of the last entry of our own.
    seq: u64,
}

impl Kept {
    fn push(&mut self, version: u64, entry: LogEntry) {
        self.order += 1;
        let order = self.order;
        let of_channel = self.channels.entry(entry.channel.clone()).or_default();
        of_channel.push_back(KeptEntry {
            order,
            version,
            entry,
        });
        let debug = of_channel.iter().filter(|e| e.is_debug()).count();
        let oldest = match of_channel.iter().position(KeptEntry::is_debug) {
            Some(oldest) if debug > DEBUG_ENTRIES => Some(oldest),
            _ if of_channel.len() > ENTRIES => Some(0),
            _ => None,
        };
        if let Some(oldest) = oldest {
            of_channel.remove(oldest);
        }
        if self.channels.len() > CHANNELS {
            self.drop_stalest();
        }
    }

    /// Forgets the channel that has been silent for longest.
    fn drop_stalest(&mut self) {
        let last_of = |entries: &VecDeque<KeptEntry>| entries.back().map_or(0, |e| e.order);
        let stalest = self.channels.iter().min_by_key(|(_, entries)| last_of(entries));
        if let Some(name) = stalest.map(|(name, _)| name.clone()) {
            self.channels.remove(&name);
        }
    }

    /// The entries that are wanted, in the order in which they came.
    fn ordered(&self, wanted: impl Fn(&KeptEntry) -> bool) -> Vec<&LogEntry> {
        let mut found: Vec<_> = self.channels.values().flatten().filter(|e| wanted(e)).collect();
        found.sort_unstable_by_key(|e| e.order);
        found.into_iter().map(|e| &e.entry).collect()
    }
}

/// The cluster's log. Each change is a new version.
#[derive(Debug)]
pub struct Log {
    kept: Mutex<Kept>,
    version: watch::Sender<u64>,
}

impl Log {
    /// A log with the entry that a monitor begins with. Versions go on from those of the last process, as clients ask for what they have not
    /// seen: they begin with the time.
    pub(super) fn new(now: SystemTime) -> Self {
        let micros = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros());
        let log = Self {
            kept: Mutex::default(),
            version: watch::Sender::new(u64::try_from(micros).unwrap_or(0)),
        };
        let text = format!("mon.{MON_NAME} is new leader, mons {MON_NAME} in quorum (ranks 0)");
        log.say("cluster", LogLevel::INFO, text);
        log
    }

    /// Is told of each new version; may skip some.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Keeps entries.
    pub fn append(&self, entries: impl IntoIterator<Item = LogEntry>) {
        let mut kept = self.kept.lock();
        let version = *self.version.borrow() + 1;
        for entry in entries {
            kept.push(version, entry);
        }
        drop(kept);
        self.version.send_replace(version);
    }

    /// Keeps an entry of the monitor's own, in that channel (`cluster` or `audit`).
    pub fn say(&self, channel: &str, level: LogLevel, msg: String) {
        let rank = EntityName {
            kind: EntityType::MON,
            num: 0,
        };
        self.say_as(rank, MON_NAME, channel, level, msg);
    }

    /// Keeps an entry of one of our daemons, by its rank and name.
    pub(super) fn say_as(&self, rank: EntityName, name: &str, channel: &str, level: LogLevel, msg: String) {
        let seq = {
            let mut kept = self.kept.lock();
            kept.seq += 1;
            kept.seq
        };
        self.append([LogEntry {
            name: EntityTypeId {
                kind: rank.kind,
                id: name.to_owned(),
            },
            rank,
            addrs: EntityAddrVec::default(),
            stamp: Utime::from_system_time(SystemTime::now()),
            seq,
            prio: level.0,
            msg,
            channel: channel.to_owned(),
        }]);
    }

    /// The entries from version `start` on (0: of the last version) that are of that level or above, and the
    /// last version.
    #[must_use]
    pub fn since(&self, start: u64, level: LogLevel) -> (Vec<LogEntry>, u64) {
        let kept = self.kept.lock();
        let version = *self.version.borrow();
        let start = if start == 0 { version } else { start };
        let entries = kept.ordered(|e| e.version >= start && LogLevel(e.entry.prio) >= level);
        (entries.into_iter().cloned().collect(), version)
    }

    /// The last `n` entries that are wanted, oldest first.
    #[must_use]
    pub fn last(&self, wanted: impl Fn(&LogEntry) -> bool, n: usize) -> Vec<LogEntry> {
        let kept = self.kept.lock();
        let entries = kept.ordered(|e| wanted(&e.entry));
        let surplus = entries.len().saturating_sub(n);
        entries.into_iter().skip(surplus).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        Log::new(UNIX_EPOCH)
    }

    fn texts(log: &Log, start: u64, level: LogLevel) -> Vec<String> {
        log.since(start, level).0.into_iter().map(|e| e.msg).collect()
    }

    #[test]
    fn a_first_reader_is_given_the_last_version() {
        let log = log();
        log.say("cluster", LogLevel::INFO, "one".into());
        log.say("cluster", LogLevel::INFO, "two".into());
        assert_eq!(texts(&log, 0, LogLevel::DEBUG), ["two"]);
        assert_eq!(texts(&log, 2, LogLevel::DEBUG), ["one", "two"]);
        assert!(texts(&log, 4, LogLevel::DEBUG).is_empty());
    }

    #[test]
    fn entries_below_the_level_are_left_out() {
        let log = log();
        log.say("audit", LogLevel::DEBUG, "read".into());
        log.say("audit", LogLevel::INFO, "write".into());
        assert_eq!(texts(&log, 2, LogLevel::INFO), ["write"]);
    }

    #[test]
    fn old_entries_go() {
        let log = log();
        for i in 0..=ENTRIES {
            log.say("cluster", LogLevel::INFO, i.to_string());
        }
        let all = texts(&log, 1, LogLevel::DEBUG);
        assert_eq!((all.len(), all[0].as_str()), (ENTRIES, "1"));
    }

    #[test]
    fn a_busy_channel_does_not_drive_out_another() {
        let log = log();
        for i in 0..=ENTRIES {
            log.say("audit", LogLevel::INFO, i.to_string());
        }
        let cluster = log.last(|e| e.channel == "cluster", 5);
        assert_eq!(cluster.len(), 1);
        log.say("cluster", LogLevel::INFO, "last".into());
        let both: Vec<_> = log.last(|_| true, 2).into_iter().map(|e| e.msg).collect();
        assert_eq!(both, [ENTRIES.to_string(), "last".to_owned()]);
    }

    #[test]
    fn channels_are_bounded_and_the_one_silent_for_longest_goes() {
        let log = log();
        for i in 0..CHANNELS {
            log.say(&format!("channel {i}"), LogLevel::INFO, "here".into());
        }
        assert!(log.last(|e| e.channel == "cluster", 1).is_empty());
        assert_eq!(log.last(|_| true, usize::MAX).len(), CHANNELS);
    }

    #[test]
    fn entries_for_debugging_do_not_push_out_others() {
        let log = log();
        for i in 0..3 * ENTRIES {
            log.say("cluster", LogLevel::DEBUG, i.to_string());
        }
        let all = texts(&log, 1, LogLevel::DEBUG);
        assert_eq!(all.len(), DEBUG_ENTRIES + 1);
        assert!(all[0].contains("is new leader"));
        assert_eq!(all.last().unwrap(), "2999");
    }

    #[test]
    fn versions_go_on_after_a_restart() {
        let before = log();
        before.say("cluster", LogLevel::INFO, "one".into());
        let (_, seen) = before.since(0, LogLevel::DEBUG);
        let after = Log::new(UNIX_EPOCH + std::time::Duration::from_secs(1));
        assert_eq!(after.since(seen + 1, LogLevel::DEBUG).0.len(), 1);
    }
}
