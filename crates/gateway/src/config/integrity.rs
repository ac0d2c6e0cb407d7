//! What is done about data that is not what was written.

use std::time::Duration;

use super::{ConfigError, Sources, limits};

/// The least rate of scrubbing, in bytes a second.
const LEAST_RATE: usize = 64 << 10;

/// Checksums of images in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegritySettings {
    /// Whether images get them.
    pub checksums: bool,
    /// How often each image is verified; zero for never.
    pub scrub_interval: Duration,
    /// How much is read for that in a second, in bytes.
    pub scrub_rate: u64,
}

impl IntegritySettings {
    pub(super) fn of(sources: &Sources) -> Result<Self, ConfigError> {
        let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
        let rate = |text: &str| limits::parse_bytes(text).filter(|rate| *rate >= LEAST_RATE);
        Ok(Self {
            checksums: sources.get("checksums", |text| text.parse().ok())?,
            scrub_interval: sources.get("scrub-interval", seconds)?,
            scrub_rate: sources.get("scrub-rate", rate)? as u64,
        })
    }
}
