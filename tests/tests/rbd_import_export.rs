//! Images brought in and out by `rbd`, and `rbd bench`.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::path::Path;
use std::time::Duration;

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::data;
use rbdgate_tests::exec::Program;
use rbdgate_tests::images::bench;

/// Copies files of `source`, at most `limit` bytes of them, into `folder`.
fn copy_files(source: &Path, folder: &Path, limit: u64) -> std::io::Result<u64> {
    let mut copied = 0;
    let mut entries: Vec<_> = std::fs::read_dir(source)?.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if copied >= limit {
            break;
        }
        let kind = entry.file_type()?;
        let target = folder.join(entry.file_name());
        if kind.is_dir() {
            std::fs::create_dir_all(&target)?;
            copied += copy_files(&entry.path(), &target, limit - copied)?;
        } else if kind.is_file() {
            copied += std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(copied)
}

#[test]
fn an_ext4_file_system_survives_import_and_export() {
    let cluster = Cluster::start();
    let files = cluster.folder().join("files");
    std::fs::create_dir_all(&files).unwrap();
    let copied = copy_files(Path::new("/usr/share"), &files, 300 << 20).unwrap();
    assert!(copied > 10 << 20, "only {copied} bytes of real files");
    let (image, back) = (cluster.path("disk.img"), cluster.path("back.img"));
    let make = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-d",
        &cluster.path("files"),
        &image,
        "512M",
    ];
    cluster.run(Program::new("/usr/sbin/mkfs.ext4").args(make));
    let import = cluster.client("rbd", &["import", "--no-progress", &image, "disk"]);
    cluster.run(import.deadline(Duration::from_secs(180)));
    assert_eq!(
        cluster.rbd(&["info", "disk", "--format", "json"]).json()["size"],
        512 << 20
    );
    let export = cluster.client("rbd", &["export", "--no-progress", "disk", &back]);
    cluster.run(export.deadline(Duration::from_secs(180)));
    cluster.run(Program::new("cmp").args([&image, &back]));
    cluster.run(Program::new("/usr/sbin/e2fsck").args(["-f", "-n", &back]));
}

#[test]
fn import_and_export_go_through_pipes() {
    let cluster = Cluster::start();
    // Not a multiple of the object size, nor of 512.
    let bytes = data::bytes(1, (5 << 20) + 4321);
    let import = cluster
        .client("rbd", &["import", "--no-progress", "-", "disk"])
        .stdin(bytes.clone());
    cluster.run(import);
    let export = cluster.rbd(&["export", "--no-progress", "disk", "-"]);
    assert!(export.stdout == bytes, "what came out is not what went in");
}

#[test]
fn import_with_small_objects_is_byte_equal() {
    let cluster = Cluster::start();
    let bytes = data::bytes(2, (3 << 20) + 512);
    let source = cluster.file("source", &bytes);
    cluster.rbd(&["import", "--no-progress", "--object-size", "16K", &source, "disk"]);
    cluster.rbd(&["export", "--no-progress", "disk", &cluster.path("back")]);
    assert!(cluster.read("back") == bytes, "what came out is not what went in");
}

#[test]
fn zeroes_take_no_space() {
    let cluster = Cluster::start();
    let mut bytes = vec![0; 64 << 20];
    bytes[40 << 20..(40 << 20) + 4096].copy_from_slice(&data::bytes(3, 4096));
    let source = cluster.file("source", &bytes);
    cluster.rbd(&["import", "--no-progress", &source, "disk"]);
    let du = cluster.rbd(&["du", "disk", "--format", "json"]).json();
    assert_eq!(du["images"][0]["used_size"], 4 << 20, "one object exists");
    cluster.rbd(&["export", "--no-progress", "disk", &cluster.path("back")]);
    assert!(cluster.read("back") == bytes, "what came out is not what went in");
}

#[test]
fn cp_makes_an_equal_image() {
    let cluster = Cluster::start();
    let bytes = data::bytes(4, 9 << 20);
    let source = cluster.file("source", &bytes);
    cluster.rbd(&["import", "--no-progress", &source, "one"]);
    cluster.rbd(&["cp", "--no-progress", "one", "two"]);
    cluster.rbd(&["export", "--no-progress", "two", &cluster.path("back")]);
    assert!(cluster.read("back") == bytes, "the copy differs");
}

#[test]
fn export_diff_and_import_diff_carry_the_content() {
    let cluster = Cluster::start();
    let bytes = data::bytes(5, 6 << 20);
    let source = cluster.file("source", &bytes);
    cluster.rbd(&["import", "--no-progress", &source, "one"]);
    cluster.rbd(&["export-diff", "--no-progress", "one", &cluster.path("diff")]);
    cluster.rbd(&["create", "--size", "6M", "two"]);
    cluster.rbd(&["import-diff", "--no-progress", &cluster.path("diff"), "two"]);
    cluster.rbd(&["export", "--no-progress", "two", &cluster.path("back")]);
    assert!(cluster.read("back") == bytes, "the copy differs");
}

#[test]
fn rbd_bench_writes_and_reads() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "256M", "disk"]);
    for (kind, pattern) in [
        ("write", "rand"),
        ("write", "seq"),
        ("read", "rand"),
        ("rw", "rand"),
    ] {
        let how = ["--io-threads", "16", "--io-pattern", pattern, "disk"];
        let bench = cluster.rbd(&bench(kind, "4K", "8M", &how));
        assert!(bench.text().contains("elapsed:"), "{bench}");
    }
}
