//! The MDS: dispatch of its two services.

mod topology;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use curve::{
    proto::{
        Request,
        namespace::{self as ns, *},
        topology::{ClusterInfoResponse, topology_service},
    },
    rpc::Frame,
};
use prost::Message;

use crate::{
    namespace::{Caller, Namespace, Outcome, check_path, files::NewFile},
    server::{Answer, Service, decode_request, no_method},
    sim::Shared,
    store::lock,
};

/// How often an open file is to be refreshed, microseconds.
const LEASE_TIME: u32 = 5_000_000;

/// One MDS process.
pub(crate) struct Mds {
    pub(crate) shared: Arc<Shared>,
}

macro_rules! caller {
    ($request:ident) => {
        Caller {
            owner: &$request.owner,
            signature: $request.signature.as_deref(),
            date: $request.date,
        }
    };
}

/// Runs a method: decodes, calls, encodes.
macro_rules! methods {
    ($method:expr, $payload:expr; $($request:ident => $run:expr;)*) => {
        match $method {
            $(<$request as Request>::METHOD => match decode_request::<$request>($payload) {
                Ok(request) => {
                    #[allow(clippy::redundant_closure_call)]
                    let reply: <$request as Request>::Reply = ($run)(request);
                    Answer::Reply(reply.encode_to_vec(), Bytes::new())
                }
                Err(refusal) => refusal,
            },)*
            method => no_method(ns::curve_fs_service::NAME, method),
        }
    };
}

fn status<T>(outcome: &Outcome<T>) -> Option<i32> {
    Some(match outcome {
        Ok(_) => StatusCode::Ok.0,
        Err(status) => status.0,
    })
}

fn status_reply(outcome: Outcome<()>) -> StatusResponse {
    StatusResponse {
        status_code: status(&outcome),
    }
}

impl Service for Mds {
    async fn run(&self, request: &Frame, peer: SocketAddr, late: Option<Duration>) -> Answer {
        if let Some(late) = late {
            tokio::time::sleep(late).await;
        }
        let Some(meta) = &request.meta.request else {
            return Answer::Close;
        };
        match meta.service_name.as_str() {
            ns::curve_fs_service::NAME => self.namespace(&meta.method_name, &request.payload, peer),
            topology_service::NAME => self.topology(&meta.method_name, &request.payload),
            service => no_method(service, &meta.method_name),
        }
    }

    fn status(&self, service: &str, _method: &str, status: i32) -> Option<Vec<u8>> {
        let status_code = Some(status);
        if service == topology_service::NAME {
            // All replies of the topology have their status at the same place.
            return Some(
                ClusterInfoResponse {
                    status_code,
                    cluster_id: None,
                }
                .encode_to_vec(),
            );
        }
        Some(StatusResponse { status_code }.encode_to_vec())
    }
}

/// The client that a record is kept for.
fn client(ip: Option<String>, port: Option<u32>, peer: SocketAddr) -> (String, u32) {
    (ip.unwrap_or_else(|| peer.ip().to_string()), port.unwrap_or(0))
}

impl Mds {
    fn namespace(&self, method: &str, payload: &Bytes, peer: SocketAddr) -> Answer {
        let mut namespace = lock(&self.shared.namespace);
        let answer = self.dispatch(&mut namespace, method, payload, peer);
        namespace.save();
        if !namespace.cleaning.is_empty() {
            self.shared.wake_cleaner.notify_one();
        }
        answer
    }

    #[allow(clippy::too_many_lines)]
    fn dispatch(&self, space: &mut Namespace, method: &str, payload: &Bytes, peer: SocketAddr) -> Answer {
        methods! { method, payload;
            CreateFileRequest => |r: CreateFileRequest| status_reply(space.check_path_owner(&r.file_name, caller!(r)).and_then(|()| {
                let new = NewFile {
                    owner: &r.owner,
                    file_type: r.file_type,
                    length: r.file_length.unwrap_or(0),
                    stripe_unit: r.stripe_unit.unwrap_or(0),
                    stripe_count: r.stripe_count.unwrap_or(0),
                    poolset: r.poolset.as_deref().unwrap_or(""),
                };
                space.create(&r.file_name, &new)
            }));
            DeleteFileRequest => |r: DeleteFileRequest| status_reply(space.check_file_owner(&r.file_name, caller!(r)).and_then(|()|
                space.delete(&r.file_name, r.file_id, r.force_delete.unwrap_or(false))));
            GetFileInfoRequest => |r: GetFileInfoRequest| file_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.file(&r.file_name)));
            GetOrAllocateSegmentRequest => |r: GetOrAllocateSegmentRequest| segment_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()|
                    space.segment(&r.file_name, r.offset, r.allocate_if_not_exist, r.epoch)));
            GetSnapShotFileSegmentRequest => |r: GetSnapShotFileSegmentRequest| segment_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()|
                    space.snapshot_segment(&r.file_name, r.seq_num.ok_or(StatusCode::ParaError)?, r.offset)));
            DeAllocateSegmentRequest => |r: DeAllocateSegmentRequest| status_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.deallocate(&r.file_name, r.offset)));
            RenameFileRequest => |r: RenameFileRequest| status_reply((|| {
                check_path(&r.old_file_name)?;
                check_path(&r.new_file_name)?;
                space.check_file_owner(&r.old_file_name, caller!(r))?;
                space.check_destination_owner(&r.new_file_name, caller!(r))?;
                space.rename(&r.old_file_name, &r.new_file_name, (r.old_file_id, r.new_file_id))
            })());
            ExtendFileRequest => |r: ExtendFileRequest| status_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.extend(&r.file_name, r.new_size)));
            ChangeOwnerRequest => |r: ChangeOwnerRequest| {
                let caller = Caller { owner: &r.root_owner, signature: Some(&r.signature), date: r.date };
                status_reply(space.check_root_owner(&r.file_name, caller).and_then(|()| space.change_owner(&r.file_name, &r.new_owner)))
            };
            ListDirRequest => |r: ListDirRequest| files_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.list(&r.file_name)));
            CreateSnapShotRequest => |r: CreateSnapShotRequest| {
                let made = match space.check_file_owner(&r.file_name, caller!(r)) {
                    Ok(()) => space.create_snapshot(&r.file_name),
                    Err(status) => Err((status, None)),
                };
                let (status, info) = match made {
                    Ok(info) => (StatusCode::Ok, Some(info)),
                    Err((status, info)) => (status, info.map(|info| *info)),
                };
                CreateSnapShotResponse { status_code: Some(status.0), snap_shot_file_info: info }
            };
            ListSnapShotRequest => |r: ListSnapShotRequest| files_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.list_snapshots(&r.file_name, &r.seq)));
            DeleteSnapShotRequest => |r: DeleteSnapShotRequest| status_reply(
                space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.delete_snapshot(&r.file_name, r.seq)));
            CheckSnapShotStatusRequest => |r: CheckSnapShotStatusRequest| {
                let state = space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.snapshot_status(&r.file_name, r.seq));
                CheckSnapShotStatusResponse {
                    status_code: status(&state),
                    file_status: state.ok().map(|state| state.0),
                    progress: state.ok().map(|state| state.1),
                }
            };
            OpenFileRequest => |r: OpenFileRequest| {
                let file = space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.open_file(&r.file_name));
                let session = ProtoSession {
                    session_id: Some(String::new()),
                    lease_time: Some(LEASE_TIME),
                    create_time: Some(self.shared.clock.now()),
                    session_status: Some(0),
                };
                OpenFileResponse { status_code: status(&file), proto_session: file.is_ok().then_some(session), file_info: file.ok() }
            };
            CloseFileRequest => |r: CloseFileRequest| status_reply(space.check_file_owner(&r.file_name, caller!(r)).map(|()| {
                let (ip, port) = client(r.client_ip.clone(), r.client_port, peer);
                space.close(&r.file_name, ip, port);
            }));
            RefreshSessionRequest => |r: RefreshSessionRequest| {
                let file = space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.file(&r.file_name));
                if file.is_ok() {
                    let (ip, port) = client(r.client_ip.clone(), r.client_port, peer);
                    space.refresh(&r.file_name, ip, port, r.client_version.clone().unwrap_or_default());
                }
                RefreshSessionResponse {
                    status_code: status(&file), session_id: Some(r.session_id), file_info: file.ok(), proto_session: None,
                }
            };
            IncreaseFileEpochRequest => |r: IncreaseFileEpochRequest| {
                let file = space.check_file_owner(&r.file_name, caller!(r)).and_then(|()| space.increase_epoch(&r.file_name));
                let cs_locs = if file.is_ok() { self.shared.locations() } else { Vec::new() };
                IncreaseFileEpochResponse { status_code: status(&file), file_info: file.ok(), cs_locs }
            };
            GetAllocatedSizeRequest => |r: GetAllocatedSizeRequest| {
                let volumes = space.volumes_below(&r.file_name);
                let bytes = volumes.as_ref().map(|volumes| volumes.iter().map(|info| space.allocated_by(info.id())).sum::<u64>());
                AllocatedSizeResponse {
                    status_code: status(&volumes),
                    allocated_size: bytes.ok(),
                    alloc_size_map: bytes.ok().filter(|bytes| *bytes > 0).into_iter().map(|bytes| (self.shared.config.logical_pool, bytes)).collect(),
                }
            };
            GetFileSizeRequest => |r: GetFileSizeRequest| {
                let volumes = space.volumes_below(&r.file_name);
                FileSizeResponse {
                    status_code: status(&volumes),
                    file_size: volumes.ok().map(|volumes| volumes.iter().map(FileInfo::length).sum()),
                }
            };
            FindFileMountPointRequest => |r: FindFileMountPointRequest| {
                let file = space.file(&r.file_name);
                let clients = space.mount_points(&r.file_name).into_iter();
                FindFileMountPointResponse {
                    status_code: status(&file),
                    client_info: clients.map(|(ip, port)| ClientInfo { ip: Some(ip), port: Some(port) }).collect(),
                }
            };
        }
    }
}

fn file_reply(file: Outcome<FileInfo>) -> FileInfoResponse {
    FileInfoResponse {
        status_code: status(&file),
        file_info: file.ok(),
    }
}

fn files_reply(files: Outcome<Vec<FileInfo>>) -> FileListResponse {
    FileListResponse {
        status_code: status(&files),
        file_info: files.unwrap_or_default(),
    }
}

fn segment_reply(segment: Outcome<PageFileSegment>) -> SegmentResponse {
    SegmentResponse {
        status_code: status(&segment),
        page_file_segment: segment.ok(),
    }
}
