//! Class methods with arguments from the network, one after the other on one object.

use bytes::Bytes;

use crate::{bounded_beside, take};

#[path = "../../crates/cls/tests/cls/memory.rs"]
#[allow(
    dead_code,
    reason = "made for the tests of the crate, of which these are a few"
)]
mod memory;

/// Calls of one input, at most.
const CALLS: usize = 32;

/// Each call copies the object; of one with so many bytes a few calls say as much as many, which take seconds.
const LARGE: usize = 1 << 20;
const LARGE_CALLS: usize = 3;

/// What few bytes may ask for: an object map of as many objects as Ceph allows, 256 million with two bits each, which is held
/// four times: as the object, as the object that the call changes, decoded, and encoded again.
const OBJECT_MAP: usize = 4 * 256_000_000 / 4;

/// An input for the target: for each call the number of the method in the table (16 bits), the length of its
/// arguments (16 bits), the arguments; little-endian.
#[must_use]
pub fn input(calls: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (method, arguments) in calls {
        out.extend_from_slice(&method.to_le_bytes());
        out.extend_from_slice(&u16::try_from(arguments.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(arguments);
    }
    out
}

/// Runs one input.
pub fn run(data: &[u8]) {
    bounded_beside(OBJECT_MAP, data.len(), || run_unbounded(data));
}

fn run_unbounded(data: &[u8]) {
    let mut data = data;
    let table = cls::table();
    let mut object = memory::Object::absent();
    let mut large = 0;
    for _ in 0..CALLS {
        large += usize::from(object.data.len() > LARGE);
        if large > LARGE_CALLS {
            return;
        }
        let (Some(method), Some(len)) = (take(&mut data), take(&mut data)) else {
            return;
        };
        let Some(method) = table.get(usize::from(u16::from_le_bytes(method)) % table.len().max(1)) else {
            return;
        };
        let len = usize::from(u16::from_le_bytes(len)).min(data.len());
        let (arguments, rest) = data.split_at(len);
        data = rest;
        let _ = object.call_raw(
            &format!("{}.{}", method.class, method.name),
            Bytes::copy_from_slice(arguments),
        );
    }
}
