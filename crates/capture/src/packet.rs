//! From a captured packet to its TCP segment: Ethernet (with VLAN tags), Linux cooked, loopback and raw IP; IPv4
//! and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

/// A TCP segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// Sequence number of the first byte of `payload` (of the SYN, if there is one).
    pub seq: u32,
    /// What the sender has received of the other direction.
    pub ack: Option<u32>,
    /// Opens the direction.
    pub syn: bool,
    /// Ends the direction.
    pub fin: bool,
    /// Ends the connection.
    pub rst: bool,
    /// The bytes that were captured.
    pub payload: Bytes,
    /// Bytes behind `payload` that were sent but not captured.
    pub missing: usize,
}

/// Why a packet gives no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NoSegment {
    /// Something else than TCP over IP.
    NotTcp,
    /// A part of an IP packet; these are not put together.
    Fragment,
    /// Cut, or inconsistent, within its headers.
    Malformed,
    /// A link layer that is not known here.
    Link(u32),
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const PROTOCOL_TCP: u8 = 6;

fn be16(data: &[u8], at: usize) -> Result<u16, NoSegment> {
    let raw = data.get(at..).and_then(<[u8]>::first_chunk::<2>);
    raw.map(|raw| u16::from_be_bytes(*raw))
        .ok_or(NoSegment::Malformed)
}

fn be32(data: &[u8], at: usize) -> Result<u32, NoSegment> {
    let raw = data.get(at..).and_then(<[u8]>::first_chunk::<4>);
    raw.map(|raw| u32::from_be_bytes(*raw))
        .ok_or(NoSegment::Malformed)
}

fn byte(data: &[u8], at: usize) -> Result<u8, NoSegment> {
    data.get(at).copied().ok_or(NoSegment::Malformed)
}

/// Reads a packet of link layer `link` (`LINKTYPE_*`); `cut` bytes of its end were not captured.
///
/// # Errors
/// If it holds no TCP segment.
pub fn segment(link: u32, data: &Bytes, cut: usize) -> Result<Segment, NoSegment> {
    match network_layer(link, data)? {
        (ETHERTYPE_IPV4, at) => ipv4(data, at, cut),
        (ETHERTYPE_IPV6, at) => ipv6(data, at, cut),
        _ => Err(NoSegment::NotTcp),
    }
}

/// Type and offset of what the link layer carries.
fn network_layer(link: u32, data: &[u8]) -> Result<(u16, usize), NoSegment> {
    match link {
        // LINKTYPE_ETHERNET
        1 => {
            let mut at = 12;
            while ETHERTYPE_VLAN.contains(&be16(data, at)?) {
                at += 4;
            }
            Ok((be16(data, at)?, at + 2))
        }
        // LINKTYPE_NULL, LINKTYPE_LOOP: an address family in the byte order of either host
        0 | 108 => by_version(data, 4),
        // LINKTYPE_RAW and what systems call it, LINKTYPE_IPV4, LINKTYPE_IPV6
        12 | 14 | 101 | 228 | 229 => by_version(data, 0),
        // LINKTYPE_LINUX_SLL
        113 => Ok((be16(data, 14)?, 16)),
        // LINKTYPE_LINUX_SLL2
        276 => Ok((be16(data, 0)?, 20)),
        other => Err(NoSegment::Link(other)),
    }
}

fn by_version(data: &[u8], at: usize) -> Result<(u16, usize), NoSegment> {
    match byte(data, at)? >> 4 {
        4 => Ok((ETHERTYPE_IPV4, at)),
        6 => Ok((ETHERTYPE_IPV6, at)),
        _ => Err(NoSegment::NotTcp),
    }
}

fn ipv4(data: &Bytes, at: usize, cut: usize) -> Result<Segment, NoSegment> {
    let header = usize::from(byte(data, at)? & 0xf) * 4;
    if header < 20 {
        return Err(NoSegment::Malformed);
    }
    if byte(data, at + 9)? != PROTOCOL_TCP {
        return Err(NoSegment::NotTcp);
    }
    // More fragments, or not the first one.
    if be16(data, at + 6)? & 0x3fff != 0 {
        return Err(NoSegment::Fragment);
    }
    let addr = |at| Ok(IpAddr::V4(Ipv4Addr::from(be32(data, at)?)));
    let ends = (addr(at + 12)?, addr(at + 16)?);
    // Zero where the network card splits packets.
    let end = match usize::from(be16(data, at + 2)?) {
        0 => data.len() + cut,
        total => at + total,
    };
    tcp(data, at + header, end, ends)
}

fn ipv6(data: &Bytes, at: usize, cut: usize) -> Result<Segment, NoSegment> {
    let addr = |at: usize| {
        let raw = data.get(at..).and_then(<[u8]>::first_chunk::<16>);
        raw.map(|raw| IpAddr::V6(Ipv6Addr::from(*raw)))
            .ok_or(NoSegment::Malformed)
    };
    let ends = (addr(at + 8)?, addr(at + 24)?);
    let end = match usize::from(be16(data, at + 4)?) {
        0 => data.len() + cut,
        payload => at + 40 + payload,
    };
    let (mut next, mut at) = (byte(data, at + 6)?, at + 40);
    loop {
        match next {
            PROTOCOL_TCP => return tcp(data, at, end, ends),
            // Hop-by-hop, routing, destination options: each with its length in units of 8 bytes.
            0 | 43 | 60 => {
                next = byte(data, at)?;
                at += 8 + usize::from(byte(data, at + 1)?) * 8;
            }
            44 => return Err(NoSegment::Fragment),
            _ => return Err(NoSegment::NotTcp),
        }
    }
}

/// The segment at `at`, of an IP packet that ends at `end`.
fn tcp(data: &Bytes, at: usize, end: usize, (from, to): (IpAddr, IpAddr)) -> Result<Segment, NoSegment> {
    let header = usize::from(byte(data, at + 12)? >> 4) * 4;
    let flags = byte(data, at + 13)?;
    let start = at + header;
    if header < 20 || start > end {
        return Err(NoSegment::Malformed);
    }
    let captured = end.min(data.len());
    let payload = if start < captured {
        data.slice(start..captured)
    } else {
        Bytes::new()
    };
    Ok(Segment {
        from: SocketAddr::new(from, be16(data, at)?),
        to: SocketAddr::new(to, be16(data, at + 2)?),
        seq: be32(data, at + 4)?,
        ack: if flags & 0x10 != 0 {
            Some(be32(data, at + 8)?)
        } else {
            None
        },
        syn: flags & 2 != 0,
        fin: flags & 1 != 0,
        rst: flags & 4 != 0,
        missing: end - start - payload.len(),
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp_bytes(payload: &[u8]) -> Vec<u8> {
        let mut out = vec![
            0x13, 0x88, 0x0c, 0xe4, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 0, 0, 0, 0, 0, 0,
        ];
        out.extend(payload);
        out
    }

    fn ipv4_bytes(payload: &[u8]) -> Vec<u8> {
        let tcp = tcp_bytes(payload);
        let total = (20 + tcp.len()) as u16;
        let mut out = vec![0x45, 0];
        out.extend(total.to_be_bytes());
        out.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        out.extend(tcp);
        out
    }

    fn ipv6_bytes(payload: &[u8]) -> Vec<u8> {
        let tcp = tcp_bytes(payload);
        let mut out = vec![0x60, 0, 0, 0];
        out.extend(((8 + tcp.len()) as u16).to_be_bytes());
        out.extend([60, 64]);
        out.extend(Ipv6Addr::LOCALHOST.octets());
        out.extend(Ipv6Addr::LOCALHOST.octets());
        out.extend([6, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(tcp);
        out
    }

    fn behind(link: &[u8], packet: Vec<u8>) -> Bytes {
        [link.to_vec(), packet].concat().into()
    }

    #[test]
    fn segments_are_found_behind_every_link_layer() {
        let vlan = b"ddddddssssss\x81\x00\x00\x05\x08\x00";
        let sll2 = b"\x08\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let links: [(u32, &[u8]); 6] = [
            (1, b"ddddddssssss\x08\x00"),
            (1, vlan),
            (113, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\x00"),
            (276, sll2),
            (0, b"\x02\0\0\0"),
            (101, b""),
        ];
        for (link, head) in links {
            let s = segment(link, &behind(head, ipv4_bytes(b"hello")), 0).unwrap();
            assert_eq!(
                (s.from.to_string(), s.to.to_string()),
                ("127.0.0.1:5000".into(), "127.0.0.2:3300".into())
            );
            assert_eq!(
                (s.seq, s.ack, &s.payload[..], s.missing),
                (7, Some(9), &b"hello"[..], 0)
            );
        }
        let s = segment(229, &ipv6_bytes(b"six").into(), 0).unwrap();
        assert_eq!(
            (s.from.to_string(), &s.payload[..]),
            ("[::1]:5000".into(), &b"six"[..])
        );
    }

    #[test]
    fn padding_is_not_payload_and_what_was_cut_is_counted() {
        let mut padded = ipv4_bytes(b"hello");
        padded.extend([0; 6]);
        assert_eq!(segment(101, &padded.into(), 0).unwrap().payload, "hello");
        let cut = Bytes::from(ipv4_bytes(b"hello")).slice(..43);
        let s = segment(101, &cut, 2).unwrap();
        assert_eq!((&s.payload[..], s.missing), (&b"hel"[..], 2));
    }

    #[test]
    fn no_truncation_of_a_packet_panics() {
        for packet in [ipv4_bytes(b"hello"), ipv6_bytes(b"hello")] {
            let packet = Bytes::from(packet);
            for n in 0..packet.len() {
                let _ = segment(101, &packet.slice(..n), packet.len() - n);
            }
        }
        assert_eq!(segment(9999, &Bytes::new(), 0), Err(NoSegment::Link(9999)));
    }
}
