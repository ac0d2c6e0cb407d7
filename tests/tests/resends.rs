//! Requests whose connection breaks, at every place where it can, and which are sent again as clients do: the outcome is
//! as if nothing had broken, over a restart of the server as well.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use bytes::{BufMut, Bytes, BytesMut};
use encoding::messages::{MOsdOp, MOsdOpReply};
use encoding::types::{OpArgs, OpCode, OsdFlags, OsdOp};
use encoding::{Message, MessageType};
use msgr::auth::ConMode;
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::old_client::{create_exclusively, on_range, request};
use rbdgate_tests::raw_client::{Pipeline, RawClient};

/// Where the connection breaks.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// In the request, behind so many hundredths of its bytes. At 100 it may or may not be carried out.
    Request(usize),
    /// Once the answer is there, which the client then does not see.
    Answered,
    /// The same, and the server is killed and started again before the client comes back.
    Killed,
}

const CUTS: [Cut; 8] = [
    Cut::Request(0),
    Cut::Request(1),
    Cut::Request(50),
    Cut::Request(99),
    Cut::Request(100),
    Cut::Answered,
    Cut::Killed,
    Cut::Answered,
];

/// A client that resends.
struct Client {
    raw: RawClient,
    osd: Pipeline,
    tid: u64,
}

impl Client {
    fn start(cluster: &mut Cluster) -> Self {
        let raw = RawClient::of(cluster, &[ConMode::CRC]).unwrap();
        let osd = raw.osd(0).unwrap();
        Self { raw, osd, tid: 0 }
    }

    fn request(&self, oid: &str, writes: bool, ops: Vec<OsdOp>) -> MOsdOp {
        request(&self.raw.map, "rbd", oid, writes, ops).unwrap()
    }

    fn answer(&mut self) -> MOsdOpReply {
        let raw = self.osd.receive(MessageType::OSD_OPREPLY).unwrap();
        assert_eq!(raw.header.tid, self.tid);
        MOsdOpReply::decode(&raw).unwrap()
    }

    /// Sends a request and returns the answer.
    fn run(&mut self, request: &MOsdOp) -> MOsdOpReply {
        self.tid += 1;
        let raw = request.encode(self.osd.info().features).with_tid(self.tid);
        self.osd.queue(&raw);
        self.osd.flush().unwrap();
        self.answer()
    }

    /// Sends a request over a connection that breaks, and again over another one.
    fn run_cut(&mut self, cluster: &mut Cluster, mut request: MOsdOp, cut: Cut) -> MOsdOpReply {
        self.tid += 1;
        let features = self.osd.info().features;
        self.osd.queue(&request.encode(features).with_tid(self.tid));
        match cut {
            Cut::Request(hundredths) => {
                let frame = 200 + request.ops.iter().map(|op| op.indata.len()).sum::<usize>();
                let bytes = if hundredths == 100 {
                    usize::MAX
                } else {
                    frame * hundredths / 100
                };
                self.osd.flush_part(bytes).unwrap();
            }
            Cut::Answered | Cut::Killed => {
                self.osd.flush().unwrap();
                self.answer();
            }
        }
        if matches!(cut, Cut::Killed) {
            cluster.kill();
            cluster.launch();
            // The address in the map has the new process's nonce. The client stays who it was, with its tickets.
            self.raw.map = RawClient::of(cluster, &[ConMode::CRC]).unwrap().map;
        }
        self.osd = self.raw.osd(0).unwrap();
        request.retry_attempt += 1;
        request.flags |= OsdFlags::RETRY;
        self.osd.queue(&request.encode(features).with_tid(self.tid));
        self.osd.flush().unwrap();
        self.answer()
    }

    /// What a read of an object has, without its data; then the data.
    fn read(&mut self, oid: &str) -> (i32, Bytes) {
        let reply = self.run(&self.request(oid, false, vec![on_range(OpCode::READ, 0, 1 << 20, &[])]));
        (reply.result, reply.ops[0].outdata.concat().into())
    }
}

/// Runs `each` for every place where a connection may break, on an object of its own.
fn at_every_cut(mut each: impl FnMut(&mut Client, &mut Cluster, &str, Cut)) {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let mut client = Client::start(&mut cluster);
    for (n, cut) in CUTS.into_iter().enumerate() {
        eprintln!("{cut:?}");
        each(&mut client, &mut cluster, &format!("object-{n}"), cut);
    }
}

#[test]
fn an_exclusive_creation_succeeds() {
    at_every_cut(|client, cluster, oid, cut| {
        let create = client.request(oid, true, vec![create_exclusively()]);
        assert_eq!(client.run_cut(cluster, create.clone(), cut).result, 0, "{cut:?}");
        assert_eq!(client.run(&create).result, -17, "another one finds the object");
    });
}

#[test]
fn an_append_is_there_once() {
    at_every_cut(|client, cluster, oid, cut| {
        let text = b"once and only once".repeat(100);
        let append = client.request(
            oid,
            true,
            vec![on_range(OpCode::APPEND, 0, text.len() as u64, &text)],
        );
        let first = client.run_cut(cluster, append, cut);
        assert_eq!(first.result, 0, "{cut:?}");
        assert_eq!(client.read(oid), (0, Bytes::from(text)), "{cut:?}");
    });
}

#[test]
fn a_removal_finds_what_it_removes() {
    at_every_cut(|client, cluster, oid, cut| {
        let write = client.request(oid, true, vec![on_range(OpCode::WRITE, 0, 4, b"data")]);
        assert_eq!(client.run(&write).result, 0);
        let remove = OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new());
        let remove = client.request(oid, true, vec![remove]);
        assert_eq!(client.run_cut(cluster, remove, cut).result, 0, "{cut:?}");
        assert_eq!(client.read(oid).0, -2);
    });
}

#[test]
fn a_class_method_that_counts_counts_once() {
    let text = |text: &str| {
        let mut out = BytesMut::new();
        out.put_u32_le(text.len() as u32);
        out.put_slice(text.as_bytes());
        out
    };
    let input = [text("key"), text("7")].concat();
    at_every_cut(|client, cluster, oid, cut| {
        let add = client.request(oid, true, vec![OsdOp::call("numops", "add", &input)]);
        assert_eq!(client.run_cut(cluster, add.clone(), cut).result, 0, "{cut:?}");
        assert_eq!(client.run(&add).result, 0);
        // As many times as it was asked for: twice.
        let values = [&1_u32.to_le_bytes()[..], &text("key")].concat();
        let get = OsdOp::new(OpCode::OMAPGETVALSBYKEYS, OpArgs::Raw([0; 28]), values.into());
        let reply = client.run(&client.request(oid, false, vec![get]));
        let found = reply.ops[0].outdata.concat();
        assert!(
            found.ends_with(b"14"),
            "{cut:?}: {:?}",
            String::from_utf8_lossy(&found)
        );
    });
}

#[test]
fn the_first_write_after_a_snapshot_preserves_what_was_there_once() {
    at_every_cut(|client, cluster, oid, cut| {
        let write = client.request(oid, true, vec![on_range(OpCode::WRITE, 0, 6, b"before")]);
        assert_eq!(client.run(&write).result, 0);
        let mut after = client.request(oid, true, vec![on_range(OpCode::WRITE, 0, 6, b"behind")]);
        (after.snap_seq, after.snaps) = (4, vec![4]);
        assert_eq!(client.run_cut(cluster, after, cut).result, 0, "{cut:?}");
        let read = vec![on_range(OpCode::READ, 0, 64, &[])];
        let mut at_snapshot = client.request(oid, false, read);
        at_snapshot.snapid = 4;
        let reply = client.run(&at_snapshot);
        assert_eq!(reply.ops[0].outdata.concat(), b"before", "{cut:?}");
        assert_eq!(client.read(oid).1, &b"behind"[..]);
    });
}

#[test]
fn what_failed_has_failed_though_it_could_be_done_by_now() {
    at_every_cut(|client, cluster, oid, cut| {
        let answered = matches!(cut, Cut::Answered | Cut::Killed);
        let create = client.request(oid, true, vec![create_exclusively()]);
        assert_eq!(client.run(&create).result, 0);
        let first = client.run_cut(cluster, create.clone(), cut);
        assert_eq!(first.result, -17, "{cut:?}");
        assert_eq!(first.ops[0].rval, -17, "{cut:?}");
        if !answered {
            return;
        }
        // The object goes, and the request comes a third time.
        let failed = client.tid;
        let remove = OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new());
        let remove = client.request(oid, true, vec![remove]);
        assert_eq!(client.run(&remove).result, 0);
        let last = std::mem::replace(&mut client.tid, failed - 1);
        let mut again = create;
        again.retry_attempt = 2;
        again.flags |= OsdFlags::RETRY;
        assert_eq!(client.run(&again).result, -17, "{cut:?}");
        client.tid = last;
        assert_eq!(client.read(oid).0, -2, "{cut:?}");
    });
}
