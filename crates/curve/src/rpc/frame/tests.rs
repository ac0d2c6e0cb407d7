use proptest::prelude::*;

use super::*;
use crate::proto::{
    Reply, Request,
    chunk::{ChunkResponse, GetChunkInfoResponse, GetLeaderRequest, GetLeaderResponse, OpType},
    meta::{RpcRequestMeta, RpcResponseMeta},
    namespace::*,
    topology::*,
};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../testdata/", $name, ".bin"))
    };
}

const RECORDED: &[&[u8]] = &[
    golden!("get_file_info_request"),
    golden!("get_file_info_reply"),
    golden!("create_file_request"),
    golden!("create_file_reply"),
    golden!("list_dir_root_request"),
    golden!("list_dir_root_reply"),
    golden!("open_file_request"),
    golden!("open_file_reply"),
    golden!("segment_request"),
    golden!("segment_reply"),
    golden!("copyset_servers_request"),
    golden!("copyset_servers_reply"),
    golden!("get_leader_request"),
    golden!("get_leader_reply"),
    golden!("write_chunk_request"),
    golden!("read_chunk_request"),
    golden!("read_chunk_reply"),
    golden!("chunk_info_request"),
    golden!("chunk_info_reply"),
    golden!("increase_epoch_request"),
    golden!("increase_epoch_reply"),
    golden!("update_epoch_request"),
    golden!("update_epoch_reply"),
    golden!("refresh_session_request"),
    golden!("refresh_session_reply"),
    golden!("cluster_info_request"),
    golden!("cluster_info_reply"),
];

fn decode(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    let mut decoder = Decoder::new(MAX_BODY);
    decoder.buffer().extend_from_slice(bytes);
    decoder.next_frame()
}

fn frame(bytes: &[u8]) -> Frame {
    decode(bytes).expect("frame").expect("whole frame")
}

fn reply<R: Reply>(bytes: &[u8]) -> R {
    R::decode(frame(bytes).payload).expect("message")
}

/// A frame as we would send it.
fn encode(frame: &Frame) -> Vec<u8> {
    let mut bytes = encode_head(&frame.meta, &frame.payload, frame.attachment.len())
        .expect("sendable")
        .to_vec();
    bytes.extend_from_slice(&frame.attachment);
    bytes
}

#[test]
fn recorded_frames_are_read_and_written_back_to_the_byte() {
    for bytes in RECORDED {
        // brpc of the recording also writes fields of the meta that we leave out; what we write reads the same.
        let decoded = frame(bytes);
        assert_eq!(frame(&encode(&decoded)), decoded);
        assert_eq!(decoded.meta.request.is_some(), decoded.meta.response.is_none());
    }
}

#[test]
fn every_truncation_of_a_recorded_frame_waits_for_more() {
    for bytes in RECORDED {
        for len in 0..bytes.len() {
            let mut decoder = Decoder::new(MAX_BODY);
            decoder.buffer().extend_from_slice(&bytes[..len]);
            assert_eq!(decoder.next_frame(), Ok(None));
            assert_eq!(decoder.missing(), (len >= HEADER_LEN).then(|| bytes.len() - len));
            assert_eq!(
                decoder.buffer().len(),
                len,
                "nothing is taken before all is there"
            );
        }
    }
}

#[test]
fn recorded_requests_are_what_we_would_send() {
    let recorded = frame(golden!("get_file_info_request"));
    let meta = recorded.meta.request.expect("request");
    assert_eq!(meta.service_name, GetFileInfoRequest::SERVICE);
    assert_eq!(meta.method_name, GetFileInfoRequest::METHOD);
    let ours = GetFileInfoRequest {
        file_name: "/demo/vol".into(),
        owner: "lab".into(),
        signature: Some(String::new()),
        date: 1_795_187_848_636_850,
    };
    assert_eq!(ours.encode_to_vec(), recorded.payload);

    let recorded = frame(golden!("get_leader_request"));
    assert_eq!(
        recorded.meta.request.expect("request").service_name,
        GetLeaderRequest::SERVICE
    );
    let ours = GetLeaderRequest {
        logic_pool_id: 2,
        copyset_id: 1,
        peer: None,
    };
    assert_eq!(ours.encode_to_vec(), recorded.payload);

    let recorded = frame(golden!("write_chunk_request"));
    let ours = ChunkRequest {
        op_type: OpType::Write.0,
        logic_pool_id: 2,
        copyset_id: 1,
        chunk_id: 321,
        offset: Some(4096),
        size: Some(4096),
        sn: Some(1),
        file_id: Some(10),
        ..Default::default()
    };
    assert_eq!(ours.encode_to_vec(), recorded.payload);
    assert_eq!(recorded.attachment.len(), 4096);
}

#[test]
fn recorded_replies_say_what_the_cluster_said() {
    let info = reply::<FileInfoResponse>(golden!("get_file_info_reply"));
    assert_eq!(info.status(), Some(StatusCode::Ok.0));
    let info = info.file_info.expect("file");
    assert_eq!((info.id, info.length), (Some(10), Some(10 << 30)));
    assert_eq!(
        (info.chunk_size, info.segment_size, info.block_size),
        (Some(16 << 20), Some(1 << 30), Some(4096))
    );
    assert_eq!((info.seq_num, info.epoch), (Some(1), None));

    let segment = reply::<SegmentResponse>(golden!("segment_reply"))
        .page_file_segment
        .expect("segment");
    assert_eq!((segment.logical_pool_id, segment.chunks.len()), (2, 64));
    assert_eq!(
        (segment.chunks[63].chunk_id, segment.chunks[63].copyset_id),
        (384, 4)
    );

    let servers = reply::<CopySetServersResponse>(golden!("copyset_servers_reply"));
    assert_eq!(servers.status(), Some(0));
    assert_eq!(servers.cs_info.len(), 64, "one for each time it was asked for");
    assert_eq!(servers.cs_info[0].cs_locs[2].port, Some(8200));

    let leader = reply::<GetLeaderResponse>(golden!("get_leader_reply"))
        .leader
        .expect("leader");
    assert_eq!(leader.address.as_deref(), Some("127.0.0.1:8200:0"));

    let read = frame(golden!("read_chunk_reply"));
    assert_eq!(read.attachment.len(), 4096);
    assert_eq!(
        ChunkResponse::decode(read.payload).expect("message").status,
        Some(0)
    );

    let versions = reply::<GetChunkInfoResponse>(golden!("chunk_info_reply"));
    assert_eq!(versions.chunk_sn, [2, 1]);

    let epoch = reply::<IncreaseFileEpochResponse>(golden!("increase_epoch_reply"));
    assert_eq!(epoch.file_info.expect("file").epoch, Some(1));
    assert_eq!(epoch.cs_locs.len(), 3);

    let opened = reply::<OpenFileResponse>(golden!("open_file_reply"))
        .proto_session
        .expect("session");
    assert_eq!(
        (opened.session_id.as_deref(), opened.lease_time),
        (Some(""), Some(5_000_000))
    );

    let listed = reply::<FileListResponse>(golden!("list_dir_root_reply"));
    assert_eq!(listed.file_info.len(), 3);
}

fn request_meta(service: &str, method: &str) -> RpcMeta {
    RpcMeta {
        request: Some(RpcRequestMeta {
            service_name: service.into(),
            method_name: method.into(),
            log_id: None,
        }),
        correlation_id: Some(1),
        ..Default::default()
    }
}

#[test]
fn a_write_whose_attachment_is_not_its_size_is_never_encoded() {
    let meta = request_meta(chunk_service::NAME, "WriteChunk");
    let request = |size| {
        ChunkRequest {
            op_type: OpType::Write.0,
            size,
            ..Default::default()
        }
        .encode_to_vec()
    };
    assert!(encode_head(&meta, &request(Some(4096)), 4096).is_ok());
    assert!(encode_head(&meta, &request(Some(0)), 0).is_ok());
    for (size, attachment) in [
        (Some(4096), 4095),
        (Some(4096), 0),
        (Some(4096), 8192),
        (None, 0),
        (None, 4096),
    ] {
        assert_eq!(
            encode_head(&meta, &request(size), attachment),
            Err(Unsendable::WriteSize { size, attachment })
        );
    }
    assert!(
        encode_head(&meta, b"\xff", 0).is_err(),
        "what does not parse is not sent either"
    );
}

#[test]
fn more_than_a_server_takes_is_not_encoded() {
    let meta = request_meta("a.B", "c");
    assert!(matches!(
        encode_head(&meta, &[], MAX_BODY),
        Err(Unsendable::TooLarge(_))
    ));
}

fn raw(body: u32, meta: u32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.put_u32(body);
    bytes.put_u32(meta);
    bytes.put_slice(rest);
    bytes
}

#[test]
fn lies_about_lengths_are_found_before_anything_is_allocated() {
    assert_eq!(
        decode(&raw(u32::MAX, 10, &[])),
        Err(FrameError::BodyTooLarge {
            len: u32::MAX as usize,
            max: MAX_BODY
        })
    );
    assert_eq!(
        decode(&raw(10, 11, &[])),
        Err(FrameError::MetaSize { meta: 11, body: 10 })
    );
    assert_eq!(decode(b"HTTP/1.1 200 OK"), Err(FrameError::Magic));
    assert_eq!(
        decode(b"PRX"),
        Err(FrameError::Magic),
        "known before the header is complete"
    );
    let meta = |attachment_size| {
        RpcMeta {
            correlation_id: Some(1),
            attachment_size,
            ..Default::default()
        }
        .encode_to_vec()
    };
    for (attachment, rest) in [(Some(-1), 0), (Some(1), 0), (Some(i32::MAX), 3)] {
        let mut body = meta(attachment);
        let len = body.len();
        body.resize(len + rest, 0);
        assert_eq!(
            decode(&raw(body.len() as u32, len as u32, &body)),
            Err(FrameError::AttachmentSize {
                attachment: attachment.unwrap_or(0),
                rest
            })
        );
    }
    assert_eq!(decode(&raw(0, 0, &[])), Err(FrameError::NoCorrelationId));
}

proptest! {
    #[test]
    fn frames_round_trip_however_they_arrive(
        id in any::<i64>(), code in proptest::option::of(any::<i32>()), payload in proptest::collection::vec(any::<u8>(), 0..100),
        attachment in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..50,
    ) {
        let sent = Frame {
            meta: RpcMeta {
                response: Some(RpcResponseMeta { error_code: code, error_text: None }),
                correlation_id: Some(id),
                attachment_size: (!attachment.is_empty()).then_some(attachment.len() as i32),
                ..Default::default()
            },
            payload: payload.into(),
            attachment: attachment.into(),
        };
        let mut bytes = encode(&sent);
        bytes.extend_from_slice(&encode(&sent));
        let mut decoder = Decoder::new(MAX_BODY);
        let mut received = Vec::new();
        for piece in bytes.chunks(step) {
            decoder.buffer().extend_from_slice(piece);
            while let Some(frame) = decoder.next_frame().expect("frame") {
                received.push(frame);
            }
        }
        prop_assert_eq!(received, vec![sent.clone(), sent]);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
        let mut input = if magic { MAGIC.to_vec() } else { Vec::new() };
        input.extend_from_slice(&bytes);
        let mut decoder = Decoder::new(MAX_BODY);
        decoder.buffer().extend_from_slice(&input);
        while let Ok(Some(_)) = decoder.next_frame() {}
        prop_assert!(decoder.buffer().capacity() <= input.len().max(64) * 2);
    }

    #[test]
    fn damaged_frames_never_panic(which in 0..RECORDED.len(), at in any::<proptest::sample::Index>(), value in any::<u8>()) {
        let mut bytes = RECORDED[which].to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(Some(frame)) = decode(&bytes) {
            // Whatever it is now, messages either parse or do not.
            let _ = FileInfoResponse::decode(frame.payload.clone());
            let _ = CopySetServersResponse::decode(frame.payload.clone());
            let _ = ChunkResponse::decode(frame.payload);
        }
    }
}
