//! `CryptoKey`: a secret with its type and time of creation (Ceph `src/auth/Crypto.h`, `Crypto.cc`).

use std::{fmt, time::SystemTime};

use aes::Aes128;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use encoding::{Decode, DecodeError, Encode, Features, Reader, codec, types::Utime};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::sealed::seal_blob;

/// `CEPH_CRYPTO_*`: how a key encrypts. Open: unknown types survive, and are refused where they would be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct KeyType(pub u16);

impl KeyType {
    /// No encryption.
    pub const NONE: Self = Self(0);
    /// AES-128-CBC with a constant initialisation vector.
    pub const AES: Self = Self(1);
    /// AES256-CTS-HMAC-SHA384-192 (RFC 8009), the default of new Tentacle clusters.
    pub const AES256KRB5: Self = Self(2);
}

/// `CEPHX_KEY_USAGE_*` (Ceph 20.2 `src/auth/cephx/CephxProtocol.h`): what is encrypted. Key types other than AES
/// derive a key of its own for each usage; AES ignores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyUsage(pub u32);

impl KeyUsage {
    /// The monitor's connection secret.
    pub const AUTH_CONNECTION_SECRET: Self = Self(0x03);
    /// A ticket's session key, for its owner.
    pub const TICKET_SESSION_KEY: Self = Self(0x04);
    /// A ticket blob, for its owner.
    pub const TICKET_BLOB: Self = Self(0x05);
    /// An authorizer.
    pub const AUTHORIZE: Self = Self(0x10);
    /// The challenge to an authorizer.
    pub const AUTHORIZE_CHALLENGE: Self = Self(0x11);
    /// The reply to an authorizer.
    pub const AUTHORIZE_REPLY: Self = Self(0x12);
    /// A ticket's content, for the service.
    pub const TICKET_INFO: Self = Self(0x30);
}

/// `CEPH_AES_IV`.
const AES_IV: &[u8; 16] = b"cephsageyudagreg";
const AES_KEY_LEN: usize = 16;
const AES_BLOCK: usize = 16;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the text form of a key.
    #[error("not a key in base64")]
    NotBase64,
    /// The bytes behind the text are no key.
    #[error("malformed key")]
    Malformed,
    /// A key type this build cannot encrypt with.
    #[error("unsupported key type {}", .0.0)]
    UnsupportedType(KeyType),
    /// What was to be decrypted was not encrypted with this key.
    #[error("cannot decrypt")]
    Decrypt,
}

/// A key. Its secret is wiped when dropped and never shown by `Debug`.
#[derive(Clone, Default)]
pub struct CryptoKey {
    kind: KeyType,
    created: Utime,
    secret: Zeroizing<Vec<u8>>,
}

impl CryptoKey {
    /// A new random AES key.
    #[must_use]
    pub fn generate(now: SystemTime) -> Self {
        let mut secret = Zeroizing::new(vec![0; AES_KEY_LEN]);
        rand::fill(&mut secret[..]);
        Self {
            kind: KeyType::AES,
            created: Utime::from_system_time(now),
            secret,
        }
    }

    /// Whether there is no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secret.is_empty()
    }

    /// How it encrypts.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Utime {
        self.created
    }

    /// The text form that keyrings hold.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        let raw = self.to_bytes(Features::ALL);
        Zeroizing::new(STANDARD.encode(raw))
    }

    /// Reads the text form.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let raw = Bytes::from(STANDARD.decode(text.trim()).map_err(|_| KeyError::NotBase64)?);
        Self::from_bytes(&raw).map_err(|_| KeyError::Malformed)
    }

    fn aes_secret(&self) -> Result<&[u8], KeyError> {
        match self.kind {
            KeyType::AES => self.secret.get(..AES_KEY_LEN).ok_or(KeyError::Malformed),
            other => Err(KeyError::UnsupportedType(other)),
        }
    }

    /// Encrypts `plain` (for AES: CBC, constant vector, PKCS#7 padding).
    pub fn encrypt(&self, _usage: KeyUsage, plain: &[u8]) -> Result<Bytes, KeyError> {
        let cipher = cbc::Encryptor::<Aes128>::new_from_slices(self.aes_secret()?, AES_IV)
            .map_err(|_| KeyError::Malformed)?;
        Ok(cipher.encrypt_padded_vec::<Pkcs7>(plain).into())
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made. There is no authentication: a wrong key shows in the
    /// padding or in the magic number of what is inside.
    pub fn decrypt(&self, _usage: KeyUsage, sealed: &[u8]) -> Result<Bytes, KeyError> {
        let cipher = cbc::Decryptor::<Aes128>::new_from_slices(self.aes_secret()?, AES_IV)
            .map_err(|_| KeyError::Malformed)?;
        if sealed.is_empty() || !sealed.len().is_multiple_of(AES_BLOCK) {
            return Err(KeyError::Decrypt);
        }
        cipher
            .decrypt_padded_vec::<Pkcs7>(sealed)
            .map(Bytes::from)
            .map_err(|_| KeyError::Decrypt)
    }

    /// The proof that a client knows this key: both challenges, encrypted and folded to 64 bits
    /// (`cephx_calc_client_server_challenge`).
    pub fn challenge_proof(&self, server_challenge: u64, client_challenge: u64) -> Result<u64, KeyError> {
        let mut out = BytesMut::new();
        seal_blob(
            self,
            KeyUsage(0),
            &Challenges(server_challenge, client_challenge),
            &mut out,
        )?;
        // The 32-bit length in front is folded in; what does not fill eight bytes at the end is not.
        let words = out.as_chunks::<8>().0;
        Ok(words
            .iter()
            .fold(0, |folded, word| folded ^ u64::from_le_bytes(*word)))
    }

    /// HMAC-SHA256 of `data` under the secret.
    #[must_use]
    pub fn hmac_sha256(&self, data: &[u8]) -> [u8; 32] {
        // HMAC takes keys of any length: the only error of the constructor cannot happen.
        match Hmac::<Sha256>::new_from_slice(&self.secret) {
            Ok(mut mac) => {
                mac.update(data);
                mac.finalize().into_bytes().into()
            }
            Err(_) => [0; 32],
        }
    }
}

/// `CephXChallengeBlob`.
struct Challenges(u64, u64);

impl Encode for Challenges {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u64_le(self.0);
        out.put_u64_le(self.1);
    }
}

impl PartialEq for CryptoKey {
    /// Constant time in the secret.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && bool::from(self.secret.ct_eq(&other.secret))
    }
}

impl Eq for CryptoKey {}

impl fmt::Debug for CryptoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_empty() { "empty" } else { "secret" };
        write!(f, "CryptoKey(type {}, {state})", self.kind.0)
    }
}

impl Encode for CryptoKey {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_u16_le(self.kind.0);
        self.created.encode(out, features);
        let len = u16::try_from(self.secret.len()).unwrap_or(u16::MAX);
        out.put_u16_le(len);
        out.put_slice(&self.secret[..usize::from(len)]);
    }
}

impl Decode for CryptoKey {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let kind = KeyType(r.u16()?);
        let created = Utime::decode(r)?;
        let len = usize::from(r.u16()?);
        let secret = Zeroizing::new(r.slice(len, "secret")?.to_vec());
        if kind == KeyType::AES && !secret.is_empty() && secret.len() < AES_KEY_LEN {
            return Err(DecodeError::Invalid {
                what: "secret length",
                value: secret.len() as u64,
            });
        }
        Ok(Self {
            kind,
            created,
            secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A throw-away key of the recordings' client.admin.
    const ADMIN: &str = "AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==";

    #[test]
    fn the_text_form_round_trips() {
        let key = CryptoKey::from_base64(ADMIN).unwrap();
        assert_eq!(key.kind(), KeyType::AES);
        assert_eq!(key.to_base64().as_str(), ADMIN);
        assert_eq!(CryptoKey::from_base64("AQ=="), Err(KeyError::Malformed));
        assert_eq!(CryptoKey::from_base64("?"), Err(KeyError::NotBase64));
    }

    #[test]
    fn what_is_encrypted_can_be_decrypted_with_the_same_key_only() {
        let (a, b) = (
            CryptoKey::generate(SystemTime::UNIX_EPOCH),
            CryptoKey::generate(SystemTime::UNIX_EPOCH),
        );
        for len in [0, 1, 15, 16, 17, 100] {
            let plain = vec![7; len];
            let sealed = a.encrypt(KeyUsage::AUTHORIZE, &plain).unwrap();
            assert_eq!(sealed.len(), len / 16 * 16 + 16);
            assert_eq!(&a.decrypt(KeyUsage::AUTHORIZE, &sealed).unwrap()[..], &plain[..]);
            assert_ne!(b.decrypt(KeyUsage::AUTHORIZE, &sealed).as_deref(), Ok(&plain[..]));
        }
        assert_eq!(a.decrypt(KeyUsage::AUTHORIZE, &[0; 15]), Err(KeyError::Decrypt));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let key = CryptoKey::from_base64(ADMIN).unwrap();
        assert_eq!(format!("{key:?}"), "CryptoKey(type 1, secret)");
    }

    #[test]
    fn a_key_type_without_implementation_is_refused_on_use_not_on_reading() {
        let mut raw = BytesMut::new();
        raw.put_u16_le(2);
        Utime::default().encode(&mut raw, Features::ALL);
        raw.put_u16_le(32);
        raw.put_bytes(1, 32);
        let key = CryptoKey::from_bytes(&raw.freeze()).unwrap();
        assert_eq!(
            key.encrypt(KeyUsage::AUTHORIZE, b""),
            Err(KeyError::UnsupportedType(KeyType::AES256KRB5))
        );
    }
}
