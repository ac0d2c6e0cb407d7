//! Kernel clients: images mapped by the rbd module of real kernels, in each of its modes.
//!
//! This takes minutes, so it runs only with `RBDGATE_KERNELS_TABLE=FILE`, where it writes a table as Markdown: `tests/run.sh kernels`
//! does that, after it has made the kernels. One that cannot be had is in the table as not run.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::fmt::Write as _;
use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::Program;
use rbdgate_tests::kernel::{ADDRESS, Kernel, in_own_network};

/// How a kernel connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    name: &'static str,
    options: &'static str,
    v1: bool,
    /// The first kernel with it.
    since: (u32, u32),
    /// The user whose key it has.
    user: &'static str,
}

const MODES: [Mode; 6] = [
    mode("legacy", "", true, (5, 0)),
    mode("legacy, no crc", ",nocrc", true, (5, 0)),
    mode("crc", ",ms_mode=crc", false, (5, 11)),
    mode("prefer-crc", ",ms_mode=prefer-crc", false, (5, 11)),
    mode("secure", ",ms_mode=secure", false, (5, 11)),
    Mode {
        user: "strong",
        ..mode("secure, aes256k", ",ms_mode=secure", false, (7, 0))
    },
];

const fn mode(name: &'static str, options: &'static str, v1: bool, since: (u32, u32)) -> Mode {
    Mode {
        name,
        options,
        v1,
        since,
        user: "admin",
    }
}

/// What the guest does with an image; `$1` is what it writes to the module to map it, `$2` the image. It ends at the first failure.
const LIFE: &str = r#"
set -ex
map() { echo "$1" > /sys/bus/rbd/add_single_major; }
unmap() { echo "${1#/dev/rbd}" > /sys/bus/rbd/remove_single_major; }
sum() { echo 3 > /proc/sys/vm/drop_caches; sha256sum < "$1" | cut -d' ' -f1; }
life() {
    map "$1 rbd $2 -"
    dev=/dev/rbd0
    dd if=/dev/urandom of=$dev bs=1M count=8 seek=4 conv=fsync 2>/dev/null
    dd if=/dev/urandom of=$dev bs=512 count=3 seek=77 conv=fsync,notrunc 2>/dev/null
    blkdiscard -o 6291456 -l 4194304 $dev
    echo "SUM $2 $(sum $dev)"
    unmap $dev
    map "$1 rbd $2 before"
    echo "SUM $2@before $(sum $dev)"
    if dd if=/dev/zero of=$dev bs=4k count=1 conv=fsync 2>/dev/null; then exit 1; fi
    unmap $dev
    map "$1 rbd $2-fs -"
    mke2fs -q $dev > /dev/null 2>&1
    mount -t ext4 $dev /mnt
    dd if=/dev/urandom of=/mnt/file bs=64k count=40 2>/dev/null
    sum=$(sha256sum < /mnt/file)
    umount /mnt
    unmap $dev
    map "$1 rbd $2-fs -"
    mount -t ext4 -o ro $dev /mnt
    [ "$sum" = "$(sha256sum < /mnt/file)" ]
    umount /mnt
    unmap $dev
}
"#;

fn image(mode: usize) -> String {
    format!("disk{mode}")
}

/// Images for each mode: one with content and a snapshot, one for a filesystem.
fn prepare(cluster: &Cluster) {
    cluster.ceph(&[
        "auth",
        "get-or-create",
        "client.strong",
        "mon",
        "profile rbd",
        "osd",
        "profile rbd",
        "--key-type",
        "aes256k",
    ]);
    let content = cluster.file("content", vec![b'x'; 3 << 20]);
    for at in 0..MODES.len() {
        cluster.rbd(&["import", &content, &image(at)]);
        cluster.rbd(&["resize", "--size", "16M", &image(at)]);
        cluster.rbd(&["snap", "create", &format!("{}@before", image(at))]);
        cluster.rbd(&["create", "--size", "16M", &format!("{}-fs", image(at))]);
    }
}

fn job(cluster: &mut Cluster, modes: &[(usize, Mode)]) -> String {
    let (v1, v2) = (
        cluster.rbdgate().ports().mon_v1(),
        cluster.rbdgate().ports().mon_v2(),
    );
    let mut job = LIFE.to_owned();
    for (at, mode) in modes {
        let key = cluster
            .ceph(&["auth", "get-key", &format!("client.{}", mode.user)])
            .text();
        let port = if mode.v1 { v1 } else { v2 };
        let Mode { user, options, .. } = mode;
        writeln!(
            job,
            "life '{ADDRESS}:{port} name={user},secret={key}{options}' {}",
            image(*at)
        )
        .unwrap();
        writeln!(job, "echo 'PASSED {at}'").unwrap();
    }
    job
}

/// The digest of an image or snapshot, read by librbd.
fn digest(cluster: &Cluster, what: &str) -> String {
    let path = cluster.path("exported");
    let _ = std::fs::remove_file(&path);
    cluster.rbd(&["export", "--no-progress", what, &path]);
    let program = Program::new("sha256sum").args([&path]);
    cluster.run(program).text().split(' ').next().unwrap().to_owned()
}

/// The modes that passed.
fn live(kernel: &Kernel) -> Vec<&'static str> {
    let mut cluster = Cluster::start();
    prepare(&cluster);
    let modes: Vec<(usize, Mode)> = MODES
        .into_iter()
        .enumerate()
        .filter(|(_, mode)| mode.since <= kernel.version())
        .collect();
    let job = job(&mut cluster, &modes);
    let console = kernel.run(cluster.folder(), &job, Duration::from_secs(600));
    let console = console.unwrap_or_else(|e| panic!("Linux {}: {e}\n{}", kernel.release, cluster.log_tail()));
    for (at, _) in &modes {
        for what in [image(*at), format!("{}@before", image(*at))] {
            let seen = console
                .lines()
                .find_map(|line| line.strip_prefix(&format!("SUM {what} ")));
            assert_eq!(
                seen,
                Some(digest(&cluster, &what).as_str()),
                "Linux {}: {what}",
                kernel.release
            );
        }
        // The guest has let go of it.
        cluster.rbd(&["snap", "rm", "--no-progress", &format!("{}@before", image(*at))]);
        cluster.rbd(&["rm", "--no-progress", &image(*at)]);
    }
    modes.iter().map(|(_, mode)| mode.name).collect()
}

const INTRODUCTION: &str = "# Kernels

Kernels of Debian's releases in QEMU that map images with their own rbd module. Written by `tests/run.sh kernels`; do not edit.

In each mode: map an image with all default features, write, discard, read back and compare with librbd's export; map a snapshot, which
refuses writes; make a filesystem, mount it, and find its content again after another map. The mode is the module's option `ms_mode`,
which kernels have since 5.11; before that, and with `legacy`, they speak msgr v1.

";

/// The page with the table.
fn page(rows: &[(String, Vec<&'static str>)]) -> String {
    let mut out = format!("{INTRODUCTION}| kernel |");
    MODES
        .iter()
        .for_each(|mode| write!(out, " {} |", mode.name).unwrap());
    out.push_str("\n|---|");
    MODES.iter().for_each(|_| out.push_str("---|"));
    for (name, passed) in rows {
        write!(out, "\n| {name} |").unwrap();
        for mode in MODES {
            let cell = match () {
                () if passed.contains(&mode.name) => "passes",
                () if passed.is_empty() => "not run",
                () => "not known to it",
            };
            write!(out, " {cell} |").unwrap();
        }
    }
    out.push('\n');
    out
}

#[test]
fn images_are_mapped_by_kernels_in_every_mode() {
    let Some(path) = std::env::var_os("RBDGATE_KERNELS_TABLE").filter(|_| !against_ceph()) else {
        eprintln!("not run: tests/run.sh kernels does");
        return;
    };
    if !in_own_network("images_are_mapped_by_kernels_in_every_mode") {
        return;
    }
    let mut rows = Vec::new();
    for kernel in Kernel::all().unwrap() {
        if kernel.is_there() {
            rows.push((
                format!("Linux {} (Debian {})", kernel.release, kernel.suite),
                live(&kernel),
            ));
        } else {
            rows.push((format!("of Debian {}", kernel.suite), Vec::new()));
        }
    }
    std::fs::write(path, page(&rows)).unwrap();
}
