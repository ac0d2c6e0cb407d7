//! The options of tracking (Ceph `src/common/options/osd.yaml.in`).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::RwLock;

use super::nanos;
use crate::cluster::{KnownOption, OptionKind, option};

/// What operators may set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// `osd_enable_op_tracker`: whether ops are tracked.
    pub enabled: bool,
    /// `osd_op_history_size`: how many of the ops that took longest are remembered.
    pub history_size: usize,
    /// `osd_op_history_duration`: for how long.
    pub history_duration: Duration,
    /// `osd_op_history_slow_op_size`: how many slow ones are remembered.
    pub slow_size: usize,
    /// `osd_op_history_slow_op_threshold`: how long a slow one takes.
    pub slow_threshold: Duration,
    /// `osd_op_complaint_time`: for how long an op may be in flight before it is complained of.
    pub complaint: Duration,
}

/// Most ops that are remembered, whatever is set.
const MOST: u64 = 10_000;

/// The options, for whoever lists those that are heeded.
pub const OPTIONS: [KnownOption; 6] = [
    option(
        "osd_enable_op_tracker",
        OptionKind::Bool,
        "true",
        "whether ops are tracked",
    ),
    option(
        "osd_op_complaint_time",
        OptionKind::Float,
        "30",
        "for how long an op may be in flight before it is complained of, in seconds",
    ),
    option(
        "osd_op_history_duration",
        OptionKind::Uint,
        "600",
        "for how long the ops that took longest are remembered, in seconds",
    ),
    option(
        "osd_op_history_size",
        OptionKind::Uint,
        "20",
        "how many of the ops that took longest are remembered",
    ),
    option(
        "osd_op_history_slow_op_size",
        OptionKind::Uint,
        "20",
        "how many slow ops are remembered",
    ),
    option(
        "osd_op_history_slow_op_threshold",
        OptionKind::Float,
        "10",
        "how long a slow op takes, in seconds",
    ),
];

impl Settings {
    /// The settings, from a function that gives an option's value, or nothing where it is not set.
    #[must_use]
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| {
            let default = OPTIONS.iter().find(|o| o.name == name).map_or("", |o| o.default);
            value(name).unwrap_or_else(|| default.to_owned())
        };
        // Values were checked as they were set.
        let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
        let seconds = |name: &str| {
            let v = text(name).parse::<f64>().unwrap_or(0.0);
            Duration::try_from_secs_f64(v).unwrap_or(Duration::MAX)
        };
        Self {
            enabled: text("osd_enable_op_tracker") == "true",
            history_size: number("osd_op_history_size").min(MOST) as usize,
            history_duration: Duration::from_secs(number("osd_op_history_duration")),
            slow_size: number("osd_op_history_slow_op_size").min(MOST) as usize,
            slow_threshold: seconds("osd_op_history_slow_op_threshold"),
            complaint: seconds("osd_op_complaint_time"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::read(|_| None)
    }
}

/// The settings, with those that every op asks for apart.
#[derive(Debug)]
pub(super) struct Shared {
    all: RwLock<Settings>,
    enabled: AtomicBool,
    slow_nanos: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        let all = Settings::default();
        Self {
            enabled: AtomicBool::new(all.enabled),
            slow_nanos: AtomicU64::new(nanos(all.slow_threshold)),
            all: RwLock::new(all),
        }
    }
}

impl Shared {
    pub(super) fn enabled(&self) -> bool {
        self.enabled.load(Relaxed)
    }

    pub(super) fn slow_threshold(&self) -> Duration {
        Duration::from_nanos(self.slow_nanos.load(Relaxed))
    }

    pub(super) fn get(&self) -> Settings {
        *self.all.read()
    }

    pub(super) fn set(&self, settings: Settings) {
        self.enabled.store(settings.enabled, Relaxed);
        self.slow_nanos.store(nanos(settings.slow_threshold), Relaxed);
        *self.all.write() = settings;
    }
}
