//! `BitVector<2>`: two bits for each object of an image, the object map (Ceph `src/common/bit_vector.hpp`).
//!
//! Encoding: a byte string with the framed element count; the elements, four a byte, the first in the highest
//! bits; a byte string with the checksums, which is empty if the writer left them out: crc of the first part,
//! count, and a crc for each 4096 bytes of elements.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, ceph_crc32c, wire_len},
    features::Features,
};

/// Elements in a byte.
pub const ELEMENTS_PER_BYTE: u64 = 4;
/// Bytes of elements under one checksum.
pub const BLOCK_SIZE: usize = 4096;
/// Bytes before the elements: length, frame and element count.
pub const HEADER_LEN: usize = 18;

/// A vector of two-bit elements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BitVector {
    size: u64,
    data: Vec<u8>,
}

/// Bytes that `size` elements take.
#[must_use]
pub const fn data_len(size: u64) -> u64 {
    size.div_ceil(ELEMENTS_PER_BYTE)
}

/// The element at `index` of packed `data`; 0 beyond its end.
#[must_use]
pub fn get(data: &[u8], index: u64) -> u8 {
    let Ok(byte) = usize::try_from(index / ELEMENTS_PER_BYTE) else {
        return 0;
    };
    data.get(byte).map_or(0, |b| b >> shift(index) & 3)
}

/// Sets the element at `index` of packed `data`; nothing beyond its end.
pub fn set(data: &mut [u8], index: u64, value: u8) {
    let Ok(byte) = usize::try_from(index / ELEMENTS_PER_BYTE) else {
        return;
    };
    if let Some(b) = data.get_mut(byte) {
        *b = *b & !(3 << shift(index)) | (value & 3) << shift(index);
    }
}

const fn shift(index: u64) -> u32 {
    (3 - (index % ELEMENTS_PER_BYTE) as u32) * 2
}

/// The first part of the encoding, for `size` elements, without the length before it.
fn header(size: u64) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER_LEN);
    out.put_frame(1, 1, |out| out.put_u64_le(size));
    out
}

impl BitVector {
    /// A vector of `size` elements with the given value. The caller bounds `size`.
    #[must_use]
    pub fn new(size: u64, value: u8) -> Self {
        let mut v = Self::default();
        v.resize(size, value);
        v
    }

    /// Number of elements.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The packed elements.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The element at `index`; 0 beyond the end.
    #[must_use]
    pub fn get(&self, index: u64) -> u8 {
        get(&self.data, index)
    }

    /// Sets the element at `index`; nothing beyond the end.
    pub fn set(&mut self, index: u64, value: u8) {
        set(&mut self.data, index, value);
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..self.size).map(|i| self.get(i))
    }

    /// Makes the vector `size` long; new elements have the given value. The caller bounds `size`.
    ///
    /// Bits behind the last element stay what they are, as Ceph leaves them.
    pub fn resize(&mut self, size: u64, value: u8) {
        let old = self.size;
        self.size = size;
        let len = data_len(size) as usize;
        self.data.reserve_exact(len.saturating_sub(self.data.len()));
        self.data.resize(len, 0);
        // Whole bytes of new elements at once, those that share a byte with others one by one.
        let whole = data_len(old) as usize..(size / ELEMENTS_PER_BYTE) as usize;
        if let Some(bytes) = self.data.get_mut(whole) {
            bytes.fill((value & 3) * 0b0101_0101);
        }
        let shared_below = size.min(old.next_multiple_of(ELEMENTS_PER_BYTE));
        let shared_from = (size / ELEMENTS_PER_BYTE * ELEMENTS_PER_BYTE).max(shared_below);
        for i in (old..shared_below).chain(shared_from..size) {
            self.set(i, value);
        }
    }

    /// The element count in the [`HEADER_LEN`] bytes with which every encoding starts.
    pub fn decode_size(header: &Bytes) -> Result<u64> {
        let mut r = Reader::new(header);
        let part = r.blob()?;
        Reader::new(&part).frame(1, "BitVector")?.u64()
    }

    /// The crc of the first part for `size` elements, as the checksums repeat it.
    #[must_use]
    pub fn header_crc(size: u64) -> u32 {
        ceph_crc32c(0, &header(size))
    }

    /// Appends the encoding, with checksums or with an empty third part.
    pub fn encode_into(&self, out: &mut BytesMut, checksums: bool) {
        let header = header(self.size);
        let blocks = self.data.chunks(BLOCK_SIZE);
        let count = if checksums { blocks.len() } else { 0 };
        // Largest maps have 64 MB: no room that grows by doubling.
        out.reserve(HEADER_LEN + self.data.len() + 12 + 4 * count);
        out.put_blob(&header);
        out.put_slice(&self.data);
        if !checksums {
            return out.put_u32_le(0);
        }
        out.put_u32_le(wire_len(8 + 4 * count));
        out.put_u32_le(ceph_crc32c(0, &header));
        out.put_u32_le(wire_len(count));
        for block in blocks {
            out.put_u32_le(ceph_crc32c(0, block));
        }
    }
}

const fn bad_crc(crc: u32) -> DecodeError {
    DecodeError::Invalid {
        what: "BitVector checksum",
        value: crc as u64,
    }
}

impl Decode for BitVector {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let header = r.blob()?;
        let size = Reader::new(&header).frame(1, "BitVector")?.u64()?;
        let len = usize::try_from(data_len(size)).unwrap_or(usize::MAX);
        let data = r.slice(len, "BitVector elements")?;
        let mut footer = r.blob()?;
        if !footer.is_empty() {
            if footer.len() < 8 {
                return Err(DecodeError::UnexpectedEnd {
                    what: "BitVector checksums",
                    needed: 8,
                    left: footer.len(),
                });
            }
            let crc = footer.get_u32_le();
            if crc != ceph_crc32c(0, &header) {
                return Err(bad_crc(crc));
            }
            footer.advance(4);
            let mut crcs = Reader::new(&footer);
            for block in data.chunks(BLOCK_SIZE) {
                let crc = crcs.u32()?;
                if crc != ceph_crc32c(0, block) {
                    return Err(bad_crc(crc));
                }
            }
        }
        Ok(Self {
            size,
            data: data.to_vec(),
        })
    }
}

impl Encode for BitVector {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        self.encode_into(out, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_element_is_in_the_highest_bits_of_its_byte() {
        let mut v = BitVector::new(5, 0);
        v.set(0, 1);
        v.set(3, 2);
        v.set(4, 3);
        assert_eq!(v.data(), [0b0100_0010, 0b1100_0000]);
        assert_eq!(v.iter().collect::<Vec<_>>(), [1, 0, 0, 2, 3]);
    }

    #[test]
    fn growing_keeps_the_old_elements_and_fills_the_new_ones() {
        let mut v = BitVector::new(2, 1);
        v.resize(7, 3);
        assert_eq!(v.iter().collect::<Vec<_>>(), [1, 1, 3, 3, 3, 3, 3]);
        v.resize(3, 0);
        assert_eq!((v.size(), v.data().len()), (3, 1));
        v.resize(14, 2);
        assert_eq!(
            v.iter().collect::<Vec<_>>(),
            [1, 1, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
        );
        assert_eq!(v.data()[3], 0b1010_0000);
    }

    #[test]
    fn both_forms_round_trip_over_several_blocks() {
        let mut v = BitVector::new(40_000, 1);
        v.set(39_999, 2);
        for checksums in [false, true] {
            let mut out = BytesMut::new();
            v.encode_into(&mut out, checksums);
            assert_eq!(out.len(), 18 + 10_000 + 4 + if checksums { 8 + 3 * 4 } else { 0 });
            assert_eq!(BitVector::from_bytes(&out.freeze()).unwrap(), v);
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let v = BitVector::new(100, 1);
        let good = v.to_bytes(Features::ALL);
        for at in [10, 20, good.len() - 1] {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            assert!(BitVector::from_bytes(&bad.into()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_count_beyond_the_input_is_refused_before_allocating() {
        let mut out = BytesMut::new();
        out.put_blob(&header(u64::MAX));
        assert!(BitVector::from_bytes(&out.freeze()).is_err());
    }
}
