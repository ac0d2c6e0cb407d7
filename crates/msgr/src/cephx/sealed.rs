//! The envelope of everything cephx encrypts: a version byte, a magic number, the value
//! (`encode_encrypt` and `decode_decrypt` in Ceph `src/auth/cephx/CephxProtocol.h`).

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Decode, DecodeError, Encode, Features, Put, Reader};

use super::{CryptoKey, KeyError, KeyUsage};

/// `AUTH_ENC_MAGIC`.
const MAGIC: u64 = 0xff00_9cad_8826_aa55;

/// Why an envelope cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key does not fit.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Decrypted, but not what it should be: another key was used.
    #[error("wrong magic number")]
    Magic,
    /// The value inside does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Encrypts `value` in its envelope, without a length (`encode_encrypt_enc_bl`).
pub fn seal(key: &CryptoKey, usage: KeyUsage, value: &impl Encode) -> Result<Bytes, KeyError> {
    let mut plain = BytesMut::new();
    plain.put_u8(1);
    plain.put_u64_le(MAGIC);
    value.encode(&mut plain, Features::ALL);
    key.encrypt(usage, &plain)
}

/// Appends the envelope behind its 32-bit length (`encode_encrypt`).
pub fn seal_blob(
    key: &CryptoKey,
    usage: KeyUsage,
    value: &impl Encode,
    out: &mut BytesMut,
) -> Result<(), KeyError> {
    out.put_blob(&seal(key, usage, value)?);
    Ok(())
}

/// Opens an envelope. Bytes after the value are ignored, as newer writers may append.
pub fn open<T: Decode>(key: &CryptoKey, usage: KeyUsage, sealed: &[u8]) -> Result<T, SealError> {
    let plain = key.decrypt(usage, sealed)?;
    let mut r = Reader::new(&plain);
    r.u8()?;
    if r.u64()? != MAGIC {
        return Err(SealError::Magic);
    }
    Ok(T::decode(&mut r)?)
}

/// Reads a length and opens the envelope behind it.
pub fn open_blob<T: Decode>(key: &CryptoKey, usage: KeyUsage, r: &mut Reader<'_>) -> Result<T, SealError> {
    let sealed = r.blob()?;
    open(key, usage, &sealed)
}
