//! A verified load of a stock client while a simulated CurveBS cluster below goes wrong: no wrong byte, no acknowledged write lost, no hang.
//! Skipped where images are not on CurveBS (`RBDGATE_TEST_BACKEND=curve`).

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::curve::{CurveSim, on_curve};
use rbdgate_tests::{fio, images};

/// No request may take longer.
const HANG: Duration = Duration::from_secs(30);

/// Makes trouble until it is told to stop.
struct Trouble<'a> {
    cluster: &'a Cluster,
    stop: &'a AtomicBool,
}

impl Trouble<'_> {
    fn tell(&self, command: &str) {
        let _ = self.curve().tell(command).unwrap();
    }

    fn curve(&self) -> &CurveSim {
        self.cluster.curve().unwrap()
    }

    /// Whether to go on, after a while.
    fn after(&self, milliseconds: u64) -> bool {
        for _ in 0..milliseconds.div_ceil(50) {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

/// A ceph.conf without a cache in the client, which would take the requests that are to be late.
fn uncached(cluster: &Cluster) -> String {
    let conf = std::fs::read_to_string(cluster.conf()).unwrap();
    cluster.file("uncached.conf", format!("{conf}\n[client]\nrbd_cache = false\n"))
}

/// Two jobs write and read back an image twice while there is trouble; then the server is killed, and has to have all.
fn under(trouble: impl FnOnce(&Trouble<'_>) + Send) {
    if !on_curve() {
        eprintln!("skipped: not on CurveBS");
        return;
    }
    let mut cluster = Cluster::start_on_curve(&["--mds", "0,0,0"]);
    cluster.rbd(&["create", "--size", "256M", "disk"]);
    let load = [
        "--name=load",
        "--rw=randwrite",
        "--bs=16k",
        "--iodepth=8",
        "--numjobs=2",
        "--size=16M",
        // One job across the end of a chunk.
        "--offset=8M",
        "--offset_increment=100M",
        "--loops=2",
        "--rate_iops=700",
        "--verify=crc32c",
        "--do_verify=1",
    ];
    let fio = fio::fio(&cluster, "disk", &load).env("CEPH_CONF", uncached(&cluster));
    let stop = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let (cluster, stop) = (&cluster, &stop);
        let trouble = scope.spawn(move || trouble(&Trouble { cluster, stop }));
        let outcome = cluster.attempt(fio);
        stop.store(true, Ordering::Relaxed);
        trouble.join().unwrap();
        outcome
    });
    let curve = cluster.curve().unwrap();
    let struck = curve.tell("clear").unwrap();
    assert!(outcome.status.success(), "{outcome}\n{}", cluster.log_tail());
    let report = fio::Report::of(&outcome).expect("a report");
    println!("the slowest took {:?}, {struck} faults", report.slowest());
    assert_eq!((report.written(), report.errors()), (64 << 20, 0), "{outcome}");
    assert!(report.slowest() < HANG, "{outcome}");
    assert_eq!(curve.tell("violations").unwrap(), "");
    let before = images::export(&cluster, "disk");
    cluster.kill();
    cluster.launch();
    assert!(images::export(&cluster, "disk") == before, "lost after a restart");
}

fn kill_each_in_turn(trouble: &Trouble<'_>) {
    for id in (1..=3).cycle() {
        trouble.tell(&format!("kill-chunkserver {id}"));
        let again = trouble.after(700);
        trouble.tell(&format!("start-chunkserver {id}"));
        if !(again && trouble.after(500)) {
            return;
        }
    }
}

#[test]
fn each_chunkserver_is_killed_and_restarted_in_turn() {
    under(kill_each_in_turn);
}

#[test]
fn the_mds_fails_over_while_images_are_made() {
    under(|trouble| {
        let data = trouble.cluster.file("small", vec![7; 64 << 10]);
        for number in 0.. {
            trouble.tell("fail-over-mds");
            let _ = trouble.cluster.rbd(&["import", &data, &format!("small{number}")]);
            if !trouble.after(700) {
                return;
            }
        }
    });
}

#[test]
fn all_leaders_move_each_second() {
    under(|trouble| {
        while trouble.after(1000) {
            trouble.tell("move-leaders 50");
        }
    });
}

#[test]
fn replies_requests_and_connections_are_lost() {
    under(|trouble| {
        for method in ["Chunk", "GetLeader", "Segment"] {
            trouble.tell(&format!("fault {method} 0.002 lose-reply"));
            trouble.tell(&format!("fault {method} 0.002 lose-request"));
            trouble.tell(&format!("fault {method} 0.002 close-before"));
            trouble.tell(&format!("fault {method} 0.002 close-after"));
        }
    });
}

#[test]
fn one_in_a_hundred_is_refused_with_overload() {
    under(|trouble| trouble.tell("fault ChunkService 0.01 status 9"));
}

#[test]
fn writes_are_applied_after_their_time_out() {
    under(|trouble| {
        trouble.tell("fault WriteChunk 0.002 late 1300");
        while trouble.after(300) {
            trouble.tell("shuffle-leaders 3");
        }
    });
}

#[test]
fn everything_goes_wrong_at_once() {
    under(|trouble| {
        trouble.tell("fault ChunkService 0.002 status 9");
        trouble.tell("fault Chunk 0.001 lose-reply");
        trouble.tell("fault Chunk 0.001 close-after");
        trouble.tell("fault WriteChunk 0.001 late 1300");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while trouble.after(1000) {
                    trouble.tell("fail-over-mds");
                    trouble.tell("move-leaders 50");
                }
            });
            kill_each_in_turn(trouble);
        });
    });
}

#[test]
fn a_copyset_without_a_leader_holds_up_its_own_chunks_alone_and_is_named_by_health() {
    if !on_curve() {
        eprintln!("skipped: not on CurveBS");
        return;
    }
    const FAR: usize = 96 << 20;
    let cluster = Cluster::start_on_curve(&[]);
    // Without a lock that the one who waits would have to give up.
    cluster.rbd(&["create", "--size", "128M", "--image-feature", "layering", "disk"]);
    let mut bytes = vec![0; 128 << 20];
    images::fill(&cluster, "disk", &mut bytes, 2, FAR, 1 << 20);
    let info = cluster.rbd(&["info", "--format", "json", "disk"]).json();
    let place = format!("/rbd/{}", info["id"].as_str().unwrap());
    let curve = cluster.curve().unwrap();
    let copyset_of = |place: &str, at: usize| curve.tell(&format!("copyset {place} {at}")).unwrap();
    let other = copyset_of(&place, FAR);
    let mut chunks = (0..FAR).step_by(16 << 20).map(|at| (at, copyset_of(&place, at)));
    let (near, copyset) = chunks.find(|(_, copyset)| *copyset != other).unwrap();
    images::fill(&cluster, "disk", &mut bytes, 1, near, 1 << 20);
    let _ = curve.tell(&format!("hold {copyset}")).unwrap();
    // More at a time than the server has threads to write with.
    let load = [
        "--name=stuck",
        "--rw=randwrite",
        "--bs=4k",
        "--iodepth=100",
        "--size=1M",
        &format!("--offset={near}"),
    ];
    let fio = fio::fio(&cluster, "disk", &load).env("CEPH_CONF", uncached(&cluster));
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| cluster.run(fio));
        std::thread::sleep(Duration::from_secs(2));
        for n in 3..9 {
            images::fill(&cluster, "disk", &mut bytes, n, FAR, 256 << 10);
        }
        cluster.rbd(&["create", "--size", "1G", "other"]);
        cluster.rbd(&["snap", "create", "other@s"]);
        assert!(!stuck.is_finished());
        let wanted = format!("copyset {copyset} of logical pool 2");
        let since = std::time::Instant::now();
        while !cluster.ceph(&["health", "detail"]).text().contains(&wanted) {
            assert!(since.elapsed() < HANG, "{}", cluster.ceph(&["health", "detail"]));
            std::thread::sleep(Duration::from_millis(500));
        }
        let _ = curve.tell(&format!("let-go {copyset}")).unwrap();
        let _ = stuck.join().unwrap();
    });
    let read = images::export(&cluster, "disk");
    let behind = near + (1 << 20);
    assert!(read[..near] == bytes[..near] && read[behind..] == bytes[behind..]);
}
