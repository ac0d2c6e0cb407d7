//! Snappy as Ceph packs it (`src/compressor/snappy/SnappyCompressor.h`): its raw format, which begins with the length.

use bytes::Bytes;

use crate::error::Result;

use super::Bound;

/// Three bytes copy 64.
const RATIO: u64 = 22;

/// None if it does not unpack.
pub(super) fn unpack(packed: &[u8], bound: Bound) -> Result<Option<Bytes>> {
    let Ok(len) = snap::raw::decompress_len(packed) else {
        return Ok(None);
    };
    let Some(mut out) = bound.room(len as u64, packed.len(), RATIO)? else {
        return Ok(None);
    };
    let done = snap::raw::Decoder::new().decompress(packed, &mut out);
    Ok((done == Ok(len)).then(|| out.freeze()))
}
