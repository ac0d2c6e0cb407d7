//! Where a volume's bytes are: chunk and offset in it. Defined by CurveBS's `splitor.cpp`.

use crate::mds::Geometry;

/// A part of a request that lies in one chunk, contiguously.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Number of the chunk in the volume.
    pub chunk: u64,
    /// In the chunk.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
    /// Where in the request they are: offset and bytes, in the chunk's order. Several if the volume is striped.
    pub parts: Vec<(usize, usize)>,
}

/// The extents of a request, none larger than `max` bytes, in the order of their first part. All are multiples of the
/// block size if the request and `max` are.
#[must_use]
pub fn extents(geometry: &Geometry, offset: u64, len: usize, max: usize) -> Vec<Extent> {
    let block = geometry.block_size as usize;
    let max = max.clamp(block, geometry.chunk_size as usize) / block * block;
    let mut extents: Vec<Extent> = Vec::new();
    // With stripes, the extent that may grow is one of the last `stripe_count`.
    let mut done = 0;
    while done < len {
        let (chunk, in_chunk, contiguous) = locate(geometry, offset + done as u64);
        let piece = (contiguous as usize).min(len - done);
        let grows = extents
            .iter_mut()
            .rev()
            .take(geometry.stripe_count as usize)
            .find(|extent| {
                extent.chunk == chunk && extent.offset + extent.len == in_chunk && (extent.len as usize) < max
            });
        let part = match grows {
            Some(extent) => {
                let part = piece.min(max - extent.len as usize);
                extent.len += part as u32;
                extent.parts.push((done, part));
                part
            }
            None => {
                let part = piece.min(max);
                extents.push(Extent {
                    chunk,
                    offset: in_chunk,
                    len: part as u32,
                    parts: vec![(done, part)],
                });
                part
            }
        };
        done += part;
    }
    extents
}

/// The chunk of a byte, its offset there, and how many bytes follow it contiguously.
fn locate(geometry: &Geometry, offset: u64) -> (u64, u32, u32) {
    let unit = u64::from(geometry.stripe_unit);
    let count = u64::from(geometry.stripe_count);
    let stripes_per_chunk = u64::from(geometry.chunk_size / geometry.stripe_unit);
    let (block, in_unit) = (offset / unit, offset % unit);
    let (stripe, position) = (block / count, block % count);
    let chunk = stripe / stripes_per_chunk * count + position;
    let in_chunk = (stripe % stripes_per_chunk) * unit + in_unit;
    // Both are less than the chunk size, which is a u32.
    (chunk, in_chunk as u32, (unit - in_unit) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Geometry = Geometry {
        block_size: 4096,
        chunk_size: 16 << 20,
        segment_size: 1 << 30,
        stripe_unit: 16 << 20,
        stripe_count: 1,
    };
    const STRIPED: Geometry = Geometry {
        stripe_unit: 65536,
        stripe_count: 4,
        ..PLAIN
    };

    fn extent(chunk: u64, offset: u32, len: u32, parts: &[(usize, usize)]) -> Extent {
        Extent {
            chunk,
            offset,
            len,
            parts: parts.to_vec(),
        }
    }

    #[test]
    fn a_request_is_split_at_chunks_and_at_the_limit() {
        assert_eq!(
            extents(&PLAIN, (16 << 20) - 32768, 65536, 1 << 20),
            [
                extent(0, (16 << 20) - 32768, 32768, &[(0, 32768)]),
                extent(1, 0, 32768, &[(32768, 32768)])
            ],
            "as the recorded client did at 16744448"
        );
        assert_eq!(
            extents(&PLAIN, 48 << 20, 3 << 19, 1 << 20),
            [
                extent(3, 0, 1 << 20, &[(0, 1 << 20)]),
                extent(3, 1 << 20, 1 << 19, &[(1 << 20, 1 << 19)])
            ]
        );
        assert_eq!(extents(&PLAIN, 64 << 30, 0, 1 << 20), []);
    }

    #[test]
    fn stripes_of_a_chunk_are_gathered() {
        // The recorded client wrote 512 KiB of a volume with stripe unit 64 KiB and count 4.
        let unit = 65536;
        let got = extents(&STRIPED, 0, 8 * unit, 1 << 20);
        let expected: Vec<_> = (0..4)
            .map(|n| {
                extent(
                    n as u64,
                    0,
                    2 * unit as u32,
                    &[(n * unit, unit), ((n + 4) * unit, unit)],
                )
            })
            .collect();
        assert_eq!(got, expected);
        assert_eq!(
            extents(&STRIPED, 0, 8 * unit, unit).len(),
            8,
            "unless the limit is smaller"
        );
    }

    #[test]
    fn a_set_of_striped_chunks_is_followed_by_the_next_set() {
        let set = 4 * (16 << 20);
        assert_eq!(
            extents(&STRIPED, set, 4096, 1 << 20),
            [extent(4, 0, 4096, &[(0, 4096)])]
        );
        assert_eq!(
            extents(&STRIPED, set - 4096, 4096, 1 << 20),
            [extent(3, (16 << 20) - 4096, 4096, &[(0, 4096)])]
        );
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_extent_and_no_two_bytes_share_a_place(
            block in 0u64..200_000, blocks in 1usize..600, max_blocks in 1usize..300, shape in 0usize..4,
        ) {
            let geometry = Geometry {
                stripe_unit: [16 << 20, 4096, 65536, 1 << 20][shape],
                stripe_count: [1, 2, 4, 16][shape],
                ..PLAIN
            };
            let (offset, len) = (block * 4096, blocks * 4096);
            let got = extents(&geometry, offset, len, max_blocks * 4096);
            let mut places = std::collections::BTreeSet::new();
            let mut covered = vec![false; blocks];
            for extent in &got {
                prop_assert!(extent.len as usize <= max_blocks * 4096);
                prop_assert_eq!(extent.len as usize, extent.parts.iter().map(|part| part.1).sum::<usize>());
                let mut at = extent.offset;
                for (start, len) in &extent.parts {
                    for step in (0..*len).step_by(4096) {
                        let number = (start + step) / 4096;
                        prop_assert!(!std::mem::replace(&mut covered[number], true));
                        prop_assert!(places.insert((extent.chunk, at)));
                        prop_assert_eq!(locate(&geometry, offset + (start + step) as u64).0, extent.chunk);
                        prop_assert_eq!(locate(&geometry, offset + (start + step) as u64).1, at);
                        at += 4096;
                    }
                }
            }
            prop_assert!(covered.into_iter().all(|covered| covered));
        }
    }
}
