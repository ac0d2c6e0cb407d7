//! Negotiating compression. We announce no compression in the banner, so that peers do not ask; who asks
//! nevertheless is told that there is none.

use super::control_frames;

control_frames! {
    /// What the client would like.
    CompressionRequest = COMPRESSION_REQUEST {
        /// Whether it wants compression.
        is_compress: bool,
        /// Algorithms, its favourite first.
        methods: Vec<u32>,
    }

    /// What it gets.
    CompressionDone = COMPRESSION_DONE {
        /// Whether frames may be compressed.
        is_compress: bool,
        /// The algorithm; 0 for none.
        method: u32,
    }
}
