//! From an object's name to its placement seed (Ceph `src/common/ceph_hash.cc`, `src/include/ceph_hash.h`,
//! `src/include/rados.h`).

/// `CEPH_STR_HASH_LINUX`.
pub(super) const LINUX: u8 = 1;
/// `CEPH_STR_HASH_RJENKINS`, the hash of every pool that is made today.
pub(super) const RJENKINS: u8 = 2;

/// Bob Jenkins' 1996 hash of a byte string, as Ceph places objects by it.
#[must_use]
pub fn ceph_str_hash_rjenkins(data: &[u8]) -> u32 {
    let (mut a, mut b, mut c) = (0x9e37_79b9_u32, 0x9e37_79b9_u32, 0_u32);
    let mut blocks = data.chunks_exact(12);
    for k in &mut blocks {
        a = a.wrapping_add(word(k, 0));
        b = b.wrapping_add(word(k, 4));
        c = c.wrapping_add(word(k, 8));
        (a, b, c) = mix(a, b, c);
    }
    let tail = blocks.remainder();
    // The lowest byte of the third word is the length's.
    c = c.wrapping_add(data.len() as u32);
    a = a.wrapping_add(word(tail, 0));
    b = b.wrapping_add(word(tail, 4));
    c = c.wrapping_add(word(tail, 8) << 8);
    mix(a, b, c).2
}

/// Up to four bytes from `at` on, little-endian, missing ones zero.
fn word(k: &[u8], at: usize) -> u32 {
    k.iter()
        .skip(at)
        .take(4)
        .rev()
        .fold(0, |w, byte| w << 8 | u32::from(*byte))
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    for (x, y, z) in [(13, 8, 13), (12, 16, 5), (3, 10, 15)] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> x);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << y);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> z);
    }
    (a, b, c)
}

/// The Linux dcache hash, which very old pools may have.
#[must_use]
pub fn ceph_str_hash_linux(data: &[u8]) -> u32 {
    data.iter().fold(0_u32, |h, c| {
        let c = u32::from(*c);
        h.wrapping_add(c << 4).wrapping_add(c >> 4).wrapping_mul(11)
    })
}

/// Folds `x` into `0..b` so that growing `b` moves few values; `mask` is the next power of two above `b - 1`,
/// less one.
#[must_use]
pub const fn ceph_stable_mod(x: u32, b: u32, mask: u32) -> u32 {
    if x & mask < b { x & mask } else { x & (mask >> 1) }
}

/// The mask that [`ceph_stable_mod`] wants for `b` groups.
#[must_use]
pub(super) const fn mask_of(b: u32) -> u32 {
    match b {
        0 | 1 => 0,
        _ => u32::MAX >> (b - 1).leading_zeros(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_all_groups_and_no_more_than_needed() {
        let masks: Vec<u32> = [0, 1, 2, 3, 4, 5, 8, 9, 12, u32::MAX].map(mask_of).to_vec();
        assert_eq!(masks, [0, 0, 1, 3, 3, 7, 7, 15, 15, u32::MAX]);
    }

    #[test]
    fn seeds_fold_into_the_groups_that_exist() {
        for b in 1..40 {
            let mask = mask_of(b);
            assert!((0..1000).all(|x| ceph_stable_mod(x, b, mask) < b));
        }
        assert_eq!(ceph_stable_mod(13, 12, 15), 5);
        assert_eq!(ceph_stable_mod(11, 12, 15), 11);
    }
}
