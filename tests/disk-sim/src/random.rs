//! Numbers that are the same for the same seed.

/// A generator of numbers: SplitMix64, or what the bytes of an input say.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
    bytes: Option<std::vec::IntoIter<u8>>,
}

impl Random {
    /// The generator of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            bytes: None,
        }
    }

    /// The generator that has each choice made by the next bytes, for a fuzzer to choose. Behind the last all are 0.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            state: 0,
            bytes: Some(Vec::from(bytes).into_iter()),
        }
    }

    /// Whether there are no more bytes.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.bytes.as_ref().is_some_and(|bytes| bytes.len() == 0)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        let chosen = self.bytes.as_mut().and_then(Iterator::next);
        self.state = self
            .state
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(chosen.unwrap_or(0).into());
        let x = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        let Some(bytes) = &mut self.bytes else {
            return self.number() % end;
        };
        let mut number = 0;
        let mut reach = 1;
        while reach < end {
            number = number << 8 | u64::from(bytes.next().unwrap_or(0));
            reach = reach.saturating_mul(256);
        }
        number % end
    }

    /// True once in `n` times; never if that is 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }
}
