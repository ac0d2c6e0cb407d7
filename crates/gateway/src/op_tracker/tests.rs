use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use encoding::{
    Features, Message,
    messages::MOsdOp,
    types::{
        BlkinTrace, EntityAddr, EntityName, EntityType, NOSNAP, ObjectLocator, OpArgs, OpCode, OsdFlags,
        OsdOp, Pg, ReqId, Spg, Utime,
    },
};

use super::*;

const CLIENT: EntityName = EntityName {
    kind: EntityType::CLIENT,
    num: 4123,
};

fn message() -> MOsdOp {
    MOsdOp {
        client_inc: 0,
        osdmap_epoch: 12,
        flags: OsdFlags::READ | OsdFlags::KNOWN_REDIR,
        retry_attempt: 0,
        reqid: ReqId::default(),
        pg: Spg {
            pg: Pg { pool: 2, seed: 5 },
            shard: -1,
        },
        hash: 0,
        mtime: Utime::default(),
        locator: ObjectLocator::default(),
        oid: Bytes::from_static(b"rbd_header.1"),
        snapid: NOSNAP,
        snap_seq: 0,
        snaps: Vec::new(),
        features: 0,
        trace: BlkinTrace::default(),
        ops: Vec::new(),
    }
}

fn request() -> Request {
    let extent = OpArgs::Extent {
        offset: 0,
        length: 4096,
        truncate_size: 0,
        truncate_seq: 0,
    };
    let read = OsdOp::new(OpCode::READ, extent, Bytes::new());
    let call = OsdOp::call("rbd", "get_size", &(-2_i64).to_le_bytes());
    let mut message = message();
    message.ops = vec![read, call];
    Request::from(message.encode(Features::ALL))
}

fn begin(tracker: &Arc<OpTracker>, tid: u64) -> Arc<TrackedOp> {
    tracker.begin(CLIENT, EntityAddr::default(), tid, request())
}

fn in_flight(tracker: &Arc<OpTracker>) -> serde_json::Value {
    dump::in_flight(&[Arc::clone(tracker)])
}

#[test]
fn an_op_is_in_flight_until_its_last_reference_goes_and_then_in_the_history() {
    let tracker = Arc::new(OpTracker::default());
    let op = begin(&tracker, 7);
    op.reached(Stage::Started);
    let shown = in_flight(&tracker);
    assert_eq!(shown["num_ops"], 1);
    let text = shown["ops"][0]["description"].as_str().unwrap();
    assert!(text.starts_with("osd_op(client.4123.0:7 "), "{text}");
    assert!(
        text.contains(":rbd_header.1:head [read 0~4096,call rbd.get_size in=19b] "),
        "{text}"
    );
    assert!(text.contains(" read+known_if_redirected "), "{text}");
    assert_eq!(shown["ops"][0]["type_data"]["flag_point"], "started");
    let waiting = Arc::clone(&op);
    drop(op);
    assert_eq!(in_flight(&tracker)["num_ops"], 1);
    drop(waiting);
    assert_eq!(in_flight(&tracker)["num_ops"], 0);
    let past = dump::historic(&[Arc::clone(&tracker)], false);
    let events: Vec<_> = past["ops"][0]["type_data"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["event"].clone())
        .collect();
    assert_eq!(events, ["initiated", "started", "done"]);
}

#[test]
fn the_history_keeps_those_that_took_longest() {
    let tracker = Arc::new(OpTracker::default());
    tracker.refresh(Settings {
        history_size: 2,
        ..Settings::default()
    });
    for tid in 0..4 {
        let op = begin(&tracker, tid);
        if tid % 2 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(op);
    }
    let past = dump::historic(&[Arc::clone(&tracker)], false);
    let tids: Vec<_> = past["ops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|op| op["type_data"]["client_info"]["tid"].clone())
        .collect();
    assert_eq!(tids, [0, 2]);
}

#[test]
fn slow_ops_are_counted_and_remembered() {
    let tracker = Arc::new(OpTracker::default());
    assert_eq!(tracker.slow_ops(), None);
    tracker.refresh(Settings {
        complaint: Duration::from_millis(1),
        slow_threshold: Duration::from_millis(1),
        ..Settings::default()
    });
    let op = begin(&tracker, 1);
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(tracker.slow_ops().unwrap().count, 1);
    assert_eq!(
        dump::blocked(&[Arc::clone(&tracker)], false)["num_blocked_ops"],
        1
    );
    assert_eq!(
        dump::blocked(&[Arc::clone(&tracker)], true)["ops"],
        serde_json::Value::Null
    );
    drop(op);
    assert_eq!(tracker.slow_ops(), None);
    assert_eq!(
        dump::slow(&[Arc::clone(&tracker)])["Ops"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(tracker.counters().slow, 1);
}

#[test]
fn ops_are_counted_by_kind_with_or_without_tracking() {
    let tracker = Arc::new(OpTracker::default());
    tracker.refresh(Settings {
        enabled: false,
        ..Settings::default()
    });
    begin(&tracker, 1).carried_out(Kind::Read, 0, 4096);
    let write = begin(&tracker, 2);
    write.reached(Stage::Submitted);
    write.committed();
    write.carried_out(Kind::Write, 512, 0);
    assert_eq!(in_flight(&tracker)["num_ops"], 0);
    drop(write);
    let counters = tracker.counters();
    assert_eq!((counters.read.ops, counters.read.out_bytes), (1, 4096));
    assert_eq!((counters.write.ops, counters.write.in_bytes), (1, 512));
    assert_eq!(counters.commits.0, 1);
    assert_eq!(
        dump::historic(&[Arc::clone(&tracker)], false)["ops"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_part_of_the_counters_begins_anew_and_the_others_go_on() {
    let tracker = Arc::new(OpTracker::default());
    let write = begin(&tracker, 2);
    write.reached(Stage::Submitted);
    write.committed();
    write.carried_out(Kind::Write, 512, 0);
    drop(write);
    tracker.reset(Part::Ops);
    let counters = tracker.counters();
    assert_eq!((counters.write.ops, counters.commits.0), (0, 1));
    tracker.reset(Part::Commits);
    assert_eq!(tracker.counters().commits, (0, 0));
}

#[test]
fn requests_in_flight_are_told_with_their_bytes_and_notes_of_past_ones_stay() {
    let tracker = Arc::new(OpTracker::default());
    let op = begin(&tracker, 7);
    let held = tracker.requests_held();
    assert!(held.items == 1 && held.bytes > 100, "{held:?}");
    drop(op);
    assert_eq!(tracker.requests_held(), store::Held::default());
    assert_eq!(tracker.notes_held().items, 1);
}

#[test]
fn an_unreadable_vector_is_described_without_its_names() {
    let mut message = message();
    message.ops = vec![OsdOp {
        op: OpCode::CALL,
        union: [0xff; 28],
        indata: Bytes::from_static(b"x"),
        ..OsdOp::default()
    }];
    let text = Request::from(message.encode(Features::ALL)).describe(CLIENT, 1);
    assert!(text.contains("[call in=1b]"), "{text}");
}
