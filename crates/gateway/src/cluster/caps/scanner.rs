//! A cursor over the text of a capability, and the pieces all three grammars share.

use std::net::IpAddr;

use super::CapsError;

/// A position in the text. Alternatives are tried on copies; nothing is consumed by a failed one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, pos: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// The error that names where parsing stopped.
    pub(super) fn error(&self, service: &'static str) -> CapsError {
        CapsError {
            service,
            stopped_at: self.rest().to_owned(),
            text: self.text.to_owned(),
        }
    }

    /// Takes the longest prefix of characters that satisfy `want`; none if it is empty.
    fn take_while(&mut self, want: impl Fn(char) -> bool) -> Option<&'a str> {
        let rest = self.rest();
        let len = rest.find(|c| !want(c)).unwrap_or(rest.len());
        let taken = rest.get(..len).filter(|t| !t.is_empty())?;
        self.pos += len;
        Some(taken)
    }

    /// Skips blanks, if any.
    pub(super) fn skip_spaces(&mut self) {
        self.take_while(|c| c.is_ascii_whitespace());
    }

    /// Skips at least one blank.
    pub(super) fn spaces(&mut self) -> Option<()> {
        self.take_while(|c| c.is_ascii_whitespace()).map(drop)
    }

    /// Takes that very text.
    pub(super) fn literal(&mut self, text: &str) -> Option<()> {
        self.rest().starts_with(text).then(|| self.pos += text.len())
    }

    /// Blanks, then that word.
    pub(super) fn spaced(&mut self, word: &str) -> Option<()> {
        self.attempt(|s| {
            s.spaces()?;
            s.literal(word)
        })
    }

    /// `=` or blanks: what stands between a keyword and its value.
    pub(super) fn equals_or_spaces(&mut self) -> Option<()> {
        self.literal("=").or_else(|| self.spaces())
    }

    /// A quoted string or a word.
    pub(super) fn string(&mut self) -> Option<String> {
        self.quoted(false).or_else(|| self.word())
    }

    /// A quoted string, which may be empty, or a word.
    pub(super) fn maybe_empty_string(&mut self) -> Option<String> {
        self.quoted(true).or_else(|| self.word())
    }

    fn quoted(&mut self, may_be_empty: bool) -> Option<String> {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let inner = rest.get(1..)?;
        let len = inner.find(quote)?;
        if len == 0 && !may_be_empty {
            return None;
        }
        self.pos += len + 2;
        inner.get(..len).map(str::to_owned)
    }

    fn word(&mut self) -> Option<String> {
        self.take_while(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
            .map(str::to_owned)
    }

    /// Runs `parse`; if it fails the position is unchanged.
    pub(super) fn attempt<T>(&mut self, parse: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut copy = *self;
        let value = parse(&mut copy)?;
        *self = copy;
        Some(value)
    }

    /// `network <address>/<prefix length>`, if it follows. The inner `None` is a network that cannot be
    /// parsed and so never matches.
    pub(super) fn network(&mut self) -> Option<Option<Network>> {
        self.attempt(|s| {
            s.spaced("network")?;
            s.spaces()?;
            let text = s.take_while(|c| c.is_ascii_hexdigit() || "/.:[]".contains(c))?;
            Some(Network::parse(text))
        })
    }
}

/// An address range that a grant is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.trim_matches(|c| c == '[' || c == ']').parse().ok()?;
        let prefix = prefix.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Self { address, prefix })
    }

    fn contains(&self, peer: IpAddr) -> bool {
        let masked = |v: u128, bits: u32| v.checked_shr(bits - self.prefix.min(bits)).unwrap_or(0);
        match (self.address, peer) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                masked(a.to_bits().into(), 32) == masked(b.to_bits().into(), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => masked(a.to_bits(), 128) == masked(b.to_bits(), 128),
            _ => false,
        }
    }
}

/// Whether a grant's network, if it names one, admits the peer. A grant with a network admits no peer whose
/// address is unknown.
pub(super) fn network_admits(network: Option<&Option<Network>>, peer: Option<IpAddr>) -> bool {
    match (network, peer) {
        (None, _) => true,
        (Some(Some(net)), Some(peer)) => net.contains(peer),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_range_and_nothing_else() {
        let net = Network::parse("10.1.0.0/16").unwrap();
        assert!(net.contains("10.1.2.3".parse().unwrap()));
        assert!(!net.contains("10.2.2.3".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        assert!(
            Network::parse("0.0.0.0/0")
                .unwrap()
                .contains("1.2.3.4".parse().unwrap())
        );
        assert!(Network::parse("10.1.0.0/33").is_none());
        assert!(
            Network::parse("[fd00::]/8")
                .unwrap()
                .contains("fd12::1".parse().unwrap())
        );
    }
}
