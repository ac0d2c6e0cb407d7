//! Further listeners: `IP:PORT[,max-msgr=VERSION][,mask-features=NAME+NAME]`, several separated by semicolons.

use std::net::SocketAddr;

use encoding::Features;

use super::{MaxMsgr, parse_features, parse_max_msgr};

/// Ports beside the usual ones at which all daemons are reached too, with restrictions of their own: clients that come
/// in there are given maps with the addresses there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The first of a run of ports.
    pub at: SocketAddr,
    /// The newest messenger protocol there; none if it is that of the usual ports.
    pub max_msgr: Option<MaxMsgr>,
    /// Features not offered there; none if they are those of the usual ports.
    pub mask_features: Option<Features>,
}

/// The address `n` ports further.
#[must_use]
pub fn offset(mut at: SocketAddr, n: u16) -> SocketAddr {
    at.set_port(at.port().saturating_add(n));
    at
}

/// What stands between two listeners in a variable, and internally.
pub(super) const SEPARATOR: &str = ";";

/// All listeners in a text; none if one is not understood.
pub(super) fn parse(text: &str) -> Option<Vec<Listener>> {
    if text == "none" {
        return Some(Vec::new());
    }
    text.split(SEPARATOR).map(|one| parse_one(one.trim())).collect()
}

fn parse_one(text: &str) -> Option<Listener> {
    let mut parts = text.split(',').map(str::trim);
    let mut listener = Listener {
        at: parts.next()?.parse().ok()?,
        max_msgr: None,
        mask_features: None,
    };
    for part in parts {
        // An option that is given twice is a mistake.
        match part.split_once('=')? {
            ("max-msgr", version) if listener.max_msgr.is_none() => {
                listener.max_msgr = Some(parse_max_msgr(version)?);
            }
            ("mask-features", names) if listener.mask_features.is_none() => {
                listener.mask_features = Some(parse_features(names, '+')?);
            }
            _ => return None,
        }
    }
    Some(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_an_address_and_its_restrictions() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = "127.0.0.1:7000,max-msgr=v1,mask-features=MSG_AUTH+CEPHX_V2; 127.0.0.1:7100";
        let both = [
            Listener {
                at: at(7000),
                max_msgr: Some(MaxMsgr::V1),
                mask_features: Some(Features(1 << 23 | 1 << 61)),
            },
            Listener {
                at: at(7100),
                max_msgr: None,
                mask_features: None,
            },
        ];
        assert_eq!(parse(text).unwrap(), both);
        assert_eq!(parse("none").unwrap(), []);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "localhost:7000",
            "127.0.0.1",
            "127.0.0.1:7000,max-msgr=v3",
            "127.0.0.1:7000,max-msgr",
            "127.0.0.1:7000,modes=crc",
            "127.0.0.1:7000,max-msgr=v1,max-msgr=v1",
            "127.0.0.1:7000,mask-features=NOTHING",
            "127.0.0.1:7000;",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
