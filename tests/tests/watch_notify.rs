//! Watches and notifies on the wire: who is told what, when, and with which fields. The same against Ceph's OSD with
//! `RBDGATE_TEST_TARGET=ceph`.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::messages::{MOsdOpReply, MWatchNotify, WatchEvent};
use encoding::types::{ListWatchersResponse, NotifyReplies, OpArgs, OpCode, OsdOp};
use encoding::{Decode, Put};
use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::op_vectors::Script;
use rbdgate_tests::op_vectors::build::{create, delete, notify, plain, setxattr, watch};
use rbdgate_tests::op_vectors::client::{Client, POOLS};

const ENOTCONN: i32 = -107;
const ETIMEDOUT: i32 = -110;
const UNWATCH: u8 = 0;
const LEGACY_WATCH: u8 = 1;
const WATCH: u8 = 3;
const RECONNECT: u8 = 5;
const PING: u8 = 7;

/// A cluster with an object, and clients of it.
struct Scene {
    cluster: Cluster,
    version: u64,
}

impl Scene {
    fn new() -> Self {
        let cluster = Cluster::start();
        cluster.ceph(&["osd", "pool", "create", POOLS[0], "1"]);
        let mut scene = Self { cluster, version: 0 };
        let mut client = scene.client();
        scene.version = run(&mut client, [create()]).user_version;
        scene
    }

    fn client(&self) -> Client {
        Client::start(&self.cluster.conf(), &self.cluster.keyring()).unwrap()
    }

    /// A new client that watches the object, and its number.
    fn watcher(&self, cookie: u64, kind: u8, timeout: u32) -> (Client, u64) {
        let mut client = self.client();
        assert_eq!(run(&mut client, [watch(cookie, kind, timeout)]).result, 0);
        let item = watchers(&mut client).into_iter().find(|(_, c)| *c == cookie);
        (client, item.unwrap().0)
    }
}

fn run(client: &mut Client, ops: impl Into<Vec<OsdOp>>) -> MOsdOpReply {
    let mut script = Script::default();
    script.on("watched", ops);
    client.run(&script.steps[0]).unwrap()
}

/// Client and cookie of each watch.
fn watchers(client: &mut Client) -> Vec<(u64, u64)> {
    let reply = run(client, [plain(OpCode::LIST_WATCHERS)]);
    let list = ListWatchersResponse::from_bytes(&reply.ops[0].outdata.concat().into()).unwrap();
    let item = |w: encoding::types::WatchItem| (w.name.num.cast_unsigned(), w.cookie);
    list.entries.into_iter().map(item).collect()
}

/// Notifies, and returns the server's number of the notify.
fn start(client: &mut Client, cookie: u64, timeout: u32, payload: &[u8]) -> u64 {
    let reply = run(client, [notify(cookie, timeout, payload)]);
    assert_eq!(reply.result, 0);
    u64::from_le_bytes(reply.ops[0].outdata.concat().try_into().unwrap())
}

/// Answers a notify.
fn acknowledge(client: &mut Client, event: &MWatchNotify, answer: &[u8]) {
    let mut input = BytesMut::new();
    input.put_u64_le(event.notify_id);
    input.put_u64_le(event.cookie);
    input.put_blob(answer);
    let args = OpArgs::Notify {
        cookie: event.notify_id,
    };
    let reply = run(client, [OsdOp::new(OpCode::NOTIFY_ACK, args, input.freeze())]);
    assert_eq!(reply.result, 0);
}

/// Waits for a notify's end: its result, who answered what, and who did not.
fn completion(client: &mut Client, cookie: u64, id: u64) -> (i32, NotifyReplies) {
    let event = client.event().unwrap();
    let shown = (event.opcode, event.cookie, event.notify_id, &event.payload);
    assert_eq!(shown, (WatchEvent::NOTIFY_COMPLETE, cookie, id, &Bytes::new()));
    (event.return_code, NotifyReplies::from_bytes(&event.data).unwrap())
}

fn answers(replies: &[((u64, u64), &'static [u8])]) -> NotifyReplies {
    let mut replies: Vec<_> = replies
        .iter()
        .map(|(who, what)| (*who, Bytes::from_static(what)))
        .collect();
    replies.sort();
    NotifyReplies {
        replies,
        missed: Vec::new(),
    }
}

#[test]
fn a_notify_reaches_all_watchers_and_gathers_their_answers() {
    let scene = Scene::new();
    let (mut one, one_id) = scene.watcher(11, WATCH, 60);
    let (mut two, two_id) = scene.watcher(12, WATCH, 60);
    let mut notifier = scene.client();
    let id = start(&mut notifier, 77, 20, b"payload");
    for (client, cookie, answer) in [(&mut two, 12, &b"two"[..]), (&mut one, 11, b"one")] {
        let event = client.event().unwrap();
        assert_eq!(
            (event.opcode, event.cookie, event.notify_id),
            (WatchEvent::NOTIFY, cookie, id)
        );
        assert_eq!((event.ver, event.return_code), (scene.version, 0));
        assert!(event.notifier_gid != 0 && event.notifier_gid != one_id && event.notifier_gid != two_id);
        assert_eq!(event.payload, "payload");
        acknowledge(client, &event, answer);
    }
    let expected = answers(&[((one_id, 11), b"one"), ((two_id, 12), b"two")]);
    assert_eq!(completion(&mut notifier, 77, id), (0, expected));
}

#[test]
fn a_watcher_that_notifies_is_told_too_and_nobody_is_told_at_once() {
    let scene = Scene::new();
    let (mut client, gid) = scene.watcher(5, WATCH, 60);
    let id = start(&mut client, 9, 20, b"myself");
    let event = client.event().unwrap();
    assert_eq!((event.notify_id, event.notifier_gid), (id, gid));
    acknowledge(&mut client, &event, b"");
    assert_eq!(completion(&mut client, 9, id), (0, answers(&[((gid, 5), b"")])));
    assert_eq!(run(&mut client, [watch(5, UNWATCH, 0)]).result, 0);
    let id = start(&mut client, 10, 20, b"nobody");
    assert_eq!(completion(&mut client, 10, id), (0, NotifyReplies::default()));
}

#[test]
fn notifies_come_in_the_order_in_which_they_were_made() {
    let scene = Scene::new();
    let (mut watcher, gid) = scene.watcher(1, WATCH, 60);
    let mut notifier = scene.client();
    let ids: Vec<u64> = (0..5)
        .map(|n| start(&mut notifier, n, 20, &[b'0' + n as u8]))
        .collect();
    assert!(ids.is_sorted());
    let events: Vec<MWatchNotify> = ids.iter().map(|_| watcher.event().unwrap()).collect();
    assert_eq!(events.iter().map(|e| e.notify_id).collect::<Vec<_>>(), ids);
    // Answered the other way round, each is complete when it was answered.
    for (n, event) in events.iter().enumerate().rev() {
        acknowledge(&mut watcher, event, b"x");
        let cookie = n as u64;
        let expected = answers(&[((gid, 1), b"x")]);
        assert_eq!(completion(&mut notifier, cookie, ids[n]), (0, expected));
    }
}

#[test]
fn a_notify_that_a_watcher_does_not_answer_times_out_and_names_it() {
    let scene = Scene::new();
    let (mut quick, quick_id) = scene.watcher(1, WATCH, 60);
    let (mut slow, slow_id) = scene.watcher(2, WATCH, 60);
    let mut notifier = scene.client();
    let begun = Instant::now();
    let id = start(&mut notifier, 3, 2, b"anybody?");
    let event = quick.event().unwrap();
    acknowledge(&mut quick, &event, b"here");
    let mut expected = answers(&[((quick_id, 1), b"here")]);
    expected.missed = vec![(slow_id, 2)];
    assert_eq!(completion(&mut notifier, 3, id), (ETIMEDOUT, expected));
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(1900)..Duration::from_secs(6)).contains(&took),
        "{took:?}"
    );
    // The late answer is taken and leads to nothing; the watch goes on.
    let event = slow.event().unwrap();
    acknowledge(&mut slow, &event, b"late");
    let id = start(&mut notifier, 4, 20, b"again");
    for client in [&mut quick, &mut slow] {
        let event = client.event().unwrap();
        assert_eq!(event.notify_id, id);
        acknowledge(client, &event, b"");
    }
    let expected = answers(&[((quick_id, 1), b""), ((slow_id, 2), b"")]);
    assert_eq!(completion(&mut notifier, 4, id), (0, expected));
}

#[test]
fn a_watcher_that_goes_is_not_waited_for() {
    let scene = Scene::new();
    let (mut stays, stays_id) = scene.watcher(1, WATCH, 60);
    let (mut goes, _) = scene.watcher(2, WATCH, 60);
    let mut notifier = scene.client();
    let id = start(&mut notifier, 3, 20, b"");
    let event = stays.event().unwrap();
    acknowledge(&mut stays, &event, b"still here");
    assert_eq!(run(&mut goes, [watch(2, UNWATCH, 0)]).result, 0);
    let expected = answers(&[((stays_id, 1), b"still here")]);
    assert_eq!(completion(&mut notifier, 3, id), (0, expected));
}

#[test]
fn a_dead_watcher_is_waited_for_until_its_watch_times_out() {
    let scene = Scene::new();
    let (dead, _) = scene.watcher(1, WATCH, 3);
    let mut notifier = scene.client();
    drop(dead);
    let begun = Instant::now();
    let id = start(&mut notifier, 3, 25, b"");
    assert_eq!(completion(&mut notifier, 3, id), (0, NotifyReplies::default()));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(watchers(&mut notifier), []);
}

#[test]
fn a_watch_without_pings_ends_and_its_client_is_told() {
    let scene = Scene::new();
    let (mut client, _) = scene.watcher(1, WATCH, 2);
    let mut other = scene.client();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1000));
        assert_eq!(run(&mut client, [watch(1, PING, 0)]).result, 0);
    }
    assert_eq!(watchers(&mut other).len(), 1, "pings keep it");
    let event = client.event().unwrap();
    let shown = (event.opcode, event.cookie, event.ver, event.notify_id);
    assert_eq!(shown, (WatchEvent::DISCONNECT, 1, 0, 0));
    assert_eq!(watchers(&mut other), []);
    assert_eq!(run(&mut client, [watch(1, PING, 0)]).result, ENOTCONN);
    assert_eq!(run(&mut client, [watch(1, RECONNECT, 2)]).result, ENOTCONN);
    assert_eq!(run(&mut client, [watch(1, WATCH, 2)]).result, 0);
}

#[test]
fn a_connected_legacy_watch_needs_no_pings() {
    let scene = Scene::new();
    let (client, gid) = scene.watcher(1, LEGACY_WATCH, 2);
    let mut other = scene.client();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(watchers(&mut other), [(gid, 1)]);
    drop(client);
    let begun = Instant::now();
    while !watchers(&mut other).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "it stays without its client"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_watch_outlives_its_connection_and_gets_the_notify_that_it_missed() {
    let scene = Scene::new();
    let (mut watcher, gid) = scene.watcher(1, WATCH, 30);
    let mut notifier = scene.client();
    watcher.reconnect().unwrap();
    // Until the watch itself is connected again, a ping is refused.
    let begun = Instant::now();
    while run(&mut watcher, [watch(1, PING, 0)]).result != ETIMEDOUT {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the old connection is still there"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let id = start(&mut notifier, 3, 20, b"missed");
    assert_eq!(run(&mut watcher, [watch(1, RECONNECT, 30)]).result, 0);
    let event = watcher.event().unwrap();
    assert_eq!((event.notify_id, event.payload.as_ref()), (id, &b"missed"[..]));
    acknowledge(&mut watcher, &event, b"got it");
    let expected = answers(&[((gid, 1), b"got it")]);
    assert_eq!(completion(&mut notifier, 3, id), (0, expected));
    assert_eq!(run(&mut watcher, [watch(1, PING, 0)]).result, 0);
}

#[test]
fn the_removal_of_an_object_ends_its_watches() {
    let scene = Scene::new();
    let (mut watcher, _) = scene.watcher(1, WATCH, 30);
    let mut other = scene.client();
    assert_eq!(run(&mut other, [delete()]).result, 0);
    let event = watcher.event().unwrap();
    assert_eq!((event.opcode, event.cookie), (WatchEvent::DISCONNECT, 1));
    assert_eq!(run(&mut other, [setxattr("a", b"made anew")]).result, 0);
    assert_eq!(watchers(&mut other), []);
    assert_eq!(run(&mut watcher, [watch(1, PING, 0)]).result, ENOTCONN);
}

#[test]
fn watches_outlive_a_restart_of_the_server() {
    if against_ceph() {
        return;
    }
    let mut scene = Scene::new();
    let (watcher, gid) = scene.watcher(1, WATCH, 3);
    scene.cluster.kill();
    scene.cluster.launch();
    drop(watcher);
    let mut other = scene.client();
    assert_eq!(watchers(&mut other), [(gid, 1)]);
    let id = start(&mut other, 3, 25, b"");
    // Its client does not come back: the watch times out, and the notify waits no longer.
    assert_eq!(completion(&mut other, 3, id), (0, NotifyReplies::default()));
    assert_eq!(watchers(&mut other), []);
}
