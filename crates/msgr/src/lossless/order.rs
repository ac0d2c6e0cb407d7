//! Which of two connections wins when both sides connect at the same time.

use std::{cmp::Ordering, net::SocketAddr};

use encoding::types::EntityAddr;

/// The order of addresses that both sides must agree on: that of their bytes in memory (`entity_addr_t` in Ceph
/// `src/msg/msg_types.h`).
pub(crate) fn order(a: &EntityAddr, b: &EntityAddr) -> Ordering {
    in_memory(a).cmp(&in_memory(b))
}

fn in_memory(addr: &EntityAddr) -> [u8; 36] {
    let mut raw = [0; 36];
    raw[..4].copy_from_slice(&addr.kind.0.to_le_bytes());
    raw[4..8].copy_from_slice(&addr.nonce.to_le_bytes());
    let (family, port): (u16, u16) = match addr.socket {
        None => return raw,
        Some(SocketAddr::V4(v4)) => {
            raw[12..16].copy_from_slice(&v4.ip().octets());
            (2, v4.port())
        }
        Some(SocketAddr::V6(v6)) => {
            raw[12..16].copy_from_slice(&v6.flowinfo().to_be_bytes());
            raw[16..32].copy_from_slice(&v6.ip().octets());
            raw[32..].copy_from_slice(&v6.scope_id().to_le_bytes());
            (10, v6.port())
        }
    };
    raw[8..10].copy_from_slice(&family.to_le_bytes());
    raw[10..12].copy_from_slice(&port.to_be_bytes());
    raw
}
