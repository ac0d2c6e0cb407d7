//! What the server takes of clients and of strangers.

use std::sync::Arc;

use msgr::{Gate, GateLimits, budget::Budget};

/// Bounds that hold for all listeners together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections, handshakes, and refused attempts to authenticate.
    pub gate: GateLimits,
    /// Bytes that one session may hold.
    pub session_memory: usize,
    /// Bytes that all sessions that hold much may hold together.
    pub memory: usize,
}

impl ServerLimits {
    /// What lets connections in.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        Arc::new(Gate::new(self.gate))
    }

    /// What sessions may hold.
    #[must_use]
    pub fn budget(&self) -> Arc<Budget> {
        Arc::new(Budget::new(self.session_memory, self.memory))
    }
}

/// A number of bytes, with K, M or G for KiB, MiB or GiB.
pub(super) fn parse_bytes(text: &str) -> Option<usize> {
    let shift = match text.chars().last()? {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => return text.parse().ok(),
    };
    let number: usize = text.get(..text.len() - 1)?.parse().ok()?;
    number.checked_mul(1 << shift)
}

/// The least journal that requests can do with, in bytes: a transaction may be an eighth of it.
pub const LEAST_JOURNAL: u64 = 8 << 20;

/// From there to the most that the store takes.
pub(super) fn parse_journal_size(text: &str) -> Option<u64> {
    let bytes = parse_bytes(text)? as u64;
    (LEAST_JOURNAL..=16 << 30).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_have_a_unit() {
        assert_eq!(parse_bytes("4096"), Some(4096));
        assert_eq!(parse_bytes("100M"), Some(100 << 20));
        assert_eq!(parse_bytes("2G"), Some(2 << 30));
        for bad in ["", "M", "1T", "-1", "99999999999G", "1.5M"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }
}
