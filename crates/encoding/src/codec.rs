//! Ceph's little-endian encoding: the bounded [`Reader`], the [`Encode`] and [`Decode`] traits and the
//! versioned frame that Ceph calls `ENCODE_START`.
//!
//! Format: Ceph `src/include/encoding.h` and `src/include/denc.h`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::features::Features;

/// Why bytes could not be decoded. Nothing else can go wrong at this layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input, or the versioned frame around the value, ended too early.
    #[error("{what}: needs {needed} bytes, {left} left")]
    UnexpectedEnd {
        /// What was being read.
        what: &'static str,
        /// Bytes that the read needed.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// The writer says that readers need a newer decoder than this one.
    #[error("{what}: compat version {compat}, this decoder knows {known}")]
    Incompatible {
        /// The type.
        what: &'static str,
        /// The version a reader must at least understand.
        compat: u8,
        /// The newest version this decoder understands.
        known: u8,
    },
    /// An encoding older than any peer we serve sends.
    #[error("{what}: version {version} is older than any supported one")]
    TooOld {
        /// The type.
        what: &'static str,
        /// The version found.
        version: u8,
    },
    /// A value that the format forbids.
    #[error("{what}: invalid value {value:#x}")]
    Invalid {
        /// The field.
        what: &'static str,
        /// The value found.
        value: u64,
    },
    /// Text that is not UTF-8 where the format wants text.
    #[error("{0}: not UTF-8")]
    NotUtf8(&'static str),
    /// Bytes were left where the format allows none.
    #[error("{what}: {left} bytes left over")]
    TrailingBytes {
        /// The type.
        what: &'static str,
        /// How many bytes were left.
        left: usize,
    },
}

/// The result of decoding.
pub type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// A cursor over received bytes that never reads past its bound.
///
/// Byte strings are handed out as slices of the same allocation ([`Bytes`]), never copied.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a Bytes,
    pos: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a Bytes) -> Self {
        Self {
            bytes,
            pos: 0,
            end: bytes.len(),
        }
    }

    /// Bytes left before the bound.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.pos
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pos == self.end
    }

    /// Offset of the next byte from the start of the underlying bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// The unread bytes, without consuming them.
    #[must_use]
    pub fn peek(&self) -> &'a [u8] {
        &self.bytes[self.pos..self.end]
    }

    /// The next `n` bytes as a slice; `what` names the value in the error.
    pub fn slice(&mut self, n: usize, what: &'static str) -> Result<&'a [u8]> {
        let left = self.remaining();
        if n > left {
            return Err(DecodeError::UnexpectedEnd {
                what,
                needed: n,
                left,
            });
        }
        let from = self.pos;
        self.pos += n;
        Ok(&self.bytes[from..from + n])
    }

    /// The next `n` bytes as a shared slice of the input (no copy).
    pub fn bytes(&mut self, n: usize, what: &'static str) -> Result<Bytes> {
        let left = self.remaining();
        if n > left {
            return Err(DecodeError::UnexpectedEnd {
                what,
                needed: n,
                left,
            });
        }
        let from = self.pos;
        self.pos += n;
        Ok(self.bytes.slice(from..from + n))
    }

    /// Everything that is left, as a shared slice (no copy).
    pub fn rest(&mut self) -> Bytes {
        let from = self.pos;
        self.pos = self.end;
        self.bytes.slice(from..self.end)
    }

    /// Skips `n` bytes.
    pub fn skip(&mut self, n: usize, what: &'static str) -> Result<()> {
        self.slice(n, what).map(|_| ())
    }

    /// A fixed-size array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(N, what)?);
        Ok(out)
    }

    /// An unsigned byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>("u8")?[0])
    }

    /// A little-endian 16-bit number.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array("u16")?))
    }

    /// A little-endian 32-bit number.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array("u32")?))
    }

    /// A little-endian 64-bit number.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array("u64")?))
    }

    /// A little-endian signed 32-bit number.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array("i32")?))
    }

    /// A little-endian signed 64-bit number.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array("i64")?))
    }

    /// A boolean: one byte, anything but zero is true.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    /// A byte string behind a 32-bit length (`bufferlist`, or `std::string` with arbitrary bytes); no copy.
    pub fn blob(&mut self) -> Result<Bytes> {
        let n = self.u32()? as usize;
        self.bytes(n, "byte string")
    }

    /// A `std::string` that must be UTF-8.
    pub fn string(&mut self) -> Result<String> {
        let n = self.u32()? as usize;
        let raw = self.slice(n, "string")?;
        std::str::from_utf8(raw)
            .map(str::to_owned)
            .map_err(|_| DecodeError::NotUtf8("string"))
    }

    /// A count of elements that follow. Bounded: each element takes at least `min_size` bytes (1 or more),
    /// so that a count which cannot be true is refused before anything is allocated from it.
    pub fn count(&mut self, min_size: usize, what: &'static str) -> Result<usize> {
        let n = self.u32()? as usize;
        let needed = n.saturating_mul(min_size.max(1));
        if needed > self.remaining() {
            return Err(DecodeError::UnexpectedEnd {
                what,
                needed,
                left: self.remaining(),
            });
        }
        Ok(n)
    }

    /// A vector, list or set: a 32-bit count, then the elements.
    pub fn vec<T: Decode>(&mut self) -> Result<Vec<T>> {
        self.vec_with(T::decode)
    }

    /// A vector whose elements `element` decodes.
    pub fn vec_with<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let n = self.count(1, "vector")?;
        // An element may be smaller on the wire than in memory: grow by what arrives, not by the count.
        let mut out = Vec::with_capacity(n.min(64));
        for _ in 0..n {
            out.push(element(self)?);
        }
        Ok(out)
    }

    /// A map: a 32-bit count, then keys and values in turn.
    pub fn map<K: Decode + Ord, V: Decode>(&mut self) -> Result<std::collections::BTreeMap<K, V>> {
        let n = self.count(1, "map")?;
        let mut out = std::collections::BTreeMap::new();
        for _ in 0..n {
            let key = K::decode(self)?;
            out.insert(key, V::decode(self)?);
        }
        Ok(out)
    }

    /// Opens an `ENCODE_START` frame: version, compat, length. `known` is the newest version the caller
    /// understands. The returned frame's reader is bounded by the frame, and `self` is left
    /// behind it, whatever a newer writer appended.
    pub fn frame(&mut self, known: u8, what: &'static str) -> Result<Frame<'a>> {
        let version = self.u8()?;
        let compat = self.u8()?;
        if compat > known {
            return Err(DecodeError::Incompatible { what, compat, known });
        }
        let len = self.u32()? as usize;
        let left = self.remaining();
        if len > left {
            return Err(DecodeError::UnexpectedEnd {
                what,
                needed: len,
                left,
            });
        }
        let inner = Reader {
            bytes: self.bytes,
            pos: self.pos,
            end: self.pos + len,
        };
        self.pos += len;
        Ok(Frame {
            version,
            compat,
            inner,
        })
    }

    /// Fails if anything is left: for values that must fill their input.
    pub fn finish(&self, what: &'static str) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes { what, left }),
        }
    }
}

/// The inside of an `ENCODE_START` frame: its version and a reader that ends where the frame ends.
#[derive(Debug)]
pub struct Frame<'a> {
    /// `struct_v`: the version of the encoding that follows.
    pub version: u8,
    /// `struct_compat`: the oldest decoder that can read it.
    pub compat: u8,
    inner: Reader<'a>,
}

impl Frame<'_> {
    /// Whether the writer's version is at least `version`.
    #[must_use]
    pub fn since(&self, version: u8) -> bool {
        self.version >= version
    }
}

impl<'a> std::ops::Deref for Frame<'a> {
    type Target = Reader<'a>;
    fn deref(&self) -> &Reader<'a> {
        &self.inner
    }
}

impl<'a> std::ops::DerefMut for Frame<'a> {
    fn deref_mut(&mut self) -> &mut Reader<'a> {
        &mut self.inner
    }
}

/// A value that is decoded from Ceph's encoding. Decoding never panics and never allocates more than a small
/// multiple of the bytes at hand.
pub trait Decode: Sized {
    /// Reads one value, leaving `r` behind it.
    fn decode(r: &mut Reader<'_>) -> Result<Self>;

    /// Decodes a value that must fill `bytes`.
    fn from_bytes(bytes: &Bytes) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let value = Self::decode(&mut r)?;
        r.finish(std::any::type_name::<Self>())?;
        Ok(value)
    }
}

/// A value that is encoded for a peer with the given features.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut BytesMut, features: Features);

    /// The encoding alone.
    fn to_bytes(&self, features: Features) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out, features);
        out.freeze()
    }
}

/// Appends Ceph's composite values to a buffer.
pub trait Put {
    /// A boolean as one byte.
    fn put_bool(&mut self, v: bool);
    /// A byte string behind its 32-bit length.
    fn put_blob(&mut self, v: &[u8]);
    /// A string behind its 32-bit length.
    fn put_string(&mut self, v: &str);
    /// A 32-bit count, then the elements.
    fn put_vec<'t, T: Encode + 't>(
        &mut self,
        items: impl ExactSizeIterator<Item = &'t T>,
        features: Features,
    );
    /// A 32-bit count, then keys and values in turn.
    fn put_map<K: Encode, V: Encode>(&mut self, map: &std::collections::BTreeMap<K, V>, features: Features);
    /// An `ENCODE_START(version, compat)` frame around what `body` appends.
    fn put_frame(&mut self, version: u8, compat: u8, body: impl FnOnce(&mut BytesMut));
}

impl Put for BytesMut {
    fn put_bool(&mut self, v: bool) {
        self.put_u8(u8::from(v));
    }

    fn put_blob(&mut self, v: &[u8]) {
        self.put_u32_le(wire_len(v.len()));
        self.put_slice(v);
    }

    fn put_string(&mut self, v: &str) {
        self.put_blob(v.as_bytes());
    }

    fn put_vec<'t, T: Encode + 't>(
        &mut self,
        items: impl ExactSizeIterator<Item = &'t T>,
        features: Features,
    ) {
        self.put_u32_le(wire_len(items.len()));
        for item in items {
            item.encode(self, features);
        }
    }

    fn put_map<K: Encode, V: Encode>(&mut self, map: &std::collections::BTreeMap<K, V>, features: Features) {
        self.put_u32_le(wire_len(map.len()));
        for (k, v) in map {
            k.encode(self, features);
            v.encode(self, features);
        }
    }

    fn put_frame(&mut self, version: u8, compat: u8, body: impl FnOnce(&mut Self)) {
        self.put_u8(version);
        self.put_u8(compat);
        let at = self.len();
        self.put_u32_le(0);
        body(self);
        let len = wire_len(self.len() - at - 4);
        self[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }
}

/// A length as the wire's 32 bits. What we encode is bounded by message sizes far below 4 GiB.
///
/// # Panics
/// If `n` does not fit, which is a bug of the caller and never the peer's doing.
#[must_use]
pub fn wire_len(n: usize) -> u32 {
    u32::try_from(n).expect("encoded values are smaller than 4 GiB")
}

macro_rules! integers {
    ($($t:ident $put:ident),*) => {$(
        impl Decode for $t {
            fn decode(r: &mut Reader<'_>) -> Result<Self> {
                Ok(Self::from_le_bytes(r.array(stringify!($t))?))
            }
        }
        impl Encode for $t {
            fn encode(&self, out: &mut BytesMut, _: Features) {
                out.$put(*self);
            }
        }
    )*};
}

integers!(u8 put_u8, u16 put_u16_le, u32 put_u32_le, u64 put_u64_le, i8 put_i8, i16 put_i16_le, i32 put_i32_le, i64 put_i64_le);

impl Decode for bool {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.bool()
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_bool(*self);
    }
}

impl Decode for String {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.string()
    }
}

impl Encode for String {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_string(self);
    }
}

impl Decode for Bytes {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.blob()
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_blob(self);
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok((A::decode(r)?, B::decode(r)?))
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        self.0.encode(out, features);
        self.1.encode(out, features);
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        if r.bool()? {
            Ok(Some(T::decode(r)?))
        } else {
            Ok(None)
        }
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_bool(self.is_some());
        if let Some(v) = self {
            v.encode(out, features);
        }
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.vec()
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_vec(self.iter(), features);
    }
}

impl<T: Decode + Ord> Decode for std::collections::BTreeSet<T> {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(r.vec()?.into_iter().collect())
    }
}

impl<T: Encode> Encode for std::collections::BTreeSet<T> {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_vec(self.iter(), features);
    }
}

impl<K: Decode + Ord, V: Decode> Decode for std::collections::BTreeMap<K, V> {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.map()
    }
}

impl<K: Encode, V: Encode> Encode for std::collections::BTreeMap<K, V> {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_map(self, features);
    }
}

/// Ceph's `ceph_crc32c`: CRC-32C with an explicit seed and no final inversion (`src/include/crc32c.h`).
#[must_use]
pub fn ceph_crc32c(seed: u32, data: &[u8]) -> u32 {
    let mut crc = crc_fast::Digest::new_with_init_state(crc_fast::CrcAlgorithm::Crc32Iscsi, seed.into());
    crc.update(data);
    !(crc.finalize() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_bounds_its_reader_and_skips_what_a_newer_writer_appended() {
        let mut out = BytesMut::new();
        out.put_frame(9, 1, |b| {
            b.put_u32_le(7);
            b.put_u32_le(8);
        });
        out.put_u8(42);
        let bytes = out.freeze();
        let mut r = Reader::new(&bytes);
        let mut f = r.frame(1, "test").unwrap();
        assert_eq!((f.version, f.u32().unwrap()), (9, 7));
        assert_eq!(f.remaining(), 4);
        assert_eq!(r.u8().unwrap(), 42);
    }

    #[test]
    fn a_frame_that_needs_a_newer_decoder_is_refused() {
        let bytes = Bytes::from_static(&[5, 5, 0, 0, 0, 0]);
        let err = Reader::new(&bytes).frame(4, "test").unwrap_err();
        assert_eq!(
            err,
            DecodeError::Incompatible {
                what: "test",
                compat: 5,
                known: 4
            }
        );
    }

    #[test]
    fn a_count_larger_than_the_input_is_refused_before_allocating() {
        let bytes = Bytes::from_static(&[0xff, 0xff, 0xff, 0x7f, 1]);
        assert!(matches!(
            Reader::new(&bytes).vec::<u8>(),
            Err(DecodeError::UnexpectedEnd { .. })
        ));
    }

    #[test]
    fn crc32c_is_seeded_and_not_inverted_as_in_ceph() {
        // src/test/common/test_crc32c.cc: crc of "foo bar baz" from seed 0.
        assert_eq!(ceph_crc32c(0, b"foo bar baz"), 4_119_623_852);
        assert_eq!(ceph_crc32c(1234, b"foo bar baz"), 881_700_046);
    }

    #[test]
    fn crc32c_is_the_same_bit_by_bit_for_every_length_and_start() {
        let data: Vec<u8> = (0..5000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let bit_by_bit = |seed: u32, data: &[u8]| {
            data.iter().fold(seed, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                    (crc >> 1) ^ (0x82f6_3b78 * (crc & 1))
                })
            })
        };
        for len in (0..700).chain([1023, 1024, 1025, 4095, 4096, 4099]) {
            for start in [0, 1, 7, 64] {
                let part = &data[start..start + len];
                assert_eq!(
                    ceph_crc32c(77, part),
                    bit_by_bit(77, part),
                    "{len} bytes from {start}"
                );
            }
        }
    }
}
