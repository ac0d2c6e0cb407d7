//! How much memory the server takes.

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::images::bench;
use rbdgate_tests::process::memory;

#[test]
fn what_large_writes_brought_is_kept_as_far_as_the_read_cache_goes() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start_with(&["--read-cache", "64M"]);
    let pid = cluster.rbdgate().pid().expect("a running server");
    cluster.rbd(&["create", "--size", "1G", "disk"]);
    cluster.rbd(&bench("write", "4M", "1G", &["--io-threads", "4", "disk"]));
    let kept = memory(pid, "RssAnon");
    assert!(kept < 400 << 20, "{} MiB after 1 GiB of writes", kept >> 20);
}
