//! `utime_t`: a point in time, or a span of it (Ceph `src/include/utime.h`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
};

/// Seconds since 1970 and nanoseconds, 32 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Utime {
    /// Seconds.
    pub sec: u32,
    /// Nanoseconds, below 1e9 in well-formed values.
    pub nsec: u32,
}

impl Utime {
    /// The span as a [`Duration`].
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.sec)) + Duration::from_nanos(u64::from(self.nsec))
    }

    /// The current wall-clock time is the caller's to know; this converts it.
    #[must_use]
    pub fn from_system_time(t: SystemTime) -> Self {
        Self::from_duration(t.duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// A span; seconds beyond 32 bits saturate.
    #[must_use]
    pub fn from_duration(d: Duration) -> Self {
        Self {
            sec: u32::try_from(d.as_secs()).unwrap_or(u32::MAX),
            nsec: d.subsec_nanos(),
        }
    }
}

impl Decode for Utime {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            sec: r.u32()?,
            nsec: r.u32()?,
        })
    }
}

impl Encode for Utime {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u32_le(self.sec);
        out.put_u32_le(self.nsec);
    }
}
