use super::*;
use crate::{
    error::{Error, Incompatible},
    v2::{FrameReader, FrameWriter, Limits, Output, Progress, Tag, crypto::Gcm},
};

const MAX: u32 = 1 << 20;

fn compressor(algorithm: Algorithm) -> Compressor {
    Compressor::new(algorithm, 0).unwrap()
}

fn unpack(algorithm: Algorithm, packed: &[u8], max: u32) -> Result<Bytes> {
    Decompressor::new(algorithm).unwrap().segment(3, packed, max)
}

/// Text that packs well, noise that does not, and nothing but one byte.
fn samples() -> Vec<Vec<u8>> {
    let text: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| format!("{} ", n % 97).into_bytes())
        .collect();
    let mut noise = vec![0; 70_000];
    rand::fill(&mut noise[..]);
    vec![
        text,
        noise,
        vec![b'x'],
        vec![0; 300_000],
        b"0123456789abc".to_vec(),
    ]
}

#[test]
fn what_is_packed_unpacks_to_the_same_bytes() {
    for algorithm in Algorithm::SPOKEN {
        let mut compressor = compressor(algorithm);
        for sample in samples() {
            let packed = compressor.segment(&sample).unwrap();
            assert_eq!(unpack(algorithm, &packed, MAX).unwrap(), sample, "{algorithm:?}");
        }
    }
}

#[test]
fn bytes_written_after_the_formats_documents_unpack() {
    // "rbd" sixteen times.
    let expected = b"rbd".repeat(16);
    let lz4 = [
        &[1, 0, 0, 0, 48, 0, 0, 0, 14, 0, 0, 0][..],
        // Three literals and a match of 40 bytes, three back; then five literals.
        &[
            0x3f,
            b'r',
            b'b',
            b'd',
            3,
            0,
            40 - 4 - 15,
            0x50,
            b'd',
            b'r',
            b'b',
            b'd',
            b'r',
        ][..],
    ];
    let mut lz4 = lz4.concat();
    // The last literals must be what comes at that place.
    let tail = &expected[43..];
    let at = lz4.len() - 5;
    lz4[at..].copy_from_slice(tail);
    lz4[8] = (lz4.len() - 12) as u8;
    assert_eq!(unpack(Algorithm::LZ4, &lz4, MAX).unwrap(), expected);
    // Length 48; a literal of 3; a copy of 45 bytes, three back.
    let snappy = [48, 0x08, b'r', b'b', b'd', (45 - 1) << 2 | 2, 3, 0];
    assert_eq!(unpack(Algorithm::SNAPPY, &snappy, MAX).unwrap(), expected);
    // A frame with a single raw block.
    let mut zstd = vec![48, 0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 48, 0x81, 0x01, 0x00];
    zstd.extend_from_slice(&expected);
    assert_eq!(unpack(Algorithm::ZSTD, &zstd, MAX).unwrap(), expected);
}

#[test]
fn blocks_of_lz4_may_refer_to_the_ones_before() {
    let (first, second) = (
        b"0123456789abcdef0123456789abcdef".as_slice(),
        b"0123456789abcdef0123456789abcdef!".as_slice(),
    );
    let one = lz4_flex::block::compress(first);
    let two = lz4_flex::block::compress_with_dict(second, first);
    assert!(
        two.len() < lz4_flex::block::compress(second).len(),
        "it does refer"
    );
    let mut packed = 2_u32.to_le_bytes().to_vec();
    for (plain, block) in [(first, &one), (second, &two)] {
        packed.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        packed.extend_from_slice(&(block.len() as u32).to_le_bytes());
    }
    packed.extend_from_slice(&one);
    packed.extend_from_slice(&two);
    assert_eq!(
        unpack(Algorithm::LZ4, &packed, MAX).unwrap(),
        [first, second].concat()
    );
}

#[test]
fn every_truncation_and_any_garbage_is_an_error() {
    for algorithm in Algorithm::SPOKEN {
        let packed = compressor(algorithm).segment(&samples()[0][..2000]).unwrap();
        for n in 1..packed.len() {
            let result = unpack(algorithm, &packed[..n], MAX);
            assert_eq!(
                result.unwrap_err().label(),
                "malformed",
                "{algorithm:?} cut to {n}"
            );
        }
        for seed in 0..2000_usize {
            let mut bad = packed.to_vec();
            let len = bad.len();
            rand::fill(&mut bad[seed % len..(seed % len + 3).min(len)]);
            if let Ok(other) = unpack(algorithm, &bad, MAX) {
                assert!(other.len() <= MAX as usize);
            }
        }
    }
}

#[test]
fn a_length_beyond_the_bound_is_refused_before_anything_is_unpacked() {
    let too_long = |len| {
        Error::from(Misbehaved::SegmentTooLong {
            segment: 3,
            len,
            max: MAX,
        })
    };
    for algorithm in Algorithm::SPOKEN {
        // A bomb: small on the wire, and honest about its length.
        let bomb = compressor(algorithm).segment(&vec![0; MAX as usize + 1]).unwrap();
        assert!(bomb.len() < MAX as usize / 15);
        assert_eq!(
            unpack(algorithm, &bomb, MAX),
            Err(too_long(MAX + 1)),
            "{algorithm:?}"
        );
        assert!(unpack(algorithm, &bomb, MAX + 1).is_ok());
    }
    let many_blocks = [&2_u32.to_le_bytes()[..], &[0xff; 16][..]].concat();
    assert_eq!(unpack(Algorithm::LZ4, &many_blocks, MAX), Err(too_long(u32::MAX)));
}

#[test]
fn a_length_that_is_a_lie_is_told() {
    for algorithm in Algorithm::SPOKEN {
        let packed = compressor(algorithm).segment(&[7; 200]).unwrap();
        let at = if algorithm == Algorithm::LZ4 { 4 } else { 0 };
        // Of snappy's number of two bytes, the lower.
        for lie in [packed[at] - 1, packed[at] + 1] {
            let mut bad = packed.to_vec();
            bad[at] = lie;
            assert_eq!(
                unpack(algorithm, &bad, MAX).unwrap_err().label(),
                "malformed",
                "{algorithm:?}"
            );
        }
    }
    // Lengths that no so short a block can come to: nothing is allocated for them.
    let bound = Bound {
        number: 0,
        max: u32::MAX,
    };
    assert_eq!(bound.room(1 << 31, 100, 255), Ok(None));
}

/// A message's frame and what is read of it.
fn through(
    algorithm: Option<Algorithm>,
    secure: bool,
    min_size: usize,
    data: &Bytes,
) -> (usize, Result<Progress<crate::v2::Frame>>) {
    let secret = [7; 64];
    let (mut reader, mut writer) = if secure {
        let (_, tx) = Gcm::pair(&secret, true).unwrap();
        let (rx, _) = Gcm::pair(&secret, false).unwrap();
        (FrameReader::secure(rx), FrameWriter::secure(tx))
    } else {
        (FrameReader::default(), FrameWriter::default())
    };
    writer.compress(Algorithm::ZSTD, min_size);
    if let Some(algorithm) = algorithm {
        reader.decompress(algorithm);
        writer.compress(algorithm, min_size);
    }
    let mut out = Output::default();
    let pieces = [data.slice(..data.len() / 2), data.slice(data.len() / 2..)];
    writer.put(
        Tag::MESSAGE,
        &[1; 41],
        [&[Bytes::from_static(b"front")], &[], &pieces],
        &mut out,
    );
    let len = out.len();
    let mut rx = BytesMut::from(&out.take()[..]);
    (len, reader.next(&mut rx, &Limits::default()))
}

#[test]
fn frames_are_packed_segment_by_segment_in_crc_and_in_secure_mode() {
    let data = Bytes::from(samples().swap_remove(0));
    for secure in [false, true] {
        for algorithm in Algorithm::SPOKEN {
            let (len, frame) = through(Some(algorithm), secure, 1024, &data);
            assert!(len < data.len(), "{algorithm:?}");
            let Ok(Progress::Ready(frame)) = frame else {
                panic!("{algorithm:?}");
            };
            assert_eq!(frame.segments[0], [1; 41][..]);
            assert_eq!(frame.segments[1], b"front"[..]);
            assert_eq!(frame.segments[2], b""[..]);
            assert_eq!(frame.segments[3], data);
        }
    }
}

#[test]
fn small_frames_go_as_they_are() {
    let data = Bytes::from(vec![0; 977]);
    // 41 + 5 + 977 bytes of segments.
    let (len, frame) = through(Some(Algorithm::LZ4), false, 1024, &data);
    assert!(len > 1023 && frame.is_ok());
    let (len, frame) = through(Some(Algorithm::LZ4), false, 1023, &data);
    assert!(len < 300 && frame.is_ok(), "{len}");
}

#[test]
fn a_compressed_frame_that_was_not_agreed_on_is_refused() {
    let (_, frame) = through(None, false, 0, &Bytes::from(vec![0; 5000]));
    assert_eq!(frame, Err(Incompatible::Compression.into()));
}

#[test]
fn a_frame_packed_in_another_way_than_agreed_on_is_malformed() {
    let mut out = Output::default();
    let mut writer = FrameWriter::default();
    writer.compress(Algorithm::SNAPPY, 0);
    writer.put_control(Tag::KEEPALIVE2, &[0; 8], &mut out);
    for algorithm in [Algorithm::LZ4, Algorithm::ZSTD] {
        let mut reader = FrameReader::default();
        reader.decompress(algorithm);
        out.pieces().for_each(drop);
        let bytes: Vec<u8> = out.pieces().flat_map(|p| p.to_vec()).collect();
        let result = reader.next(&mut BytesMut::from(&bytes[..]), &Limits::default());
        assert_eq!(result, Err(Malformed::Compressed(algorithm.name()).into()));
    }
}

/// Frames of a client of Reef 18.2.7 (Debian 13: liblz4 1.9.4, libzstd as Ceph carries it, libsnappy 1.1.9) that writes an
/// object, recorded with `ms_osd_compress_mode = force` and each algorithm.
const OF_REEF: [(Algorithm, &[u8]); 3] = [
    (Algorithm::LZ4, include_bytes!("../../../testdata/reef-lz4.frame")),
    (
        Algorithm::ZSTD,
        include_bytes!("../../../testdata/reef-zstd.frame"),
    ),
    (
        Algorithm::SNAPPY,
        include_bytes!("../../../testdata/reef-snappy.frame"),
    ),
];

#[test]
fn recorded_frames_of_a_stock_client_unpack_to_what_it_wrote() {
    let written: String = (0..180)
        .map(|n| format!("line {} of what a client writes\n", n % 37))
        .collect();
    for (algorithm, recorded) in OF_REEF {
        let mut reader = FrameReader::default();
        reader.decompress(algorithm);
        let frame = reader.next(&mut BytesMut::from(recorded), &Limits::default());
        let Ok(Progress::Ready(frame)) = frame else {
            panic!("{algorithm:?}: {frame:?}");
        };
        assert_eq!(frame.tag, Tag::MESSAGE);
        assert_eq!(frame.segments[0].len(), 41);
        assert_eq!(frame.segments[3], written.as_bytes(), "{algorithm:?}");
        // As its sender would have sent it without: the same, packed again by us, unpacks too.
        let mut out = Output::default();
        let mut writer = FrameWriter::default();
        writer.compress(algorithm, 0);
        let [header, front, middle, data] = frame.segments.clone();
        writer.put(frame.tag, &header, [&[front], &[middle], &[data]], &mut out);
        assert!(
            out.len() < recorded.len() * 11 / 10,
            "{algorithm:?} {}",
            out.len()
        );
        let again = reader.next(&mut BytesMut::from(&out.take()[..]), &Limits::default());
        assert_eq!(again, Ok(Progress::Ready(frame)));
    }
}
