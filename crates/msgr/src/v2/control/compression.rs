//! Negotiating compression, between peers that both announce it in their banners: once the client is authenticated it
//! asks, and the server answers.

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
