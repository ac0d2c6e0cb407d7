//! What the fuzz targets do with an input, one module each. A target passes if nothing panics, hangs or takes
//! memory out of proportion; what a decoder accepts must also encode again for every generation of peers.
//!
//! `xtask fuzz` searches for new inputs with libFuzzer; `tests/replay.rs` runs the corpus without it. The example
//! `make_corpus` makes the first corpus from the test data of the crates.

pub mod capture;
pub mod cls_call;
pub mod curve_rpc;
pub mod maps;
pub mod memory;
pub mod message;
pub mod msgr_pair;
pub mod msgr_v1;
pub mod msgr_v2;

use encoding::Features;

/// Feature words of peers: none, Hammer, Hammer with its private bit 59, Jewel, Luminous, Nautilus, Pacific, all.
pub const WORDS: [Features; 8] = [
    Features(0),
    Features(0x0083_ffff_ffff_ffff),
    Features(0x0883_ffff_ffff_ffff),
    Features(0x07fd_dff8_ef8c_bffb),
    Features(0x3ffd_dff8_eea4_fffb),
    Features(0x3ffd_dff8_ffec_ffff),
    Features(0x3f01_cfbd_fffd_ffff),
    Features(0x3fff_ffff_ffff_ffff),
];

/// The first `N` bytes of `data`, which then begins behind them.
fn take<const N: usize>(data: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = data.split_first_chunk::<N>()?;
    *data = rest;
    Some(*head)
}
