//! Data in pieces that are never copied together.

use bytes::{Bytes, BytesMut};

/// A row of buffers that reads as one. Slices share the memory; nothing is copied until somebody asks for one piece.
#[derive(Clone, Default)]
pub struct Buffers {
    pieces: Vec<Bytes>,
    len: usize,
}

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl Buffers {
    /// No data.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
        }
    }

    /// So many zeros, without memory of their own.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let mut zeros = Self::new();
        while zeros.len < len {
            let piece = ZEROS.len().min(len - zeros.len);
            zeros.push(Bytes::from_static(&ZEROS[..piece]));
        }
        zeros
    }

    /// Adds a piece behind the others.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Adds all pieces of another.
    pub fn append(&mut self, other: Self) {
        self.len += other.len;
        self.pieces.extend(other.pieces);
    }

    /// Bytes in all pieces.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no data.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order; none is empty.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// `len` bytes from `start`, sharing the memory.
    ///
    /// # Panics
    /// If there are not as many.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Self {
        assert!(
            start.checked_add(len).is_some_and(|end| end <= self.len),
            "slice of {len} bytes at {start} of {} bytes",
            self.len
        );
        let mut result = Self::new();
        let mut skip = start;
        for piece in &self.pieces {
            if result.len == len {
                break;
            }
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let take = (piece.len() - skip).min(len - result.len);
            result.push(piece.slice(skip..skip + take));
            skip = 0;
        }
        result
    }

    /// All data in one piece: copied if there are several.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        match self.pieces.len() {
            0 => Bytes::new(),
            1 => self.pieces.remove(0),
            _ => {
                let mut whole = BytesMut::with_capacity(self.len);
                for piece in &self.pieces {
                    whole.extend_from_slice(piece);
                }
                whole.freeze()
            }
        }
    }
}

impl From<Bytes> for Buffers {
    fn from(piece: Bytes) -> Self {
        let mut buffers = Self::new();
        buffers.push(piece);
        buffers
    }
}

impl From<Vec<u8>> for Buffers {
    fn from(data: Vec<u8>) -> Self {
        Bytes::from(data).into()
    }
}

impl FromIterator<Bytes> for Buffers {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut buffers = Self::new();
        pieces.into_iter().for_each(|piece| buffers.push(piece));
        buffers
    }
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes in {} pieces", self.len, self.pieces.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cross_the_borders_of_pieces() {
        let data: Buffers = [&b"abc"[..], b"", b"defg", b"h"]
            .into_iter()
            .map(Bytes::from_static)
            .collect();
        assert_eq!(data.len(), 8);
        assert_eq!(data.pieces().len(), 3);
        for start in 0..=8 {
            for len in 0..=8 - start {
                let slice = data.slice(start, len);
                assert_eq!(slice.len(), len);
                assert_eq!(&slice.into_bytes()[..], &b"abcdefgh"[start..start + len]);
            }
        }
    }

    #[test]
    fn zeros_are_zeros_of_any_length() {
        for len in [0, 1, 65_536, 65_537, 300_000] {
            let zeros = Buffers::zeros(len).into_bytes();
            assert_eq!(zeros.len(), len);
            assert!(zeros.iter().all(|byte| *byte == 0));
        }
    }
}
