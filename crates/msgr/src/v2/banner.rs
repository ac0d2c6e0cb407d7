//! The banner: what each side sends first, in clear and outside of frames.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::Reader;

use crate::error::{Incompatible, Malformed, Result};

use super::frame::Progress;

const PREFIX: &[u8] = b"ceph v2\n";
/// What every msgr v1 peer begins with.
const PREFIX_V1: &[u8] = b"ceph v0";
/// Prefix and payload length.
const HEAD: usize = PREFIX.len() + 2;

/// `CEPH_MSGR2_FEATURE_REVISION_1`: frames of v2.1.
pub const REVISION_1: u64 = 1;
/// `CEPH_MSGR2_FEATURE_COMPRESSION`: COMPRESSION_REQUEST follows authentication.
pub const COMPRESSION: u64 = 2;

/// Features of the framing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banner {
    /// What the sender can do.
    pub supported: u64,
    /// What it demands.
    pub required: u64,
}

/// Which frames are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Revision {
    /// Those of v2.0, in crc mode alone: its secure mode can repeat nonces (CVE-2020-1759).
    V20,
    /// Those of v2.1.
    #[default]
    V21,
}

impl Banner {
    /// What we send where only v2.0 is to be spoken.
    pub const OURS_V20: Self = Self {
        supported: 0,
        required: 0,
    };

    /// What we send: v2.1, and nothing demanded in the banner.
    pub const OURS: Self = Self {
        supported: REVISION_1,
        required: 0,
    };

    /// The same, with compression announced.
    #[must_use]
    pub const fn with_compression(self) -> Self {
        Self {
            supported: self.supported | COMPRESSION,
            ..self
        }
    }

    /// Whether both sides negotiate compression once the client is authenticated.
    pub(super) const fn negotiates_compression(self, peer: Self) -> bool {
        self.supported & peer.supported & COMPRESSION != 0
    }

    /// The banner's bytes.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEAD + 16);
        out.put_slice(PREFIX);
        out.put_u16_le(16);
        out.put_u64_le(self.supported);
        out.put_u64_le(self.required);
        out.freeze()
    }

    /// Takes the peer's banner off `rx`; also returns its bytes.
    pub(super) fn take(rx: &mut BytesMut) -> Result<Progress<(Self, Bytes)>> {
        if !begins_like(rx, PREFIX) {
            return Err(if rx.starts_with(PREFIX_V1) {
                Incompatible::MsgrV1.into()
            } else {
                Malformed::Banner.into()
            });
        }
        let Some(len) = rx.get(PREFIX.len()..HEAD) else {
            return Ok(Progress::Need(HEAD - rx.len()));
        };
        let len = u16::from_le_bytes([len[0], len[1]]);
        if len < 16 {
            return Err(Malformed::BannerLength(len).into());
        }
        let total = HEAD + usize::from(len);
        if rx.len() < total {
            return Ok(Progress::Need(total - rx.len()));
        }
        let raw = rx.split_to(total).freeze();
        let mut r = Reader::new(&raw);
        r.skip(HEAD, "banner")?;
        let banner = Self {
            supported: r.u64()?,
            required: r.u64()?,
        };
        Ok(Progress::Ready((banner, raw)))
    }

    /// What both sides speak, if they can talk.
    pub(super) fn agree(self, peer: Self) -> Result<Revision> {
        let lacking = self.required & !peer.supported;
        if lacking != 0 {
            return Err(Incompatible::RequiredByUs(lacking).into());
        }
        let unknown = peer.required & !self.supported;
        if unknown != 0 {
            return Err(Incompatible::RequiredByPeer(unknown).into());
        }
        Ok(if self.supported & peer.supported & REVISION_1 == 0 {
            Revision::V20
        } else {
            Revision::V21
        })
    }
}

/// Whether what has come so far agrees with `prefix`. A v1 banner is longer than what tells it apart.
fn begins_like(rx: &[u8], prefix: &[u8]) -> bool {
    let seen = rx.len().min(prefix.len());
    rx[..seen] == prefix[..seen]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn take(bytes: &[u8]) -> Result<Progress<(Banner, Bytes)>> {
        Banner::take(&mut BytesMut::from(bytes))
    }

    #[test]
    fn our_banner_round_trips_and_every_prefix_asks_for_more() {
        let bytes = Banner::OURS.to_bytes();
        assert_eq!(take(&bytes), Ok(Progress::Ready((Banner::OURS, bytes.clone()))));
        for n in 0..bytes.len() {
            assert!(matches!(take(&bytes[..n]), Ok(Progress::Need(_))), "{n}");
        }
    }

    #[test]
    fn a_longer_payload_is_skipped() {
        let mut bytes = Banner::OURS.to_bytes().to_vec();
        bytes[8] = 20;
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        assert!(matches!(take(&bytes), Ok(Progress::Ready((Banner::OURS, _)))));
        bytes[8] = 15;
        assert_eq!(take(&bytes), Err(Malformed::BannerLength(15).into()));
    }

    #[test]
    fn other_protocols_are_told_apart() {
        assert_eq!(take(b"ceph v027"), Err(Incompatible::MsgrV1.into()));
        assert_eq!(take(b"GET / HTTP"), Err(Malformed::Banner.into()));
    }

    #[test]
    fn a_peer_that_demands_what_we_lack_is_refused_and_one_without_v2_1_gets_v2_0() {
        let demanding = Banner {
            supported: 3,
            required: 2,
        };
        assert_eq!(
            Banner::OURS.agree(demanding),
            Err(Error::from(Incompatible::RequiredByPeer(2)))
        );
        assert_eq!(Banner::OURS.agree(Banner::OURS_V20), Ok(Revision::V20));
        assert_eq!(Banner::OURS_V20.agree(Banner::OURS), Ok(Revision::V20));
        assert_eq!(Banner::OURS.agree(Banner::OURS), Ok(Revision::V21));
    }
}
