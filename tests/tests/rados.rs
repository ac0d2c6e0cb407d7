//! Plain objects by way of the `rados` command.

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::data;
use serde_json::json;

/// The pool's objects in order, without those that make it a pool of images (`rbd_info`).
fn objects(cluster: &Cluster) -> Vec<String> {
    let mut names = cluster.rados(&["ls"]).lines();
    names.retain(|name| !name.starts_with("rbd_"));
    names.sort();
    names
}

#[test]
fn put_and_get_are_byte_equal() {
    let cluster = Cluster::start();
    // Empty, small, and larger than one write of the tool (4 MiB).
    for (i, len) in [0, 1, 4095, 4096, (9 << 20) + 17].into_iter().enumerate() {
        let bytes = data::bytes(i as u64, len);
        let source = cluster.file("source", &bytes);
        cluster.rados(&["put", "thing", &source]);
        cluster.rados(&["get", "thing", &cluster.path("back")]);
        assert!(cluster.read("back") == bytes, "{len} bytes came back different");
    }
}

#[test]
fn put_at_an_offset_keeps_the_rest() {
    let cluster = Cluster::start();
    let first = cluster.file("first", vec![1; 10_000]);
    let second = cluster.file("second", vec![2; 100]);
    cluster.rados(&["put", "thing", &first]);
    cluster.rados(&["put", "--offset", "5000", "thing", &second]);
    cluster.rados(&["get", "thing", &cluster.path("back")]);
    let mut expected = vec![1; 10_000];
    expected[5000..5100].fill(2);
    assert!(cluster.read("back") == expected, "content differs");
}

#[test]
fn append_adds_at_the_end() {
    let cluster = Cluster::start();
    for text in ["one,", "two,", "three"] {
        let source = cluster.file("source", text);
        cluster.rados(&["append", "thing", &source]);
    }
    let back = cluster.rados(&["get", "thing", "-"]);
    assert_eq!(back.text(), "one,two,three");
}

#[test]
fn truncate_cuts_and_extends_with_zeroes() {
    let cluster = Cluster::start();
    let source = cluster.file("source", vec![7; 8192]);
    cluster.rados(&["put", "thing", &source]);
    cluster.rados(&["truncate", "thing", "100"]);
    cluster.rados(&["truncate", "thing", "300"]);
    cluster.rados(&["get", "thing", &cluster.path("back")]);
    let expected = [vec![7; 100], vec![0; 200]].concat();
    assert_eq!(cluster.read("back"), expected);
}

#[test]
fn stat_shows_the_size() {
    let cluster = Cluster::start();
    let source = cluster.file("source", vec![1; 12_345]);
    cluster.rados(&["put", "thing", &source]);
    let stat = cluster.rados(&["stat", "thing"]).text();
    assert!(
        stat.starts_with("rbd/thing mtime 20") && stat.ends_with(", size 12345"),
        "{stat}"
    );
}

#[test]
fn ls_shows_every_object_once() {
    let cluster = Cluster::start();
    let source = cluster.file("source", "x");
    let mut names: Vec<String> = (0..40).map(|i| format!("object.{i:03}")).collect();
    names.push("a name with blanks".to_owned());
    for name in &names {
        cluster.rados(&["put", name, &source]);
    }
    names.sort();
    assert_eq!(objects(&cluster), names);
}

#[test]
fn namespaces_are_apart() {
    let cluster = Cluster::start();
    let (one, two) = (cluster.file("one", "one"), cluster.file("two", "two"));
    cluster.rados(&["put", "thing", &one]);
    cluster.rados(&["-N", "other", "put", "thing", &two]);
    assert_eq!(cluster.rados(&["get", "thing", "-"]).text(), "one");
    assert_eq!(cluster.rados(&["-N", "other", "get", "thing", "-"]).text(), "two");
    cluster.rados(&["-N", "other", "rm", "thing"]);
    assert_eq!(objects(&cluster), ["thing"]);
    assert_eq!(cluster.rados(&["-N", "other", "ls"]).text(), "");
}

#[test]
fn rm_removes_and_says_when_there_is_nothing() {
    let cluster = Cluster::start();
    let source = cluster.file("source", "x");
    cluster.rados(&["put", "thing", &source]);
    cluster.rados(&["rm", "thing"]);
    assert!(objects(&cluster).is_empty());
    for command in [&["rm", "thing"][..], &["stat", "thing"], &["get", "thing", "-"]] {
        let refused = cluster.attempt(cluster.client("rados", &["-p", "rbd"]).args(command));
        assert!(!refused.status.success(), "{refused}");
        assert!(
            refused.errors().contains("(2) No such file or directory"),
            "{refused}"
        );
    }
}

#[test]
fn xattrs_are_set_read_listed_and_removed() {
    let cluster = Cluster::start();
    let source = cluster.file("source", "x");
    cluster.rados(&["put", "thing", &source]);
    cluster.rados(&["setxattr", "thing", "colour", "blue"]);
    cluster.rados(&["setxattr", "thing", "size", "large"]);
    assert_eq!(cluster.rados(&["getxattr", "thing", "colour"]).text(), "blue");
    assert_eq!(cluster.rados(&["listxattr", "thing"]).lines(), ["colour", "size"]);
    cluster.rados(&["rmxattr", "thing", "colour"]);
    assert_eq!(cluster.rados(&["listxattr", "thing"]).lines(), ["size"]);
    let gone = cluster.attempt(cluster.client("rados", &["-p", "rbd", "getxattr", "thing", "colour"]));
    assert!(gone.errors().contains("(61) No data available"), "{gone}");
}

#[test]
fn omap_is_set_read_listed_and_removed() {
    let cluster = Cluster::start();
    cluster.rados(&["create", "thing"]);
    for (key, value) in [("b", "two"), ("a", "one"), ("c", "three")] {
        cluster.rados(&["setomapval", "thing", key, value]);
    }
    assert_eq!(cluster.rados(&["listomapkeys", "thing"]).lines(), ["a", "b", "c"]);
    cluster.rados(&["getomapval", "thing", "b", &cluster.path("value")]);
    assert_eq!(cluster.read("value"), b"two");
    let values = cluster.rados(&["listomapvals", "thing"]).text();
    assert!(values.contains("value (5 bytes)"), "{values}");
    cluster.rados(&["rmomapkey", "thing", "b"]);
    assert_eq!(cluster.rados(&["listomapkeys", "thing"]).lines(), ["a", "c"]);
    cluster.rados(&["clearomap", "thing"]);
    assert_eq!(cluster.rados(&["listomapkeys", "thing"]).text(), "");
}

#[test]
fn the_omap_header_is_kept() {
    let cluster = Cluster::start();
    cluster.rados(&["create", "thing"]);
    cluster.rados(&["setomapheader", "thing", "head and tail"]);
    cluster.rados(&["getomapheader", "thing", &cluster.path("header")]);
    assert_eq!(cluster.read("header"), b"head and tail");
}

#[test]
fn a_second_exclusive_create_is_refused() {
    let cluster = Cluster::start();
    cluster.rados(&["create", "thing"]);
    let refused = cluster.attempt(cluster.client("rados", &["-p", "rbd", "create", "thing"]));
    assert!(refused.errors().contains("(17) File exists"), "{refused}");
}

#[test]
fn a_notification_reaches_the_watcher() {
    let cluster = Cluster::start();
    let received = cluster.run(cluster.python("watch_notify.py", &[]));
    assert_eq!(
        received.lines(),
        [
            "notified b'hello'",
            "acknowledged b'heard'",
            "watchers 1",
            "watchers 0"
        ]
    );
}

#[test]
fn bench_writes_and_reads_in_sequence() {
    let cluster = Cluster::start();
    let write = cluster.rados(&[
        "bench",
        "3",
        "write",
        "-b",
        "65536",
        "-t",
        "8",
        "--no-cleanup",
        "-f",
        "json",
    ]);
    assert!(!write.stdout.is_empty(), "{write}");
    for kind in ["seq", "rand"] {
        let read = cluster.rados(&["bench", "2", kind, "-t", "8"]);
        assert!(read.text().contains("Total reads made:"), "{read}");
    }
    cluster.rados(&["cleanup"]);
    assert!(objects(&cluster).is_empty());
}

#[test]
fn lspools_and_df_of_the_tool() {
    let cluster = Cluster::start();
    let pools = cluster.run(cluster.client("rados", &["lspools"])).lines();
    assert!(pools.contains(&"rbd".to_owned()), "{pools:?}");
    let df = cluster.run(cluster.client("rados", &["df", "-f", "json"])).json();
    let names = df["pools"].as_array().cloned().unwrap_or_default();
    assert!(names.iter().any(|pool| pool["name"] == json!("rbd")), "{df}");
}
