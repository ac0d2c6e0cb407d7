//! A disk that returns something else than was written: an error for the client and for who asks how the cluster is, and never wrong
//! data. Of rbdgate alone, with images in files.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::curve::on_curve;
use rustix::process::Signal;

const EIO: i32 = 5;
const BAD: u64 = (4 << 20) + 70_000;

/// The file of the only image.
fn volume(cluster: &mut Cluster) -> PathBuf {
    let folder = cluster.rbdgate().data().join("store/volumes");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    // The pool's other objects lie in a file of their own, which is smaller.
    let data = files.filter(|file| file.extension().is_some_and(|end| end != "sums"));
    data.max_by_key(|file| file.metadata().unwrap().len()).unwrap()
}

fn fsck(cluster: &Cluster, more: &[&str], status: i32, words: &str) {
    let fsck = cluster.command(&["fsck"]).args(more);
    let outcome = fsck.deadline(Duration::from_secs(60)).run().unwrap();
    assert_eq!(outcome.status.code(), Some(status), "{outcome}");
    assert!(outcome.to_string().contains(words), "no {words:?}\n{outcome}");
}

#[test]
fn a_block_that_rotted_is_eio_and_a_health_error_until_it_is_written_or_accepted() {
    if against_ceph() || on_curve() {
        return;
    }
    // What was written is to be read from the disk.
    let mut cluster = Cluster::start_with(&["--read-cache", "0"]);
    let bytes: Vec<u8> = (0..8_u32 << 18)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    let file = cluster.file("bytes", &bytes);
    cluster.rbd(&["import", &file, "disk"]);
    cluster.rbd(&["snap", "create", "disk@snap"]);
    cluster.rbdgate().stop(Signal::TERM).unwrap();
    fsck(&cluster, &[], 0, "nothing is wrong");
    let path = volume(&mut cluster);
    let rot = || {
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[0xa5; 5], BAD).unwrap();
    };
    rot();
    fsck(&cluster, &[], 4, "the 4 KiB at 4263936 are not what was written");
    fsck(&cluster, &["--skip-data"], 0, "nothing is wrong");

    cluster.launch();
    let copy = cluster.path("copy");
    cluster.rbd_fails(EIO, &["export", "disk", &copy]);
    let health = cluster.ceph(&["health", "detail"]).to_string();
    for words in ["OSD_SCRUB_ERRORS", "1 scrub errors", "PG_DAMAGED", "4263936"] {
        assert!(health.contains(words), "no {words:?}\n{health}");
    }
    // A snapshot does not get it either: nothing that is preserved is wrong data.
    let python = "import rados, rbd, sys\n\
        with rados.Rados(conffile=sys.argv[1]) as cluster, cluster.open_ioctx('rbd') as io, rbd.Image(io, 'disk') as image:\n\
        \x20   image.write(b'x' * 512, int(sys.argv[2]))\n";
    let script = cluster.file("write.py", python);
    let conf = cluster.conf().display().to_string();
    let at = (BAD / 65536 * 65536).to_string();
    let written = cluster.attempt(cluster.client("python3", &[&script, &conf, &at]));
    assert!(!written.status.success(), "{written}");
    cluster.rbdgate().stop(Signal::TERM).unwrap();

    fsck(&cluster, &["--accept-data"], 1, "taken as it is");
    fsck(&cluster, &[], 0, "nothing is wrong");
    cluster.launch();
    cluster.rbd(&["export", "disk", &cluster.path("right")]);
    let mut wanted = bytes;
    wanted[BAD as usize..BAD as usize + 5].fill(0xa5);
    assert!(cluster.read("right") == wanted);
    let health = cluster.ceph(&["health", "detail"]).to_string();
    assert!(!health.contains("SCRUB"), "{health}");
}
