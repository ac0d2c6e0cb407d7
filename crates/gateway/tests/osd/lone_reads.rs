//! Which thread waits for the disk, for a disk that has nothing in its cache.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use bytes::Bytes;
use encoding::{
    Features, Message,
    messages::{MOsdOp, MOsdOpReply},
    types::{
        BlkinTrace, EntityAddr, EntityAddrVec, EntityName, EntityType, NOSNAP, ObjectLocator, OpCode,
        OsdFlags, OsdOp, Pg, ReqId, Spg, Utime,
    },
};
use msgr::{
    Dispatcher, PeerInfo, Session,
    auth::{AuthMethod, ConMode},
    cephx::AuthCapsInfo,
};
use rbdgate::{cluster::Entrance, osd::OsdDispatcher};

use super::rig::Rig;

const OBJECT: &str = "object";
const PATIENCE: Duration = Duration::from_secs(30);

/// A client whose answers tell on which thread they were given.
struct Client {
    rig: Rig,
    dispatcher: OsdDispatcher,
    session: Arc<Session>,
    answers: Receiver<(ThreadId, MOsdOpReply)>,
}

impl Client {
    /// Of an OSD with one object, which is on the disk alone.
    fn new() -> Self {
        let rig = Rig::new();
        let data = Bytes::from(vec![7; 64 << 10]);
        let write = OsdOp::on_range(OpCode::WRITEFULL, 0, data.len() as u64, data);
        rig.namespace("").write(OBJECT, vec![write], 0).unwrap();
        let (tell, answers) = channel();
        let deliver = move |raw| {
            let answer = MOsdOpReply::decode(&raw).unwrap();
            tell.send((thread::current().id(), answer)).unwrap();
        };
        let client = Self {
            dispatcher: OsdDispatcher::new(Arc::clone(rig.osd()), 0, Entrance::USUAL),
            session: Arc::new(Session::in_process(peer(), Box::new(deliver))),
            answers,
            rig,
        };
        // What was just written is still in memory.
        let until = Instant::now() + PATIENCE;
        while client.answered_here(1) == [true] {
            assert!(
                Instant::now() < until,
                "no read waited for the disk on another thread"
            );
        }
        client
    }

    fn ask(&self) {
        let map = self.rig.cluster().osdmap();
        let pool = map.pool_by_name("rbd").unwrap();
        let hash = map.pools[&pool].hash_key(OBJECT.as_bytes(), b"");
        let request = MOsdOp {
            client_inc: 0,
            osdmap_epoch: map.epoch,
            flags: OsdFlags::READ,
            retry_attempt: 0,
            reqid: ReqId::default(),
            pg: Spg {
                pg: Pg {
                    pool: pool as u64,
                    seed: hash,
                },
                shard: -1,
            },
            hash,
            mtime: Utime::default(),
            locator: ObjectLocator::pool(pool),
            oid: Bytes::from(OBJECT),
            snapid: NOSNAP,
            snap_seq: 0,
            snaps: Vec::new(),
            features: 0,
            trace: BlkinTrace::default(),
            ops: vec![OsdOp::on_range(OpCode::READ, 8192, 4096, Bytes::new())],
        };
        let raw = request.encode(Features::OURS).with_tid(1);
        self.dispatcher.on_message(&self.session, raw);
    }

    /// On which thread the next answer was given.
    fn answered_on(&self) -> ThreadId {
        let (thread, answer) = self.answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(answer.result, 0);
        assert_eq!(answer.ops[0].outdata.concat(), [7; 4096]);
        thread
    }

    /// Whether the answers to requests that come together are given by the thread that receives them.
    fn answered_here(&self, together: usize) -> Vec<bool> {
        self.dispatcher
            .on_batch(&mut || (0..together).for_each(|_| self.ask()));
        let here = thread::current().id();
        (0..together).map(|_| self.answered_on() == here).collect()
    }

    /// Reads one at a time until that is noticed.
    fn read_at_leisure(&self) {
        let until = Instant::now() + PATIENCE;
        while self.answered_here(1) != [true] {
            assert!(Instant::now() < until, "no lone read was done by who received it");
        }
    }
}

fn peer() -> PeerInfo {
    let socket = SocketAddr::from(([127, 0, 0, 1], 0));
    PeerInfo {
        name: EntityName {
            kind: EntityType::CLIENT,
            num: 9,
        },
        entity: "client.test".to_owned(),
        global_id: 9,
        addrs: EntityAddrVec(vec![EntityAddr::v2(socket, 9)]),
        socket,
        features: Features::OURS,
        supported: Features::OURS,
        caps: AuthCapsInfo {
            allow_all: true,
            ..AuthCapsInfo::default()
        },
        method: AuthMethod::NONE,
        mode: ConMode::CRC,
        compression: None,
        key_type: None,
    }
}

#[test]
fn reads_that_come_one_at_a_time_wait_where_they_were_received() {
    Client::new().read_at_leisure();
}

#[test]
fn of_reads_that_come_together_none_does() {
    let client = Client::new();
    client.read_at_leisure();
    assert_eq!(client.answered_here(3), [false; 3]);
}

#[test]
fn a_read_that_nobody_gathers_does_not() {
    let client = Client::new();
    client.read_at_leisure();
    client.ask();
    assert_ne!(client.answered_on(), thread::current().id());
}
