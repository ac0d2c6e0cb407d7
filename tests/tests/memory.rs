//! How much memory the server takes.

use rbdgate_tests::cluster::{Cluster, against_ceph};

/// A figure of `/proc/PID/status`, in bytes.
fn status(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line
        .trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    Some(kib << 10)
}

#[test]
fn what_large_writes_brought_is_not_kept() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let pid = cluster.rbdgate().pid().expect("a running server");
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    let load = ["bench", "--io-type", "write", "--io-size", "4M"];
    cluster.rbd(&[&load[..], &["--io-threads", "4", "--io-total", "1G", "disk"]].concat());
    let kept = status(pid, "RssAnon").expect("memory of the server");
    assert!(kept < 400 << 20, "{} MiB after 1 GiB of writes", kept >> 20);
}
