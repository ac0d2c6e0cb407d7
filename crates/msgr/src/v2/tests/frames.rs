//! Frames: truncated, damaged, lying.

use bytes::{BufMut, Bytes, BytesMut};

use super::*;
use crate::{
    error::{Malformed, Misbehaved},
    v2::crypto::Gcm,
};

const SECRET: [u8; 64] = [7; 64];

fn codecs(secure: bool) -> (FrameReader, FrameWriter) {
    if !secure {
        return (FrameReader::default(), FrameWriter::default());
    }
    let (_, tx) = Gcm::pair(&SECRET, true).unwrap();
    let (rx, _) = Gcm::pair(&SECRET, false).unwrap();
    (FrameReader::secure(rx), FrameWriter::secure(tx))
}

fn message(secure: bool, lens: [usize; 4]) -> Bytes {
    let mut out = Output::default();
    let piece = |n: usize| [Bytes::from(vec![n as u8; lens[n]])];
    let (a, b, c) = (piece(1), piece(2), piece(3));
    codecs(secure)
        .1
        .put(Tag::MESSAGE, &vec![0; lens[0]], [&a, &b, &c], &mut out);
    assert_eq!(out.pieces().map(Bytes::len).sum::<usize>(), out.len());
    out.take()
}

fn read(secure: bool, bytes: &[u8]) -> crate::Result<Progress<Frame>> {
    codecs(secure)
        .0
        .next(&mut BytesMut::from(bytes), &Limits::default())
}

#[test]
fn frames_round_trip_and_truncated_ones_wait_for_more() {
    for secure in [false, true] {
        for lens in [
            [41, 0, 0, 0],
            [41, 5, 0, 0],
            [41, 0, 0, 5],
            [100, 16, 3, 40],
            [0, 0, 1, 0],
            [48, 0, 0, 3000],
        ] {
            let bytes = message(secure, lens);
            let Ok(Progress::Ready(frame)) = read(secure, &bytes) else {
                panic!("{secure} {lens:?}");
            };
            for (n, segment) in frame.segments.iter().enumerate() {
                assert_eq!(segment, &vec![n as u8; lens[n]]);
            }
            for n in 0..bytes.len().min(300) {
                match read(secure, &bytes[..n]) {
                    Ok(Progress::Need(more)) => assert!(more <= bytes.len() - n),
                    other => panic!("{secure} {lens:?} cut to {n}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn any_flipped_bit_is_noticed() {
    for secure in [false, true] {
        let bytes = message(secure, [41, 8, 0, 8]);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            match read(secure, &bad) {
                Err(_) => {}
                // Only the reserved half of the epilogue's status means nothing.
                Ok(Progress::Ready(_)) if !secure => {
                    assert!(bit / 8 == bytes.len() - 13 && bit % 8 >= 4, "{bit}");
                }
                other => panic!("{secure} bit {bit}: {other:?}"),
            }
        }
    }
}

#[test]
fn an_aborted_frame_is_skipped() {
    let mut bytes = message(false, [41, 8, 0, 0]).to_vec();
    let at = bytes.len() - 13;
    bytes[at] = 0x1;
    bytes.extend_from_slice(&message(false, [41, 0, 0, 2]));
    let Ok(Progress::Ready(frame)) = read(false, &bytes) else {
        panic!()
    };
    assert_eq!(frame.segments[3].len(), 2);
    bytes[at] = 0x7;
    assert_eq!(read(false, &bytes), Err(Malformed::LateStatus(7).into()));
}

fn preamble(edit: impl FnOnce(&mut [u8])) -> BytesMut {
    let mut bytes = BytesMut::new();
    let preamble = Preamble {
        tag: Tag::MESSAGE,
        count: 4,
        compressed: false,
        segments: [(41, 8), (16, 8), (0, 8), (100, 4096)],
    };
    preamble.put(&mut bytes);
    edit(&mut bytes);
    let crc = encoding::codec::ceph_crc32c(0, &bytes[..28]);
    bytes.truncate(28);
    bytes.put_u32_le(crc);
    bytes
}

#[test]
fn lying_preambles_are_refused_before_anything_is_read_for_them() {
    let refused = |edit: fn(&mut [u8])| read(false, &preamble(edit)).unwrap_err();
    assert_eq!(refused(|b| b[1] = 0), Malformed::SegmentCount(0).into());
    assert_eq!(refused(|b| b[1] = 5), Malformed::SegmentCount(5).into());
    assert_eq!(refused(|b| b[20..24].fill(0)), Malformed::EmptyLastSegment.into());
    assert_eq!(refused(|b| b[0] = 99), Malformed::UnknownTag(99).into());
    assert_eq!(refused(|b| b[0] = 1), Malformed::ControlSegments(4).into());
    let too_long = Misbehaved::SegmentTooLong {
        segment: 3,
        len: u32::MAX,
        max: 256 << 20,
    };
    assert_eq!(refused(|b| b[20..24].fill(0xff)), too_long.into());
    let mut damaged = preamble(|_| ());
    damaged[31] ^= 1;
    assert_eq!(read(false, &damaged), Err(Malformed::PreambleCrc.into()));
}

#[test]
fn bulk_data_is_queued_and_received_without_copying() {
    let data = Bytes::from(vec![5; 100_000]);
    let mut out = Output::default();
    FrameWriter::default().put(
        Tag::MESSAGE,
        &[0; 41],
        [&[], &[], std::slice::from_ref(&data)],
        &mut out,
    );
    assert!(out.pieces().any(|p| p.as_ptr() == data.as_ptr()));
    let bytes = out.take();
    let mut rx = BytesMut::from(&bytes[..]);
    let at = rx.as_ptr() as usize;
    let Ok(Progress::Ready(frame)) = FrameReader::default().next(&mut rx, &Limits::default()) else {
        panic!()
    };
    assert_eq!(frame.segments[3].as_ptr() as usize, at + 32 + 41 + 4);
}

#[test]
fn frames_of_v2_0_round_trip_and_damaged_or_truncated_ones_do_not_pass() {
    let read =
        |bytes: &[u8]| FrameReader::crc(Revision::V20).next(&mut BytesMut::from(bytes), &Limits::default());
    for lens in [[41, 0, 0, 0], [41, 5, 3, 0], [0, 0, 0, 5], [41, 0, 0, 3000]] {
        let mut out = Output::default();
        let piece = |n: usize| [Bytes::from(vec![n as u8; lens[n]])];
        let (a, b, c) = (piece(1), piece(2), piece(3));
        FrameWriter::crc(Revision::V20).put(Tag::MESSAGE, &vec![0; lens[0]], [&a, &b, &c], &mut out);
        let bytes = out.take();
        // A preamble, and the epilogue that v2.0 always has.
        assert_eq!(bytes.len(), 32 + lens.iter().sum::<usize>() + 17);
        let Ok(Progress::Ready(frame)) = read(&bytes) else {
            panic!("{lens:?}")
        };
        for (n, segment) in frame.segments.iter().enumerate() {
            assert_eq!(segment, &vec![n as u8; lens[n]]);
        }
        let body = 32..bytes.len() - 17;
        for at in body.step_by(1 + lens[3] / 10) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_err(), "{lens:?} {at}");
        }
        for n in (0..bytes.len()).step_by(1 + lens[3] / 10) {
            assert!(matches!(read(&bytes[..n]), Ok(Progress::Need(_))));
        }
        let mut aborted = bytes.to_vec();
        let epilogue = aborted.len() - 17;
        aborted[epilogue] = 1;
        assert!(
            matches!(read(&aborted), Ok(Progress::Need(_))),
            "skipped, and another awaited"
        );
    }
}
