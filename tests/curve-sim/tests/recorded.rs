//! The recorded session of a real cluster, played to the simulator: the same requests get the same replies.
//!
//! `testdata/session.rpc.gz` holds all frames of the recording in order. Data is replaced by numbers of 4 KiB blocks, so that it fits
//! the repository: equal blocks have equal numbers, 0 is zeros.
//!
//! Not compared, because it differs between any two clusters or is not the client's: log indices; times; port numbers, which are
//! mapped; the order of chunkservers in IncreaseFileEpoch; the texts of errors, but for their codes. Left out are the MDS's own calls
//! to chunkservers, and clone files (`/demo/clone`), which the simulator does not play.

use std::{
    collections::{HashMap, HashSet},
    io::Read,
    net::SocketAddr,
    time::Duration,
};

use bytes::{Buf, Bytes};
use curve::{
    Buffers,
    proto::{
        Request,
        chunk::*,
        namespace::{self as ns, *},
        topology::{self as topo, *},
    },
    rpc::{Call, Decoder, Frame, Rpc, RpcConfig, RpcError},
};
use curve_sim::{Sim, SimConfig};
use prost::Message;

/// Inode of the clone.
const CLONE: u64 = 13;
const MDS_PORT: u16 = 6666;
/// Chunkserver ids 1, 2, 3 of the recorded cluster.
const CHUNKSERVER_PORTS: [u16; 3] = [8201, 8202, 8200];

struct Recorded {
    time: u64,
    connection: u32,
    from: u16,
    to: u16,
    frame: Frame,
    blocks: Vec<u16>,
}

fn recording() -> Vec<Recorded> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&include_bytes!("../testdata/session.rpc.gz")[..])
        .read_to_end(&mut bytes)
        .expect("gzip");
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while rest.has_remaining() {
        let (time, connection, from, to) = (
            rest.get_u64_le(),
            rest.get_u32_le(),
            rest.get_u16_le(),
            rest.get_u16_le(),
        );
        let (head_len, block_count) = (rest.get_u32_le() as usize, rest.get_u32_le() as usize);
        let mut head = rest[..head_len].to_vec();
        rest.advance(head_len);
        let blocks: Vec<u16> = (0..block_count).map(|_| rest.get_u16_le()).collect();
        head.extend_from_slice(&data(&blocks));
        let mut decoder = Decoder::new(64 << 20);
        decoder.buffer().extend_from_slice(&head);
        let frame = decoder.next_frame().expect("frame").expect("whole");
        frames.push(Recorded {
            time,
            connection,
            from,
            to,
            frame,
            blocks,
        });
    }
    frames
}

/// The data that stands for numbered blocks.
fn data(blocks: &[u16]) -> Vec<u8> {
    let mut data = Vec::with_capacity(blocks.len() * 4096);
    for block in blocks {
        for _ in 0..2048 {
            data.extend_from_slice(&block.to_le_bytes());
        }
    }
    data
}

fn method(frame: &Frame) -> (&str, &str) {
    let meta = frame.meta.request.as_ref().expect("request");
    (&meta.service_name, &meta.method_name)
}

/// Whether a request is one of the client's that the simulator plays.
fn is_played(recorded: &Recorded) -> bool {
    let (service, method) = method(&recorded.frame);
    let clone = b"/demo/clone";
    let of_clone =
        |request: ChunkRequest| request.clone_file_source.is_some() || request.file_id == Some(CLONE);
    if service == chunk_service::NAME
        && ChunkRequest::decode(recorded.frame.payload.clone()).is_ok_and(of_clone)
    {
        return false;
    }
    !matches!(
        method,
        "DeleteChunk" | "DeleteChunkSnapshotOrCorrectSn" | "CreateCloneFile" | "SetCloneFileStatus"
    ) && !recorded
        .frame
        .payload
        .windows(clone.len())
        .any(|part| part == clone)
}

struct Player {
    sim: Sim,
    rpc: Rpc,
}

impl Player {
    async fn new() -> Self {
        let config = SimConfig {
            chunkserver_ports: vec![0; 3],
            cluster_id: "2ee11128-0882-4e65-a4cb-3ce0b232e528".into(),
            ..Default::default()
        };
        let sim = Sim::start(config).await.expect("cluster");
        // What the recorded cluster held already.
        sim.with_namespace(|namespace| {
            namespace.set_next(9, 321);
            let bin = FileInfo {
                id: Some(1),
                file_name: Some("RecycleBin".into()),
                parent_id: Some(0),
                file_type: Some(0),
                owner: Some("root".into()),
                ctime: Some(1),
                ..Default::default()
            };
            let lab = FileInfo {
                id: Some(3),
                file_name: Some("lab".into()),
                owner: Some("lab".into()),
                chunk_size: Some(16 << 20),
                segment_size: Some(1 << 30),
                length: Some(0),
                seq_num: Some(1),
                file_status: Some(0),
                stripe_unit: Some(0),
                stripe_count: Some(0),
                poolset: Some(String::new()),
                block_size: Some(4096),
                ..bin.clone()
            };
            let old = FileInfo {
                id: Some(6),
                file_name: Some("str-6-1795187769".into()),
                parent_id: Some(1),
                file_type: Some(1),
                length: Some(12 << 30),
                seq_num: Some(1),
                stripe_unit: Some(65536),
                stripe_count: Some(4),
                original_full_path_name: Some("/lab/str".into()),
                throttle_params: Some(FileThrottleParams {
                    throttle_params: [(1, 2000), (4, 125_829_120)]
                        .map(|(kind, limit)| ThrottleParams {
                            kind,
                            limit,
                            burst: None,
                            burst_length: None,
                        })
                        .to_vec(),
                }),
                poolset: Some("default".into()),
                ..lab.clone()
            };
            [bin, lab, old].into_iter().for_each(|info| namespace.put(info));
        });
        Self {
            sim,
            rpc: Rpc::new(RpcConfig::default()),
        }
    }

    fn address(&self, recorded_port: u16) -> SocketAddr {
        match CHUNKSERVER_PORTS.iter().position(|port| *port == recorded_port) {
            Some(at) => self.sim.chunkserver_address(at as u32 + 1),
            None => self.sim.mds_addresses()[0],
        }
    }

    /// Text with the recorded cluster's ports where the simulator's are.
    fn recorded_ports(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for port in CHUNKSERVER_PORTS.into_iter().chain([MDS_PORT]) {
            text = text.replace(&format!(":{}", self.address(port).port()), &format!(":{port}"));
        }
        text
    }

    fn recorded_port(&self, port: Option<u32>) -> Option<u32> {
        let known = CHUNKSERVER_PORTS
            .iter()
            .find(|known| Some(u32::from(self.address(**known).port())) == port);
        known.map_or(port, |known| Some(u32::from(*known)))
    }

    async fn play(&self, request: &Recorded) -> Result<Frame, RpcError> {
        let (service, method) = method(&request.frame);
        let call = Call {
            service: leak(service),
            method: leak(method),
            payload: request.frame.payload.clone(),
            attachment: Buffers::from(request.frame.attachment.clone()),
            expect: 16 << 20,
        };
        self.rpc
            .call(self.address(request.to), call, Duration::from_secs(5))
            .await
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn without_times(info: &mut FileInfo) {
    info.ctime = None;
}

/// A reply in words, without what is not compared.
fn words(player: &Player, service: &str, method: &str, payload: Bytes) -> String {
    fn of<M: Message + Default + std::fmt::Debug>(payload: Bytes, edit: impl FnOnce(&mut M)) -> String {
        let mut message = M::decode(payload).expect("message");
        edit(&mut message);
        format!("{message:?}")
    }
    let location = |location: &mut curve::proto::common::ChunkServerLocation| {
        location.port = player.recorded_port(location.port);
    };
    match (service, method) {
        (ns::curve_fs_service::NAME, "GetFileInfo") => of(payload, |r: &mut FileInfoResponse| {
            r.file_info.iter_mut().for_each(without_times);
        }),
        (ns::curve_fs_service::NAME, "ListDir" | "ListSnapShot") => {
            of(payload, |r: &mut FileListResponse| {
                r.file_info.retain(|info| info.id != Some(CLONE));
                r.file_info.iter_mut().for_each(without_times);
            })
        }
        (ns::curve_fs_service::NAME, "GetOrAllocateSegment" | "GetSnapShotFileSegment") => {
            of(payload, |_: &mut SegmentResponse| {})
        }
        (ns::curve_fs_service::NAME, "CreateSnapShot") => of(payload, |r: &mut CreateSnapShotResponse| {
            r.snap_shot_file_info.iter_mut().for_each(without_times);
        }),
        (ns::curve_fs_service::NAME, "CheckSnapShotStatus") => {
            of(payload, |_: &mut CheckSnapShotStatusResponse| {})
        }
        (ns::curve_fs_service::NAME, "OpenFile") => of(payload, |r: &mut OpenFileResponse| {
            r.file_info.iter_mut().for_each(without_times);
            r.proto_session
                .iter_mut()
                .for_each(|session| session.create_time = None);
        }),
        (ns::curve_fs_service::NAME, "RefreshSession") => of(payload, |r: &mut RefreshSessionResponse| {
            r.file_info.iter_mut().for_each(without_times);
        }),
        (ns::curve_fs_service::NAME, "IncreaseFileEpoch") => {
            of(payload, |r: &mut IncreaseFileEpochResponse| {
                r.file_info.iter_mut().for_each(without_times);
                r.cs_locs.iter_mut().for_each(location);
                r.cs_locs.sort_by_key(|location| location.chunk_server_id);
            })
        }
        (ns::curve_fs_service::NAME, _) => of(payload, |_: &mut StatusResponse| {}),
        (topo::topology_service::NAME, "GetClusterInfo") => of(payload, |_: &mut ClusterInfoResponse| {}),
        (topo::topology_service::NAME, "GetChunkServerListInCopySets") => {
            of(payload, |r: &mut CopySetServersResponse| {
                r.cs_info
                    .iter_mut()
                    .flat_map(|info| &mut info.cs_locs)
                    .for_each(location);
            })
        }
        (cli_service2::NAME, "GetLeader") => {
            player.recorded_ports(&of(payload, |_: &mut GetLeaderResponse| {}))
        }
        (chunk_service::NAME, "GetChunkInfo") => {
            player.recorded_ports(&of(payload, |_: &mut GetChunkInfoResponse| {}))
        }
        (chunk_service::NAME, "UpdateEpoch") => of(payload, |_: &mut UpdateEpochResponse| {}),
        (chunk_service::NAME, _) => of(payload, |r: &mut ChunkResponse| {
            r.applied_index = r.applied_index.map(|_| 0);
        }),
        (service, method) => panic!("{service}.{method} is not known here"),
    }
}

/// Before a request that a leader answered, that chunkserver leads; the recording says who did.
fn arrange_leader(player: &Player, request: &Recorded, reply: &Recorded) {
    let (service, method) = method(&request.frame);
    if (service, method) == (cli_service2::NAME, "GetLeader") {
        let wanted = GetLeaderRequest::decode(request.frame.payload.clone()).expect("message");
        let named = GetLeaderResponse::decode(reply.frame.payload.clone())
            .expect("message")
            .leader;
        let named = named.and_then(|leader| leader.address).unwrap_or_default();
        let id = CHUNKSERVER_PORTS
            .iter()
            .position(|port| named.contains(&format!(":{port}:")));
        if let Some(id) = id {
            player.sim.set_leader(wanted.copyset_id, id as u32 + 1);
        }
    }
}

#[tokio::test]
async fn a_recorded_session_gets_the_same_replies() {
    let recording = recording();
    let player = Player::new().await;
    let mut replies: HashMap<(u32, u16, i64), &Recorded> = HashMap::new();
    for recorded in recording
        .iter()
        .filter(|recorded| recorded.frame.meta.response.is_some())
    {
        replies.insert(
            (
                recorded.connection,
                recorded.from,
                recorded.frame.correlation_id(),
            ),
            recorded,
        );
    }
    let (mut compared, mut unlike, mut methods) = (0, Vec::new(), HashSet::new());
    let mut before = 0;
    for request in recording
        .iter()
        .filter(|recorded| recorded.frame.meta.request.is_some())
    {
        // A call that was cancelled has no reply.
        let key = (request.connection, request.to, request.frame.correlation_id());
        let Some(reply) = replies.get(&key).filter(|_| is_played(request)) else {
            continue;
        };
        player.sim.clock().set(request.time);
        // What happens in the background has had its time.
        if request.time > before + 500_000 {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        before = request.time;
        arrange_leader(&player, request, reply);
        let (service, method) = method(&request.frame);
        let recorded_code = reply
            .frame
            .meta
            .response
            .as_ref()
            .and_then(|meta| meta.error_code)
            .unwrap_or(0);
        let (ours, theirs) = match player.play(request).await {
            Ok(frame) => (
                format!(
                    "{} {:?}",
                    words(&player, service, method, frame.payload),
                    frame.attachment == data(&reply.blocks)
                ),
                format!(
                    "{} true",
                    words(&player, service, method, reply.frame.payload.clone())
                ),
            ),
            Err(RpcError::Remote { code, .. }) => (format!("error {code}"), format!("error {recorded_code}")),
            Err(error) => (error.to_string(), format!("error {recorded_code}")),
        };
        compared += 1;
        methods.insert(method.to_owned());
        if ours != theirs {
            unlike.push(format!(
                "{} {method} {:?}\n  ours   {ours}\n  theirs {theirs}",
                request.time, request.frame.payload
            ));
        }
    }
    assert!(
        unlike.is_empty(),
        "{} of {compared} replies differ:\n{}",
        unlike.len(),
        unlike.join("\n")
    );
    assert!(compared > 230, "{compared} were compared");
    assert!(methods.len() >= 26, "{methods:?}");
    assert_eq!(player.sim.violations(), [""; 0]);
}

#[test]
fn requests_of_the_recording_have_the_fields_we_call_required() {
    for recorded in recording()
        .iter()
        .filter(|recorded| recorded.frame.meta.request.is_some())
    {
        let payload = &recorded.frame.payload;
        let missing = match method(&recorded.frame).1 {
            "GetOrAllocateSegment" => {
                curve_sim::server::decode_request::<GetOrAllocateSegmentRequest>(payload).is_err()
            }
            "RefreshSession" => curve_sim::server::decode_request::<RefreshSessionRequest>(payload).is_err(),
            "DeleteFile" => curve_sim::server::decode_request::<DeleteFileRequest>(payload).is_err(),
            GetLeaderRequest::METHOD => {
                curve_sim::server::decode_request::<GetLeaderRequest>(payload).is_err()
            }
            _ => false,
        };
        assert!(!missing, "{:?}", recorded.frame);
    }
}
