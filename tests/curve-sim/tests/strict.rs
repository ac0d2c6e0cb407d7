//! The simulator refuses what the real cluster refuses: rows of a log of hand-made frames sent to one.

use std::time::Duration;

use bytes::Bytes;
use curve::{
    Buffers, Identity,
    proto::{
        Request,
        chunk::*,
        meta::{RpcMeta, RpcRequestMeta},
        namespace::*,
        topology::*,
    },
    rpc::{Call, Frame, Rpc, RpcConfig, RpcError},
};
use curve_sim::{Sim, SimConfig};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Probe {
    sim: Sim,
    rpc: Rpc,
}

const LIMIT: Duration = Duration::from_secs(2);

impl Probe {
    /// A cluster with a volume `/v` whose first segment is allocated; its first chunk is 1, in copyset 1.
    async fn new() -> Self {
        let sim = Sim::start(SimConfig::default()).await.expect("cluster");
        let probe = Self {
            sim,
            rpc: Rpc::new(RpcConfig::default()),
        };
        let create = CreateFileRequest {
            file_type: 1,
            file_length: Some(10 << 30),
            ..probe.create("/v")
        };
        assert_eq!(probe.mds(&create).await.status_code, Some(0));
        let allocated = probe.segment(0, true).await;
        let chunks = allocated.page_file_segment.expect("segment").chunks;
        assert_eq!((chunks[0].chunk_id, chunks[0].copyset_id), (1, 1));
        probe.sim.set_leader(1, 1);
        probe
    }

    fn date() -> u64 {
        Identity::owner("lab").stamp().date
    }

    fn create(&self, path: &str) -> CreateFileRequest {
        CreateFileRequest {
            file_name: path.into(),
            owner: "lab".into(),
            date: Self::date(),
            ..Default::default()
        }
    }

    async fn mds<R: Request>(&self, request: &R) -> R::Reply {
        self.rpc
            .request(self.sim.mds_addresses()[0], request, LIMIT)
            .await
            .expect("reply")
    }

    async fn segment(&self, offset: u64, allocate: bool) -> SegmentResponse {
        let request = GetOrAllocateSegmentRequest {
            file_name: "/v".into(),
            owner: "lab".into(),
            offset,
            allocate_if_not_exist: allocate,
            date: Self::date(),
            ..Default::default()
        };
        self.mds(&request).await
    }

    async fn info(&self, path: &str, owner: &str, signature: Option<String>, date: u64) -> Option<i32> {
        let request = GetFileInfoRequest {
            file_name: path.into(),
            owner: owner.into(),
            signature,
            date,
        };
        self.mds(&request).await.status_code
    }

    async fn chunk_to(
        &self,
        server: u32,
        method: &'static str,
        request: &ChunkRequest,
        data: &[u8],
    ) -> Result<Frame, RpcError> {
        let call = Call {
            service: chunk_service::NAME,
            method,
            payload: request.encode_to_vec().into(),
            attachment: Buffers::from(Bytes::copy_from_slice(data)),
            expect: 0,
        };
        self.rpc
            .call(self.sim.chunkserver_address(server), call, LIMIT)
            .await
    }

    async fn chunk(&self, method: &'static str, request: &ChunkRequest, data: &[u8]) -> ChunkStatus {
        let frame = self.chunk_to(1, method, request, data).await.expect("reply");
        ChunkStatus(
            ChunkResponse::decode(frame.payload)
                .expect("message")
                .status
                .expect("status"),
        )
    }

    async fn write(&self, sn: u64, offset: u32, data: &[u8]) -> ChunkStatus {
        self.chunk(
            "WriteChunk",
            &io(OpType::Write, sn, offset, data.len() as u32),
            data,
        )
        .await
    }
}

fn io(op: OpType, sn: u64, offset: u32, size: u32) -> ChunkRequest {
    ChunkRequest {
        op_type: op.0,
        logic_pool_id: 2,
        copyset_id: 1,
        chunk_id: 1,
        offset: Some(offset),
        size: Some(size),
        sn: Some(sn),
        ..Default::default()
    }
}

#[tokio::test]
async fn chunk_operations_are_checked_at_the_door() {
    let probe = Probe::new().await;
    let block = [7; 4096];
    assert_eq!(
        probe.chunk("ReadChunk", &io(OpType::Read, 0, 0, 4096), &[]).await,
        ChunkStatus::ChunkNotExist
    );
    assert_eq!(
        probe.write(0, 0, &block).await,
        ChunkStatus::FailureUnknown,
        "sn 0"
    );
    assert_eq!(
        probe.write(1, 512, &block).await,
        ChunkStatus::InvalidRequest,
        "offset"
    );
    assert_eq!(
        probe.write(1, 0, &block[..512]).await,
        ChunkStatus::InvalidRequest,
        "length"
    );
    assert_eq!(
        probe.write(1, 16 << 20, &block).await,
        ChunkStatus::InvalidRequest,
        "past the end"
    );
    assert_eq!(
        probe.write(1, 0, &vec![1; 16 << 20]).await,
        ChunkStatus::Success,
        "a whole chunk"
    );
    assert_eq!(probe.write(1, 0, &[]).await, ChunkStatus::Success, "nothing");
    let unknown = ChunkRequest {
        copyset_id: 99,
        ..io(OpType::Write, 1, 0, 4096)
    };
    assert_eq!(
        probe.chunk("WriteChunk", &unknown, &block).await,
        ChunkStatus::CopysetNotExist
    );
    for (method, op) in [("WriteChunk", OpType::Write), ("ReadChunk", OpType::Read)] {
        let data = if op == OpType::Write { &block[..] } else { &[] };
        let frame = probe
            .chunk_to(2, method, &io(op, 1, 0, 4096), data)
            .await
            .expect("reply");
        let reply = ChunkResponse::decode(frame.payload).expect("message");
        assert_eq!(
            (reply.status, reply.redirect, reply.applied_index),
            (Some(ChunkStatus::Redirected.0), None, None)
        );
    }
    assert_eq!(
        probe
            .chunk(
                "DeleteChunkSnapshotOrCorrectSn",
                &io(OpType::DeleteSnap, 1, 0, 0),
                &[]
            )
            .await,
        ChunkStatus::InvalidRequest,
        "no corrected version"
    );
    assert_eq!(probe.sim.violations(), [""; 0]);
    assert_eq!(
        probe
            .chunk("ReadChunk", &io(OpType::Write, 1, 0, 4096), &[])
            .await,
        ChunkStatus::InvalidRequest
    );
    assert_eq!(
        probe.sim.violations().len(),
        1,
        "an operation under another's name"
    );
}

#[tokio::test]
async fn versions_follow_the_rules_of_copy_on_write() {
    let probe = Probe::new().await;
    assert_eq!(probe.write(1, 0, &[b'o'; 8192]).await, ChunkStatus::Success);
    assert_eq!(probe.write(2, 4096, &[b'n'; 4096]).await, ChunkStatus::Success);
    assert_eq!(probe.write(1, 0, &[b'x'; 4096]).await, ChunkStatus::Backward);
    let read = |sn| io(OpType::ReadSnap, sn, 0, 8192);
    let data = async |sn| {
        probe
            .chunk_to(1, "ReadChunkSnapshot", &read(sn), &[])
            .await
            .expect("reply")
            .attachment
    };
    assert_eq!(data(1).await[..], [b'o'; 8192]);
    assert_eq!(data(2).await[..], [[b'o'; 4096], [b'n'; 4096]].concat());
    assert_eq!(
        probe.chunk("ReadChunkSnapshot", &read(7), &[]).await,
        ChunkStatus::ChunkNotExist
    );
    assert_eq!(
        probe.write(3, 0, &[b'x'; 4096]).await,
        ChunkStatus::FailureUnknown,
        "one snapshot at most"
    );
    let correct = ChunkRequest {
        corrected_sn: Some(2),
        ..io(OpType::DeleteSnap, 0, 0, 0)
    };
    assert_eq!(
        probe.chunk("DeleteChunkSnapshotOrCorrectSn", &correct, &[]).await,
        ChunkStatus::Success
    );
    assert_eq!(
        probe.chunk("ReadChunkSnapshot", &read(1), &[]).await,
        ChunkStatus::ChunkNotExist
    );
    assert_eq!(probe.write(3, 0, &[b'x'; 4096]).await, ChunkStatus::Success);
}

#[tokio::test]
async fn a_corrected_version_keeps_the_next_write_from_making_a_snapshot() {
    let probe = Probe::new().await;
    assert_eq!(probe.write(1, 0, &[1; 4096]).await, ChunkStatus::Success);
    let correct = |sn| ChunkRequest {
        corrected_sn: Some(sn),
        ..io(OpType::DeleteSnap, 0, 0, 0)
    };
    assert_eq!(
        probe
            .chunk("DeleteChunkSnapshotOrCorrectSn", &correct(2), &[])
            .await,
        ChunkStatus::Success
    );
    assert_eq!(
        probe.write(1, 0, &[1; 4096]).await,
        ChunkStatus::Backward,
        "below the corrected version"
    );
    assert_eq!(probe.write(2, 0, &[2; 4096]).await, ChunkStatus::Success);
    assert_eq!(
        probe
            .chunk("ReadChunkSnapshot", &io(OpType::ReadSnap, 1, 0, 4096), &[])
            .await,
        ChunkStatus::ChunkNotExist
    );
    assert_eq!(
        probe
            .chunk("DeleteChunkSnapshotOrCorrectSn", &correct(1), &[])
            .await,
        ChunkStatus::Backward
    );
}

#[tokio::test]
async fn an_epoch_refuses_every_other_one_but_not_none() {
    let probe = Probe::new().await;
    let told = |epoch| UpdateEpochRequest { file_id: 3, epoch };
    let tell = async |epoch| {
        probe
            .rpc
            .request(probe.sim.chunkserver_address(1), &told(epoch), LIMIT)
            .await
            .expect("reply")
            .status
    };
    let write = async |epoch| {
        let request = ChunkRequest {
            file_id: Some(3),
            epoch,
            ..io(OpType::Write, 1, 0, 4096)
        };
        probe.chunk("WriteChunk", &request, &[1; 4096]).await
    };
    assert_eq!(write(Some(5)).await, ChunkStatus::Success, "nothing recorded");
    assert_eq!(tell(2).await, Some(0));
    assert_eq!(tell(1).await, Some(ChunkStatus::EpochTooOld.0));
    assert_eq!(write(Some(1)).await, ChunkStatus::EpochTooOld);
    assert_eq!(write(Some(3)).await, ChunkStatus::EpochTooOld);
    assert_eq!(write(Some(2)).await, ChunkStatus::Success);
    assert_eq!(write(None).await, ChunkStatus::Success);
}

#[tokio::test]
async fn owners_dates_and_signatures_are_checked() {
    let probe = Probe::new().await;
    let denied = Some(StatusCode::OwnerAuthFail.0);
    let now = Probe::date();
    assert_eq!(probe.info("/v", "lab", None, now - 14_000_000).await, Some(0));
    assert_eq!(probe.info("/v", "lab", None, now - 16_000_000).await, denied);
    assert_eq!(probe.info("/v", "lab", None, now + 16_000_000).await, denied);
    assert_eq!(probe.info("/v", "", None, now).await, denied);
    assert_eq!(probe.info("/v", "eve", None, now).await, denied);
    assert_eq!(probe.info("/v", "root", None, now).await, denied);
    let signed = Identity::root("root", "root_password").stamp_at(now).signature;
    assert_eq!(probe.info("/v", "root", Some(signed.clone()), now).await, Some(0));
    assert_eq!(probe.info("/", "root", Some(signed), now).await, Some(0));
    assert_eq!(probe.info("/", "lab", None, now).await, denied);
    for path in ["/v/", "v", "//v"] {
        assert_eq!(
            probe.info(path, "lab", None, now).await,
            Some(StatusCode::ParaError.0),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_namespace_refuses_what_the_real_one_does() {
    let probe = Probe::new().await;
    let status = |status: StatusCode| Some(status.0);
    assert_eq!(
        probe.segment(1 << 30, false).await.status_code,
        status(StatusCode::SegmentNotAllocated)
    );
    assert_eq!(
        probe.segment(4096, true).await.status_code,
        status(StatusCode::ParaError)
    );
    assert_eq!(
        probe.segment(10 << 30, true).await.status_code,
        status(StatusCode::ParaError)
    );
    let create = |file_type, length: u64, poolset: &str, path: &str| CreateFileRequest {
        file_type,
        file_length: Some(length),
        poolset: Some(poolset.into()),
        ..probe.create(path)
    };
    for (request, expected) in [
        (create(1, 10 << 30, "nope", "/w"), StatusCode::PoolsetNotExist),
        (create(2, 10 << 30, "", "/w"), StatusCode::NotSupported),
        (create(1, 20 << 40, "", "/w"), StatusCode::FileLengthNotSupported),
        (
            create(1, (10 << 30) + 1, "", "/w"),
            StatusCode::FileLengthNotSupported,
        ),
        (create(0, 0, "", "/v/d"), StatusCode::NotDirectory),
        (create(1, 10 << 30, "", "/v"), StatusCode::FileExists),
        (create(1, 10 << 30, "", "/w"), StatusCode::Ok),
        (create(1, 10 << 30, "", "/name with spaces: @ü"), StatusCode::Ok),
    ] {
        assert_eq!(
            probe.mds(&request).await.status_code,
            status(expected),
            "{request:?}"
        );
    }
    let delete = |force| DeleteFileRequest {
        file_name: "/w".into(),
        owner: "lab".into(),
        date: Probe::date(),
        force_delete: Some(force),
        ..Default::default()
    };
    assert_eq!(
        probe.mds(&delete(true)).await.status_code,
        status(StatusCode::NotSupported)
    );
    assert_eq!(
        probe.mds(&delete(false)).await.status_code,
        status(StatusCode::Ok)
    );
    let unknown = GetChunkServerListInCopySetsRequest {
        logical_pool_id: 2,
        copyset_id: vec![1, 99],
    };
    let address = probe.sim.mds_addresses()[0];
    assert_eq!(
        probe
            .rpc
            .request(address, &unknown, LIMIT)
            .await
            .expect("reply")
            .status_code,
        Some(-11)
    );
}

#[tokio::test]
async fn calls_as_such_fail_as_brpcs_do() {
    let probe = Probe::new().await;
    let call = |service, method, payload: &'static [u8]| Call {
        service,
        method,
        payload: Bytes::from_static(payload),
        attachment: Buffers::new(),
        expect: 0,
    };
    for (call, expected) in [
        (call("curve.mds.Nope", "x", b""), 1002),
        (call("curve.mds.CurveFSService", "Nope", b""), 1002),
        (call("curve.mds.CurveFSService", "GetFileInfo", b"\xff"), 1003),
        (call("curve.mds.CurveFSService", "GetFileInfo", b""), 1003),
    ] {
        let result = probe.rpc.call(probe.sim.mds_addresses()[0], call, LIMIT).await;
        assert!(
            matches!(result, Err(RpcError::Remote { code, .. }) if code == expected),
            "{result:?}"
        );
    }
    let leader = GetLeaderRequest {
        logic_pool_id: 2,
        copyset_id: 999,
        peer: None,
    };
    let result = probe
        .rpc
        .request(probe.sim.chunkserver_address(1), &leader, LIMIT)
        .await;
    assert!(
        matches!(result, Err(RpcError::Remote { code: 2, .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_write_with_the_wrong_size_ends_all_replicas() {
    let probe = Probe::new().await;
    // Our own codec refuses to make such a frame: by hand, then.
    let payload = io(OpType::Write, 1, 0, 8192).encode_to_vec();
    let meta = RpcMeta {
        request: Some(RpcRequestMeta {
            service_name: chunk_service::NAME.into(),
            method_name: "WriteChunk".into(),
            log_id: None,
        }),
        correlation_id: Some(1),
        attachment_size: Some(4096),
        ..Default::default()
    }
    .encode_to_vec();
    let mut frame = b"PRPC".to_vec();
    frame.extend_from_slice(&((meta.len() + payload.len() + 4096) as u32).to_be_bytes());
    frame.extend_from_slice(&(meta.len() as u32).to_be_bytes());
    frame.extend_from_slice(&[meta, payload, vec![1; 4096]].concat());
    let mut stream = tokio::net::TcpStream::connect(probe.sim.chunkserver_address(1))
        .await
        .expect("connect");
    stream.write_all(&frame).await.expect("write");
    let read = stream.read(&mut [0; 16]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "no answer");
    assert_eq!(probe.sim.violations().len(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        probe.sim.leader(1),
        None,
        "and again whenever they replay their logs"
    );
}
