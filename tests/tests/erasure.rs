//! Erasure-coded pools: what clients find out about them, and images whose data is in one.

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::images::bench;

/// With one OSD, real daemons never serve a pool of three chunks: these are tests of rbdgate alone.
fn cluster_with_pools() -> Option<Cluster> {
    if against_ceph() {
        return None;
    }
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "erasure-code-profile", "set", "p", "k=2", "m=1"]);
    for pool in ["aligned", "overwrites"] {
        cluster.ceph(&["osd", "pool", "create", pool, "8", "8", "erasure", "p"]);
    }
    cluster.ceph(&["osd", "pool", "set", "overwrites", "allow_ec_overwrites", "true"]);
    Some(cluster)
}

#[test]
fn ops_are_answered_as_by_cephs_osds() {
    let Some(cluster) = cluster_with_pools() else {
        return;
    };
    let mut answers = String::new();
    for pool in ["aligned", "overwrites"] {
        let outcome = cluster.run(cluster.python("erasure_ops.py", &[pool]));
        answers += &format!("# {pool}\n{}\n", outcome.text().trim_end());
    }
    let recorded = include_str!("../testdata/erasure_ops.txt");
    for (ours, theirs) in answers.lines().zip(recorded.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(answers.lines().count(), recorded.lines().count());
}

#[test]
fn an_image_keeps_its_data_in_a_pool_with_overwrites() {
    let Some(mut cluster) = cluster_with_pools() else {
        return;
    };
    let data: Vec<u8> = (0..8_u32 << 20).map(|n| (n / 4099) as u8).collect();
    let file = cluster.file("content", &data);
    cluster.rbd(&[
        "import",
        "--no-progress",
        "--data-pool",
        "overwrites",
        &file,
        "disk",
    ]);
    cluster.rbd(&["snap", "create", "--no-progress", "disk@s"]);
    cluster.rbd(&["snap", "protect", "disk@s"]);
    cluster.rbd(&["clone", "--data-pool", "overwrites", "disk@s", "clone"]);
    for image in ["disk", "clone"] {
        cluster.rbd(&bench("write", "4K", "1M", &["--io-pattern", "rand", image]));
    }
    cluster.kill();
    cluster.launch();
    let back = cluster.path("back");
    cluster.rbd(&["export", "--no-progress", "disk@s", &back]);
    assert!(cluster.read("back") == data);
    cluster.rbd(&["flatten", "--no-progress", "clone"]);
    cluster.rbd(&["snap", "unprotect", "disk@s"]);
    cluster.rbd(&["snap", "rollback", "--no-progress", "disk@s"]);
    let again = cluster.path("again");
    cluster.rbd(&["export", "--no-progress", "disk", &again]);
    assert!(cluster.read("again") == data);
    cluster.rbd(&["snap", "purge", "--no-progress", "disk"]);
    cluster.rbd(&["rm", "--no-progress", "disk"]);
    cluster.rbd(&["rm", "--no-progress", "clone"]);
}

#[test]
fn a_pool_without_overwrites_is_refused_for_the_data_of_images() {
    let Some(cluster) = cluster_with_pools() else {
        return;
    };
    let create = ["create", "--size", "8M", "--data-pool", "aligned", "disk"];
    let outcome = cluster.rbd_fails(22, &create);
    assert!(
        outcome
            .errors()
            .contains("pool missing required overwrite support"),
        "{outcome}"
    );
}

#[test]
fn a_pool_keeps_its_crush_rule_over_a_restart() {
    let Some(mut cluster) = cluster_with_pools() else {
        return;
    };
    let rules = |cluster: &Cluster| cluster.ceph(&["osd", "crush", "rule", "dump"]).text();
    let before = rules(&cluster);
    assert!(before.contains("chooseleaf_indep"), "{before}");
    cluster.kill();
    cluster.launch();
    assert_eq!(rules(&cluster), before);
    cluster.rados(&["-p", "overwrites", "put", "object", "/etc/hostname"]);
}
