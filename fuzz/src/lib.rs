//! What the fuzz targets do with an input, one module each. A target passes if nothing panics, hangs or takes
//! memory out of proportion; what a decoder accepts must also encode again for every generation of peers.
//!
//! `xtask fuzz` searches for new inputs with libFuzzer; `tests/replay.rs` runs the corpus without it. The example
//! `make_corpus` makes the first corpus from the test data of the crates.

pub mod capture;
pub mod cephx;
pub mod cls_call;
pub mod curve_rpc;
pub mod maps;
pub mod memory;
pub mod message;
pub mod msgr_pair;
pub mod msgr_v1;
pub mod msgr_v2;
pub mod op_vectors;
pub mod store;

use encoding::Features;

/// Feature words of peers: none, Hammer, Hammer with its private bit 59, Jewel, Luminous, Nautilus, Pacific, all,
/// Argonaut.
pub const WORDS: [Features; 9] = [
    Features(0),
    Features(0x0083_ffff_ffff_ffff),
    Features(0x0883_ffff_ffff_ffff),
    Features(0x07fd_dff8_ef8c_bffb),
    Features(0x3ffd_dff8_eea4_fffb),
    Features(0x3ffd_dff8_ffec_ffff),
    Features(0x3f01_cfbd_fffd_ffff),
    Features(0x3fff_ffff_ffff_ffff),
    Features(0x0007_ffff),
];

/// What any input may take beside its share: tables, connections' buffers of fixed sizes, keys.
const BASE: usize = 4 << 20;
/// How much memory each byte of an input may take, decoded and encoded. A legacy address of 136 bytes is made of five,
/// and buffers grow by doubling.
const PER_BYTE: usize = 256;

/// The buffer for a large message that a header announces: 8 MiB at once, which the next read doubles while the old one
/// is still there.
const ANNOUNCED: usize = 24 << 20;

/// Runs `work` on an input of `len` bytes.
///
/// # Panics
/// If it holds memory out of proportion.
fn bounded<T>(len: usize, work: impl FnOnce() -> T) -> T {
    bounded_beside(0, len, work)
}

/// The same, with so many bytes more that do not depend on the input.
fn bounded_beside<T>(more: usize, len: usize, work: impl FnOnce() -> T) -> T {
    let (result, peak) = memory::peak(work);
    let bound = BASE + more + PER_BYTE * len;
    assert!(
        peak <= bound,
        "{peak} bytes held for an input of {len}, {bound} allowed"
    );
    result
}

/// The first `N` bytes of `data`, which then begins behind them.
fn take<const N: usize>(data: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = data.split_first_chunk::<N>()?;
    *data = rest;
    Some(*head)
}
