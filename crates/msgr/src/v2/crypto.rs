//! AES-128-GCM of secure mode: a key for both directions and a counting nonce for each.

use aes_gcm::{
    Aes128Gcm, KeyInit,
    aead::{AeadInOut, inout::InOutBuf},
};

use crate::error::{Misbehaved, Result};

use super::segments::TAG_LEN;

const KEY_LEN: usize = 16;
const NONCE_LEN: usize = 12;

/// One direction's cipher.
pub(super) struct Gcm {
    cipher: Aes128Gcm,
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
            cipher: Aes128Gcm::new_from_slice(key).ok()?,
            fixed: *fixed,
            counter: u64::from_le_bytes(*counter.first_chunk()?),
        })
    }

    fn next_nonce(&mut self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.fixed);
        nonce[4..].copy_from_slice(&self.counter.to_le_bytes());
        self.counter = self.counter.wrapping_add(1);
        nonce
    }

    /// Encrypts in place; returns the tag.
    pub(super) fn seal(&mut self, data: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = self.next_nonce();
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce.into(), &[], InOutBuf::from(data));
        // The only error is a plaintext beyond 64 GiB, which no frame reaches.
        tag.map(Into::into).unwrap_or_default()
    }

    /// Decrypts in place what is followed by its tag; returns the plaintext.
    pub(super) fn open<'d>(&mut self, data: &'d mut [u8]) -> Result<&'d mut [u8]> {
        let nonce = self.next_nonce();
        let (data, tag) = data
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Misbehaved::FrameTag)?;
        self.cipher
            .decrypt_inout_detached(&nonce.into(), &[], InOutBuf::from(&mut *data), &(*tag).into())
            .map_err(|_| Misbehaved::FrameTag)?;
        Ok(data)
    }
}
