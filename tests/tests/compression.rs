//! On-wire compression with stock clients that know it (Quincy and later), by each algorithm they have.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::data;
use rbdgate_tests::exec::{Program, wait};
use rbdgate_tests::generations::{Generation, Mode};

/// Generations whose clients compress at all.
const ABLE: [&str; 4] = ["quincy", "reef", "squid", "tentacle"];

/// The clients there are that compress.
fn able() -> Vec<Generation> {
    let all = Generation::all()
        .unwrap()
        .into_iter()
        .filter(Generation::is_there);
    all.filter(|generation| generation.name().is_ok_and(|name| ABLE.contains(&name.as_str())))
        .collect()
}

/// The folder of libraries that [`can_load`] fills, as clients in chroots see it.
const LIBRARIES: &str = "/mnt/work/lib";

/// Whether this client can load its plugin of that algorithm. Debian's packages do not pull in all libraries
/// that plugins need; what this machine has of them is lent.
fn can_load(cluster: &Cluster, generation: &Generation, algorithm: &str) -> bool {
    let _ = std::fs::create_dir_all(cluster.path("lib"));
    let plugin = format!("/usr/lib/x86_64-linux-gnu/ceph/compressor/libceph_{algorithm}.so");
    let needs = cluster.run(client(cluster, generation, "ldd").args([&plugin]));
    let mut missing = needs
        .lines()
        .into_iter()
        .filter(|line| line.contains("not found"));
    let lend = |line: String| {
        let name = line.split_whitespace().next().unwrap().to_owned();
        let ours = format!("/lib/x86_64-linux-gnu/{name}");
        std::fs::copy(ours, cluster.path(&format!("lib/{name}"))).is_ok()
    };
    missing.all(lend)
}

fn client(cluster: &Cluster, generation: &Generation, program: &str) -> Program {
    let program = generation.program(cluster.folder(), program);
    program.env("LD_LIBRARY_PATH", LIBRARIES)
}

/// A ceph.conf for this client, with these lines too.
fn conf(cluster: &Cluster, generation: &Generation, mode: Mode, extra: &str) -> String {
    let server = std::fs::read_to_string(cluster.conf()).unwrap();
    let keyring: PathBuf = cluster.keyring();
    let keyring = keyring.strip_prefix(cluster.folder()).unwrap();
    let keyring = generation.seen(cluster.folder()).join(keyring);
    let text = mode.conf(&server, &keyring, 0) + extra;
    let _ = cluster.file("client.conf", text);
    "client.conf".to_owned()
}

/// How the sessions with the OSD are compressed, as the admin socket tells, while a client holds an image open.
fn compression_seen(cluster: &Cluster, generation: &Generation, conf: &str) -> Vec<String> {
    let holder = generation.python(cluster.folder(), "hold_open.py");
    let holder = holder.env("LD_LIBRARY_PATH", LIBRARIES);
    let mut holder = holder.args([conf, "disk", "5"]).spawn().unwrap();
    let begun = Instant::now();
    let mut seen = Vec::new();
    while seen.is_empty() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(500));
        seen = sessions_with_the_osd(cluster);
    }
    let status = wait(&mut holder, Duration::from_secs(60)).unwrap();
    assert!(status.is_some_and(|s| s.success()), "{}", cluster.log_tail());
    seen
}

fn sessions_with_the_osd(cluster: &Cluster) -> Vec<String> {
    let socket = cluster.path("data/rbdgate.asok");
    let sessions = cluster
        .run(Program::new("ceph").args(["daemon", &socket, "sessions"]))
        .json();
    let sessions = sessions.as_array().unwrap().iter();
    let with_osd = sessions.filter(|s| s["daemon"] == "osd.0");
    with_osd
        .map(|s| s["compression"].as_str().unwrap().to_owned())
        .collect()
}

/// Bytes that pack well, and some that do not.
fn content() -> Vec<u8> {
    let mut bytes = b"rbdgate ".repeat(3 << 17);
    bytes.extend_from_slice(&data::bytes(9, 1 << 20));
    bytes
}

/// Imports and exports an image; the bytes must be the same.
fn there_and_back(cluster: &Cluster, generation: &Generation, conf: &str) {
    let rbd = |args: &[&str]| {
        let program = client(cluster, generation, "rbd").args(["-c", conf]).args(args);
        cluster.run(program.deadline(Duration::from_secs(120)))
    };
    let _ = cluster.file("in", content());
    let _ = std::fs::remove_file(cluster.path("out"));
    rbd(&["import", "in", "disk"]);
    rbd(&["export", "disk", "out"]);
    assert!(cluster.read("out") == content(), "other bytes came back");
}

fn remove(cluster: &Cluster) {
    cluster.rbd(&["rm", "disk"]);
}

#[test]
fn stock_clients_compress_with_each_algorithm_in_crc_and_in_secure_mode() {
    if against_ceph() {
        return;
    }
    let cluster = Cluster::start_with(&["--compress", "force", "--compress-secure", "true"]);
    for generation in able() {
        for algorithm in ["lz4", "zstd", "snappy"] {
            if !can_load(&cluster, &generation, algorithm) {
                eprintln!("{}: its {algorithm} plugin cannot be loaded", generation.origin());
                continue;
            }
            for mode in [Mode::Crc, Mode::Secure] {
                let extra = format!(
                    "ms_osd_compress_mode = force\nms_osd_compression_algorithm = {algorithm}\n\
                     ms_compress_secure = true\nms_osd_compress_min_size = 1\n"
                );
                let conf = conf(&cluster, &generation, mode, &extra);
                there_and_back(&cluster, &generation, &conf);
                let seen = compression_seen(&cluster, &generation, &conf);
                assert_eq!(seen, [algorithm], "{} {}", generation.origin(), mode.title());
                remove(&cluster);
            }
        }
    }
}

#[test]
fn a_stock_client_is_served_uncompressed_if_either_side_does_not_want_it() {
    if against_ceph() {
        return;
    }
    let wanting = "ms_osd_compress_mode = force\nms_osd_compression_algorithm = lz4\n";
    let zlib = "ms_osd_compress_mode = force\nms_osd_compression_algorithm = zlib\n";
    for (server, client, mode) in [
        (&[][..], wanting, Mode::Crc),
        (&["--compress", "force"], "", Mode::Crc),
        (&["--compress", "force"], zlib, Mode::Crc),
        (
            &["--compress", "force", "--compress-algorithms", "zstd"],
            wanting,
            Mode::Crc,
        ),
        (&["--compress", "force"], wanting, Mode::Secure),
    ] {
        let cluster = Cluster::start_with(server);
        for generation in able().into_iter().take(1) {
            let conf = conf(&cluster, &generation, mode, client);
            there_and_back(&cluster, &generation, &conf);
            let seen = compression_seen(&cluster, &generation, &conf);
            assert_eq!(seen, ["none"], "{server:?} {client:?}");
        }
    }
}
