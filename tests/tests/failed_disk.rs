//! A disk that fails under a server: the server ends before it could say anything false, clients wait for it as they
//! wait for an OSD that aborted, and everything acknowledged is there. Errors are put in by strace; without it, or
//! without the right to trace, the test says so and does nothing.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::curve::on_curve;

/// A strace that has all writes and syncs of a process fail.
struct Failing(Child);

impl Failing {
    fn start(pid: u32, calls: &str) -> Option<Self> {
        let inject = format!("inject={calls}:error=EIO");
        let strace = Command::new("strace")
            .args([
                "-f",
                "-e",
                &format!("trace={calls}"),
                "-e",
                &inject,
                "-p",
                &pid.to_string(),
            ])
            .stderr(Stdio::piped())
            .spawn();
        let mut strace = strace.ok()?;
        let stderr = strace.stderr.take().unwrap();
        let mut lines = BufReader::new(stderr).lines();
        let attached = lines
            .next()
            .is_some_and(|line| line.unwrap().contains("attached"));
        if !attached {
            let _ = strace.wait();
            return None;
        }
        // What it prints must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self(strace))
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has calls fail while a client writes, which is `answered` if what it wrote is durable before the first of them.
fn fails_with(calls: &str, answered: bool) {
    if against_ceph() || on_curve() {
        return;
    }
    let mut cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let (first, second) = (
        cluster.file("first", vec![1; 300_000]),
        cluster.file("second", vec![2; 1000]),
    );
    cluster.rados(&["-p", "rbd", "put", "object", &first]);
    let pid = cluster.rbdgate().pid().unwrap();
    let Some(failing) = Failing::start(pid, calls) else {
        println!("strace cannot trace here: not tested");
        return;
    };
    let mut writer = cluster
        .client("rados", &["-p", "rbd", "put", "object", &second])
        .spawn()
        .unwrap();
    let since = Instant::now();
    while cluster.rbdgate().is_running() {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "it goes on\n{}",
            cluster.log_tail()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(failing);
    let log = cluster.log_tail();
    assert!(
        log.contains("the store has failed") && log.contains("the store failed: stopping"),
        "{log}"
    );
    // A client that was not answered was told nothing else either, and waits.
    assert_eq!(writer.try_wait().unwrap().is_some(), answered);
    let got = cluster.path("got");
    cluster.kill();
    cluster.launch();
    let status = rbdgate_tests::exec::wait(&mut writer, Duration::from_secs(60)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    cluster.rados(&["-p", "rbd", "get", "object", &got]);
    assert_eq!(cluster.read("got"), vec![2; 1000]);
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_server_and_clients_go_on_after_a_restart() {
    fails_with("pwrite64,pwritev2", false);
}

#[test]
fn a_checkpoint_that_cannot_be_synced_ends_the_server_and_what_was_acknowledged_is_there() {
    fails_with("fsync,fdatasync", true);
}
