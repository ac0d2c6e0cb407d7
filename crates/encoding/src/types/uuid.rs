//! `uuid_d`: sixteen bytes, as in a cluster's fsid (Ceph `src/include/uuid.h`).

use std::{fmt, str::FromStr};

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
};

/// A UUID in network byte order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// A version 4 UUID made of `random` bytes.
    #[must_use]
    pub const fn from_random(mut random: [u8; 16]) -> Self {
        random[6] = random[6] & 0x0f | 0x40;
        random[8] = random[8] & 0x3f | 0x80;
        Self(random)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID of the form 8-4-4-4-12 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: expected 8-4-4-4-12 hexadecimal digits")]
pub struct NotAUuid;

impl FromStr for Uuid {
    type Err = NotAUuid;
    fn from_str(s: &str) -> Result<Self, NotAUuid> {
        let b = s.as_bytes();
        if b.len() != 36 || [8, 13, 18, 23].iter().any(|&i| b[i] != b'-') {
            return Err(NotAUuid);
        }
        let digits: Vec<u8> = b.iter().filter(|c| **c != b'-').copied().collect();
        let mut out = [0; 16];
        if digits.len() != 32 {
            return Err(NotAUuid);
        }
        for (o, pair) in out.iter_mut().zip(digits.chunks(2)) {
            let hex = |c: u8| (c as char).to_digit(16).ok_or(NotAUuid);
            *o = (hex(pair[0])? << 4 | hex(pair[1])?) as u8;
        }
        Ok(Self(out))
    }
}

impl Decode for Uuid {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(r.array("uuid")?))
    }
}

impl Encode for Uuid {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_slice(&self.0);
    }
}
