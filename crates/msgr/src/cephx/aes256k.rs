//! AES256-CTS-HMAC-SHA384-192, the encryption of key type `aes256k` (RFC 8009; `CryptoAES256KRB5KeyHandler` in
//! Ceph 20.2 `src/auth/Crypto.cc`): a random block in front, AES-256-CBC with ciphertext stealing under a zero
//! vector, and a truncated HMAC-SHA384 of vector and ciphertext. Both keys are derived for each usage.

use aes::{
    Aes256,
    cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use hmac::{Hmac, Mac};
use sha2::Sha384;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{KeyError, KeyUsage};

/// Length of a secret, in bytes.
pub(super) const KEY_LEN: usize = 32;
const BLOCK: usize = 16;
/// The HMAC is cut to 192 bits, and so is the key it is made with.
const MAC_LEN: usize = 24;

type AesBlock = [u8; BLOCK];

/// The derived keys of one usage.
struct UsageKeys {
    encryption: Zeroizing<[u8; KEY_LEN]>,
    integrity: Zeroizing<[u8; MAC_LEN]>,
}

impl UsageKeys {
    fn derive(secret: &[u8], usage: KeyUsage) -> Result<Self, KeyError> {
        let mut keys = Self {
            encryption: Zeroizing::new([0; KEY_LEN]),
            integrity: Zeroizing::new([0; MAC_LEN]),
        };
        derive_key(secret, usage, 0xaa, &mut keys.encryption[..])?;
        derive_key(secret, usage, 0x55, &mut keys.integrity[..])?;
        Ok(keys)
    }

    fn cipher(&self) -> Result<Aes256, KeyError> {
        Aes256::new_from_slice(&self.encryption[..]).map_err(|_| KeyError::Malformed)
    }

    /// The HMAC of the zero vector and `sealed`.
    fn mac(&self, sealed: &[u8]) -> Result<[u8; MAC_LEN], KeyError> {
        let mut mac = hmac(&self.integrity[..])?;
        mac.update(&[0; BLOCK]);
        mac.update(sealed);
        let whole = mac.finalize().into_bytes();
        whole.first_chunk::<MAC_LEN>().copied().ok_or(KeyError::Malformed)
    }
}

fn hmac(key: &[u8]) -> Result<Hmac<Sha384>, KeyError> {
    Hmac::new_from_slice(key).map_err(|_| KeyError::Malformed)
}

/// KDF-HMAC-SHA2 of RFC 8009, section 3, with the label of a usage; fills `out`, at most 48 bytes.
fn derive_key(secret: &[u8], usage: KeyUsage, kind: u8, out: &mut [u8]) -> Result<(), KeyError> {
    let bits = u32::try_from(out.len() * 8).map_err(|_| KeyError::Malformed)?;
    let mut mac = hmac(secret)?;
    mac.update(&1_u32.to_be_bytes());
    mac.update(&usage.0.to_be_bytes());
    mac.update(&[kind, 0]);
    mac.update(&bits.to_be_bytes());
    let whole = Zeroizing::new(<[u8; 48]>::from(mac.finalize().into_bytes()));
    out.copy_from_slice(whole.get(..out.len()).ok_or(KeyError::Malformed)?);
    Ok(())
}

/// Encrypts `plain` behind the random block `confounder`. 40 bytes longer than `plain`.
pub(super) fn encrypt(
    secret: &[u8],
    usage: KeyUsage,
    confounder: &AesBlock,
    plain: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let keys = UsageKeys::derive(secret, usage)?;
    let mut out = Vec::with_capacity(BLOCK + plain.len() + MAC_LEN);
    out.extend_from_slice(confounder);
    out.extend_from_slice(plain);
    cts_encrypt(&keys.cipher()?, &mut out)?;
    let mac = keys.mac(&out)?;
    out.extend_from_slice(&mac);
    Ok(out)
}

/// Decrypts what [`encrypt`] made, if it was made with this secret for this usage.
pub(super) fn decrypt(secret: &[u8], usage: KeyUsage, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
    let (sealed, mac) = sealed
        .split_last_chunk::<MAC_LEN>()
        .filter(|(sealed, _)| sealed.len() >= BLOCK)
        .ok_or(KeyError::Decrypt)?;
    let keys = UsageKeys::derive(secret, usage)?;
    if !bool::from(keys.mac(sealed)?.ct_eq(mac)) {
        return Err(KeyError::Decrypt);
    }
    let mut out = Zeroizing::new(sealed.to_vec());
    cts_decrypt(&keys.cipher()?, &mut out)?;
    Ok(out.get(BLOCK..).unwrap_or_default().to_vec())
}

fn xor(block: &mut AesBlock, other: &AesBlock) {
    for (b, o) in block.iter_mut().zip(other) {
        *b ^= o;
    }
}

fn encrypt_block(cipher: &Aes256, block: &AesBlock) -> AesBlock {
    let mut block = Block::<Aes256>::from(*block);
    cipher.encrypt_block(&mut block);
    block.into()
}

fn decrypt_block(cipher: &Aes256, block: &AesBlock) -> AesBlock {
    let mut block = Block::<Aes256>::from(*block);
    cipher.decrypt_block(&mut block);
    block.into()
}

/// Where the last block begins, which may be a part of one. `len` is above zero.
fn last_block(len: usize) -> usize {
    (len - 1) / BLOCK * BLOCK
}

/// CBC with the last two blocks swapped (CS3 of NIST SP 800-38A, addendum), vector zero, in place.
fn cts_encrypt(cipher: &Aes256, data: &mut [u8]) -> Result<(), KeyError> {
    if data.len() < BLOCK {
        return Err(KeyError::Malformed);
    }
    let (whole, tail) = data.split_at_mut(last_block(data.len()));
    let mut chain = [0; BLOCK];
    for block in whole.as_chunks_mut::<BLOCK>().0 {
        xor(block, &chain);
        chain = encrypt_block(cipher, block);
        *block = chain;
    }
    let mut last = [0; BLOCK];
    for (l, t) in last.iter_mut().zip(&*tail) {
        *l = *t;
    }
    xor(&mut last, &chain);
    let last = encrypt_block(cipher, &last);
    match whole.last_chunk_mut::<BLOCK>() {
        Some(before) => {
            // What stands in the block before is cut to the tail's length and comes last.
            tail.iter_mut().zip(&*before).for_each(|(t, b)| *t = *b);
            *before = last;
        }
        // One block alone is not swapped.
        None => tail.copy_from_slice(&last),
    }
    Ok(())
}

/// Undoes [`cts_encrypt`].
fn cts_decrypt(cipher: &Aes256, data: &mut [u8]) -> Result<(), KeyError> {
    if data.len() < BLOCK {
        return Err(KeyError::Decrypt);
    }
    let (whole, tail) = data.split_at_mut(last_block(data.len()));
    let Some((before_last, earlier)) = whole.as_chunks_mut::<BLOCK>().0.split_last_mut() else {
        if let Some(only) = tail.first_chunk_mut::<BLOCK>() {
            *only = decrypt_block(cipher, only);
        }
        return Ok(());
    };
    let mut chain = [0; BLOCK];
    for block in earlier {
        let sealed = *block;
        *block = decrypt_block(cipher, &sealed);
        xor(block, &chain);
        chain = sealed;
    }
    // The block before holds the last one: plain text and the other's sealed bytes in its first part, and in the
    // rest the end of that other block, which was stolen.
    let mut stolen = decrypt_block(cipher, before_last);
    for (s, t) in stolen.iter_mut().zip(tail.iter_mut()) {
        let sealed = *t;
        *t ^= *s;
        *s = sealed;
    }
    *before_last = decrypt_block(cipher, &stolen);
    xor(before_last, &chain);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
            .collect()
    }

    /// The base key of RFC 8009's test vectors for aes256-cts-hmac-sha384-192.
    const KEY: &str = "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52";

    #[test]
    fn keys_are_derived_as_in_rfc_8009() {
        let keys = UsageKeys::derive(&hex(KEY), KeyUsage(2)).unwrap();
        assert_eq!(
            keys.encryption[..],
            hex("56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49")
        );
        assert_eq!(
            keys.integrity[..],
            hex("69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F")
        );
    }

    /// RFC 8009, appendix A: plain text, confounder, ciphertext and HMAC, all for usage 2.
    const VECTORS: [(&str, &str, &str, &str); 4] = [
        (
            "",
            "F764E9FA15C276478B2C7D0C4E5F58E4",
            "41F53FA5BFE7026D91FAF9BE959195A0",
            "58707273A96A40F0A01960621AC612748B9BBFBE7EB4CE3C",
        ),
        (
            "000102030405",
            "B80D3251C1F6471494256FFE712D0B9A",
            "4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9",
            "F559C7F664F69EAB7B6092237526EA0D1F61CB20D69D10F2",
        ),
        (
            "000102030405060708090A0B0C0D0E0F",
            "53BF8A0D105265D4E276428624CE5E63",
            "BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F6",
            "8CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266",
        ),
        (
            "000102030405060708090A0B0C0D0E0F1011121314",
            "763E65367E864F02F55153C7E3B58AF1",
            "40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2B2A602AC86",
            "FEF6ECB647D6295FAE077A1FEB517508D2C16B4192E01F62",
        ),
    ];

    #[test]
    fn texts_are_encrypted_as_in_rfc_8009_and_decrypted_again() {
        for (plain, confounder, sealed, mac) in VECTORS {
            let confounder: AesBlock = hex(confounder).try_into().unwrap();
            let out = encrypt(&hex(KEY), KeyUsage(2), &confounder, &hex(plain)).unwrap();
            assert_eq!(out, [hex(sealed), hex(mac)].concat());
            assert_eq!(decrypt(&hex(KEY), KeyUsage(2), &out), Ok(hex(plain)));
        }
    }

    #[test]
    fn every_length_round_trips() {
        for len in 0..70 {
            let plain: Vec<u8> = (0..len).collect();
            let out = encrypt(&hex(KEY), KeyUsage::AUTHORIZE, &[9; 16], &plain).unwrap();
            assert_eq!(out.len(), plain.len() + 40);
            assert_eq!(decrypt(&hex(KEY), KeyUsage::AUTHORIZE, &out), Ok(plain));
        }
    }

    #[test]
    fn a_flipped_bit_another_usage_and_a_truncation_are_noticed() {
        let out = encrypt(&hex(KEY), KeyUsage::AUTHORIZE, &[9; 16], b"text").unwrap();
        let refused = Err(KeyError::Decrypt);
        assert_eq!(decrypt(&hex(KEY), KeyUsage::AUTHORIZE_REPLY, &out), refused);
        for n in 0..out.len() {
            assert_eq!(decrypt(&hex(KEY), KeyUsage::AUTHORIZE, &out[..n]), refused);
            let mut bad = out.clone();
            bad[n] ^= 1;
            assert_eq!(decrypt(&hex(KEY), KeyUsage::AUTHORIZE, &bad), refused);
        }
    }
}
