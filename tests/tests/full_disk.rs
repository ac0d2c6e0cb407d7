//! A disk that runs full: clients are told, nothing is lost, and service goes on when there is space again.
//! Needs the right to mount a file system of the test's own; says so and does nothing without.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::curve::on_curve;

/// A small ext4 file system in a file, mounted in a folder of its own.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Makes one of `mib` MiB; `None` where this process may not mount.
    fn new(mib: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a file of the test's own");
        let image = folder.path().join("disk");
        std::fs::File::create(&image)
            .expect("a file of the test's own")
            .set_len(mib << 20)
            .expect("a file of the test's own");
        std::fs::create_dir(folder.path().join("mnt")).expect("a file of the test's own");
        let disk = Self { folder };
        let made = run("mkfs.ext4", &["-q", "-F", &image.display().to_string()]);
        let mounted = made
            && run(
                "mount",
                &["-o", "loop", &image.display().to_string(), &disk.mount_text()],
            );
        if !mounted {
            eprintln!("not tested: this process may not mount a file system");
        }
        mounted.then_some(disk)
    }

    fn mount(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    fn mount_text(&self) -> String {
        self.mount().display().to_string()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", &self.mount_text()]);
    }
}

fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .status()
        .is_ok_and(|s| s.success())
}

fn cluster_on(mount: &Path) -> Cluster {
    let folder = tempfile::Builder::new()
        .prefix("rbdgate-")
        .tempdir_in(mount)
        .expect("a file of the test's own");
    Cluster::start_at(folder, &[])
}

/// Waits until the pool has the full flag, or no longer has it.
fn wait_for_full(cluster: &Cluster, full: bool) {
    let begun = Instant::now();
    while cluster
        .ceph(&["osd", "pool", "ls", "detail"])
        .text()
        .contains("full")
        != full
    {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the pool's full flag is not {full}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_full_disk_is_told_to_clients_and_service_goes_on_when_there_is_space() {
    if against_ceph() || on_curve() {
        return;
    }
    let Some(disk) = SmallDisk::new(384) else { return };
    let cluster = cluster_on(&disk.mount());
    let kept = cluster.file("kept", vec![7_u8; 1 << 20]);
    cluster.rados(&["-p", "rbd", "put", "kept", &kept]);
    // Something else fills the disk.
    let filler = disk.mount().join("filler");
    let free = rustix::fs::statvfs(disk.mount()).unwrap();
    let free = free.f_bavail * free.f_frsize;
    let file = std::fs::File::create(&filler).unwrap();
    let leave = 16 << 20;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free - leave).unwrap();
    // The write that finds out is refused; later ones wait for space, as with Ceph, so the flag is looked at.
    wait_for_full(&cluster, true);
    let health = cluster.ceph(&["health"]).text();
    assert!(health.contains("full"), "{health}");
    // What is there can be read and removed.
    assert_eq!(
        cluster
            .rados(&["-p", "rbd", "stat", "kept"])
            .text()
            .matches("size 1048576")
            .count(),
        1
    );
    cluster.rados(&["-p", "rbd", "rm", "kept", "--force-full"]);
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    wait_for_full(&cluster, false);
    cluster.rados(&["-p", "rbd", "put", "again", &kept]);
    cluster.rbd(&["create", "--size", "1G", "disk"]);
}

#[test]
fn the_write_that_finds_the_disk_full_fails_with_enospc() {
    const ENOSPC: i32 = 28;
    if against_ceph() || on_curve() {
        return;
    }
    let Some(disk) = SmallDisk::new(384) else { return };
    let cluster = cluster_on(&disk.mount());
    let elsewhere = tempfile::tempdir().unwrap();
    let big = elsewhere.path().join("big").display().to_string();
    std::fs::File::create(&big).unwrap().set_len(48 << 20).unwrap();
    let mut refused = false;
    for n in 0..16 {
        let put = ["-p", "rbd", "put", &format!("object-{n}"), &big];
        let outcome = cluster.attempt(cluster.client("rados", &put).deadline(Duration::from_secs(20)));
        if !outcome.status.success() {
            refused = true;
            assert!(outcome.errors().contains(&format!("({ENOSPC})")), "{outcome}");
            break;
        }
    }
    assert!(refused, "16 x 48 MiB fitted on 384 MiB");
    wait_for_full(&cluster, true);
}
