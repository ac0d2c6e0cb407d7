//! Mixed clients for a long time, while everything around goes wrong in turn: kills, a full disk, steps of the clock, no
//! descriptors left. What was acknowledged is there, and memory and descriptors stay what they were.
//!
//! With images on a simulated CurveBS cluster it is that cluster that goes wrong: chunkservers, leaders, the MDS, replies, space.
//!
//! `RBDGATE_SOAK_SECONDS` says how long, three minutes if it is not set; `tests/run.sh soak` takes half an hour, and
//! `tests/run.sh soak-curve` ten minutes on CurveBS.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

#[path = "soak/curve.rs"]
mod curve;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph, temporary_folder};
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::exec::Program;
use rbdgate_tests::images::bench;
use rbdgate_tests::process;
use rbdgate_tests::small_disk::SmallDisk;
use rbdgate_tests::verified_writer::Writer;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

/// Debian's libfaketime, with which the server's clock is stepped.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// What may be taken of memory beyond what the first rounds took, in bytes: the allocator's arenas fill in time.
const MEMORY: u64 = 64 << 20;

/// Something that goes wrong.
type Wrong = fn(&mut Soak);

/// What goes wrong with images in local files.
const WRONGS: [(&str, Wrong); 5] = [
    ("stop and start", Soak::stopped_and_started),
    ("the disk is full", Soak::disk_full),
    ("the clock is stepped", Soak::clock_stepped),
    ("no descriptors are left", Soak::no_descriptors),
    ("kill -9", Soak::killed),
];

/// The server and what is done to it.
struct Soak {
    cluster: Cluster,
    writer: Writer,
    disk: Option<SmallDisk>,
    /// What the server's clock is off by.
    clock: PathBuf,
    // After the server.
    _left_by_faketime: LeftByFaketime,
}

/// Removes what libfaketime would share with the children of processes that were killed.
struct LeftByFaketime;

impl Drop for LeftByFaketime {
    fn drop(&mut self) {
        for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = ["faketime_shm_", "sem.faketime_sem_"]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix)?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Soak {
    fn start() -> Self {
        // On CurveBS data is not on a disk of this machine.
        let disk = (!on_curve()).then(|| SmallDisk::new(1024)).flatten();
        let folder = match &disk {
            Some(disk) => tempfile::tempdir_in(disk.mount()).unwrap(),
            None => temporary_folder().unwrap(),
        };
        let clock = folder.path().join("clock");
        std::fs::write(&clock, "+0").unwrap();
        let file = clock.display().to_string();
        let mut environment = vec![
            ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        if Path::new(FAKETIME).exists() {
            environment.push(("LD_PRELOAD", FAKETIME));
        } else {
            eprintln!("the clock is not stepped: there is no {FAKETIME}");
        }
        // What is reached soon, so that memory that grows is seen.
        let memory = ["--session-memory", "40M", "--read-cache", "16M"];
        let cluster = Cluster::start_above(&["--mds", "0,0,0"], folder, &memory, &environment);
        cluster.rbd(&["create", "--size", "64M", "disk"]);
        Self {
            writer: Writer::start(&cluster),
            cluster,
            disk,
            clock,
            _left_by_faketime: LeftByFaketime,
        }
    }

    fn pid(&mut self) -> Pid {
        Pid::from_raw(self.cluster.rbdgate().pid().unwrap() as i32).unwrap()
    }

    fn killed(&mut self) {
        self.cluster.kill();
        self.cluster.launch();
    }

    fn stopped_and_started(&mut self) {
        let (status, _) = self.cluster.rbdgate().stop(Signal::TERM).unwrap();
        assert!(status.success(), "{status}");
        self.cluster.launch();
    }

    /// Writes are refused then, so the verified ones are held back; others go on and fail.
    fn disk_full(&mut self) {
        let Some(disk) = &self.disk else { return };
        self.writer.ask(&self.cluster, "hold", "held");
        let filler = disk.fill(8 << 20);
        std::thread::sleep(Duration::from_secs(4));
        std::fs::remove_file(filler).unwrap();
        let begun = Instant::now();
        while self.cluster.ceph(&["health"]).text().contains("full") {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// An hour and a half ahead, which rotates keys, and back again.
    fn clock_stepped(&mut self) {
        std::fs::write(&self.clock, "+5400").unwrap();
        std::thread::sleep(Duration::from_secs(6));
        self.cluster.ceph(&["-s"]);
        std::fs::write(&self.clock, "+0").unwrap();
        std::thread::sleep(Duration::from_secs(2));
        self.cluster.ceph(&["-s"]);
    }

    fn no_descriptors(&mut self) {
        let pid = self.pid();
        let before = prlimit(Some(pid), Resource::Nofile, limit(descriptors(pid) + 20)).unwrap();
        let at = ("127.0.0.1", self.cluster.rbdgate().ports().mon_v2());
        let strangers: Vec<_> = (0..100).map(|_| TcpStream::connect(at).unwrap()).collect();
        std::thread::sleep(Duration::from_secs(2));
        drop(strangers);
        prlimit(Some(pid), Resource::Nofile, before).unwrap();
        self.cluster.ceph(&["-s"]);
    }
}

fn limit(files: u64) -> Rlimit {
    Rlimit {
        current: Some(files),
        maximum: getrlimit(Resource::Nofile).maximum,
    }
}

fn descriptors(pid: Pid) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_pid())).unwrap();
    open.count() as u64
}

/// What a person does with images, again and again, while things go wrong: with whatever outcome, but not without one.
fn use_images(conf: &Path, name: &str, over: &AtomicBool) -> u32 {
    let (first, clone) = (format!("{name}@first"), format!("{name}-clone"));
    let load = bench("readwrite", "64K", "8M", &[name]);
    let all: [&[&str]; 9] = [
        &["create", "--size", "16M", name],
        &load,
        &["snap", "create", "--no-progress", &first],
        &load,
        &["clone", "--rbd-default-clone-format", "2", &first, &clone],
        &["flatten", "--no-progress", &clone],
        &["rm", "--no-progress", &clone],
        &["snap", "purge", "--no-progress", name],
        &["rm", "--no-progress", name],
    ];
    let mut done = 0;
    while !over.load(Relaxed) {
        for args in all {
            let program = Program::new("rbd")
                .args(["-c", &conf.display().to_string()])
                .args(args);
            let outcome = program.deadline(Duration::from_secs(90)).run().unwrap();
            done += u32::from(outcome.status.success());
        }
    }
    done
}

#[test]
fn nothing_is_lost_and_nothing_grows_while_everything_goes_wrong() {
    if against_ceph() {
        return;
    }
    let seconds = std::env::var("RBDGATE_SOAK_SECONDS").ok();
    let time = Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(180));
    let mut soak = Soak::start();
    let wrongs = if on_curve() { &curve::WRONGS[..] } else { &WRONGS };
    let over = Arc::new(AtomicBool::new(false));
    let others = ["one", "two"].map(|name| {
        let (conf, over) = (soak.cluster.conf(), Arc::clone(&over));
        std::thread::spawn(move || use_images(&conf, name, &over))
    });
    let begun = Instant::now();
    let (mut most, mut first_round) = (0, true);
    while begun.elapsed() < time {
        for (name, wrong) in wrongs {
            wrong(&mut soak);
            let answer = soak.writer.ask(&soak.cluster, "check", "checked ");
            let pid = soak.pid();
            let (memory, open) = (
                process::memory(pid.as_raw_pid().cast_unsigned(), "RssAnon"),
                descriptors(pid),
            );
            println!(
                "{:?}: {name}: {answer}, {} MiB, {open} files",
                begun.elapsed(),
                memory >> 20
            );
            most = if first_round { memory.max(most) } else { most };
            assert!(
                memory <= most + MEMORY,
                "{} MiB after {} MiB",
                memory >> 20,
                most >> 20
            );
            assert!(open < 200, "{open} files are open");
        }
        first_round = false;
    }
    over.store(true, Relaxed);
    let done = others.map(|other| other.join().unwrap());
    println!("{done:?} commands of others succeeded");
    assert!(done.into_iter().min() > Some(9), "{done:?}");
    soak.writer.ask(&soak.cluster, "finish", "finished ");
    soak.stopped_and_started();
    soak.cluster
        .rbd(&["object-map", "check", "--no-progress", "disk"]);
    if let Some(curve) = soak.cluster.curve() {
        assert_eq!(curve.tell("violations").unwrap(), "");
        let (status, _) = soak.cluster.rbdgate().stop(Signal::TERM).unwrap();
        assert!(status.success(), "{status}");
        soak.cluster.run(soak.cluster.command(&["fsck"]));
    }
}
