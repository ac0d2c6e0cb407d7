//! AES-128-GCM of secure mode: a key for both directions and a counting nonce for each.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::error::{Misbehaved, Result};

use super::segments::TAG_LEN;

const KEY_LEN: usize = 16;

/// One direction's cipher.
pub(super) struct Gcm {
    key: LessSafeKey,
    /// Fixed part of the nonce.
    fixed: [u8; 4],
    /// Counting part, little-endian behind the fixed one.
    counter: u64,
}

impl Gcm {
    /// The ciphers to receive and to send with, of a server's connection secret (a client's, if `client`).
    pub(super) fn pair(secret: &[u8], client: bool) -> Option<(Self, Self)> {
        let key = secret.get(..KEY_LEN)?;
        let first = secret.get(KEY_LEN..KEY_LEN + NONCE_LEN)?;
        let second = secret.get(KEY_LEN + NONCE_LEN..KEY_LEN + 2 * NONCE_LEN)?;
        // The client receives with the first nonce, the server sends with it.
        let (rx, tx) = if client { (first, second) } else { (second, first) };
        Some((Self::new(key, rx)?, Self::new(key, tx)?))
    }

    fn new(key: &[u8], nonce: &[u8]) -> Option<Self> {
        let (fixed, counter) = nonce.split_first_chunk::<4>()?;
        Some(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).ok()?),
            fixed: *fixed,
            counter: u64::from_le_bytes(*counter.first_chunk()?),
        })
    }

    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.fixed);
        nonce[4..].copy_from_slice(&self.counter.to_le_bytes());
        self.counter = self.counter.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts in place; returns the tag.
    pub(super) fn seal(&mut self, data: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = self.next_nonce();
        let mut tag = [0; TAG_LEN];
        // The only error is a plaintext beyond 64 GiB, which no frame reaches; its tag would not verify.
        if let Ok(sealed) = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), data) {
            tag.copy_from_slice(sealed.as_ref());
        }
        tag
    }

    /// Decrypts in place what is followed by its tag; returns the plaintext.
    pub(super) fn open<'d>(&mut self, data: &'d mut [u8]) -> Result<&'d mut [u8]> {
        let nonce = self.next_nonce();
        let opened = self.key.open_in_place(nonce, Aad::empty(), data);
        opened.map_err(|_| Misbehaved::FrameTag.into())
    }
}
