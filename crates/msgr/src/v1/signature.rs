//! Signatures of messages (Ceph `src/auth/cephx/CephxSessionHandler.cc`): checksums and lengths, encrypted with the
//! session key and folded to 64 bits.

use bytes::{BufMut, BytesMut};

use crate::cephx::{CryptoKey, KeyError, KeyType, KeyUsage};

use super::{Footer, MessageHeader};

/// `AUTH_ENC_MAGIC`.
const MAGIC: u64 = 0xff00_9cad_8826_aa55;

/// Signs the messages of a session.
#[derive(Debug, Clone)]
pub struct Signer {
    key: CryptoKey,
    v2: bool,
}

impl Signer {
    /// With a session key, in the newer form (between peers with CEPHX_V2) or in the older.
    #[must_use]
    pub fn new(key: CryptoKey, v2: bool) -> Self {
        Self { key, v2 }
    }

    /// The signature of a message with this header and footer, whose own `sig` does not matter.
    pub fn sign(&self, header: &MessageHeader, footer: &Footer) -> Result<u64, KeyError> {
        if self.v2 {
            self.sign_v2(header, footer)
        } else {
            self.sign_v1(header, footer)
        }
    }

    /// Before CEPHX_V2: the first block of the checksums in cephx's usual envelope.
    fn sign_v1(&self, header: &MessageHeader, footer: &Footer) -> Result<u64, KeyError> {
        let mut block = BytesMut::with_capacity(29);
        block.put_u8(1);
        block.put_u64_le(MAGIC);
        block.put_u32_le(16);
        for crc in [header.crc, footer.front_crc, footer.middle_crc, footer.data_crc] {
            block.put_u32_le(crc);
        }
        let sealed = self.key.encrypt(KeyUsage(0), &block)?;
        let first = sealed.first_chunk::<8>().ok_or(KeyError::Malformed)?;
        Ok(u64::from_le_bytes(*first))
    }

    /// With CEPHX_V2: lengths and the sequence number too, and all of the result counts.
    fn sign_v2(&self, header: &MessageHeader, footer: &Footer) -> Result<u64, KeyError> {
        let mut block = BytesMut::with_capacity(32);
        for word in [
            header.crc,
            footer.front_crc,
            header.front_len,
            footer.middle_crc,
            header.middle_len,
            footer.data_crc,
            header.data_len,
        ] {
            block.put_u32_le(word);
        }
        block.put_slice(&header.seq.to_le_bytes()[..4]);
        let sealed;
        let digest;
        let folded = if self.key.kind() == KeyType::AES {
            sealed = self.key.encrypt(KeyUsage(0), &block)?;
            sealed.get(..32).ok_or(KeyError::Malformed)?
        } else {
            digest = self.key.hmac_sha256(&block);
            &digest[..]
        };
        let words = folded.as_chunks::<8>().0;
        Ok(words.iter().fold(0, |sig, word| sig ^ u64::from_le_bytes(*word)))
    }
}
