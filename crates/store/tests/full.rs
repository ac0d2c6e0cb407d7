//! The store on a file system without room. A test binary of its own: it runs other programs, and between fork and exec those have
//! the locks of all stores that are open in the process.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::{process::Command, time::Duration};

use bytes::Bytes;
use rbdgate_store::{Options, Store, StoreError, Transaction};

/// A small filesystem in a file, gone when dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(megabytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(megabytes << 20)
            .unwrap();
        let root = dir.path().join("mnt");
        std::fs::create_dir(&root).unwrap();
        let run = |program: &str, args: &[&std::ffi::OsStr]| {
            Command::new(program)
                .args(args)
                .output()
                .is_ok_and(|output| output.status.success())
        };
        let made = run("mkfs.ext4", &["-q".as_ref(), image.as_ref()])
            && run(
                "mount",
                &["-o".as_ref(), "loop".as_ref(), image.as_ref(), root.as_ref()],
            );
        made.then(|| Self(dir))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("mnt/store")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path().join("mnt")).status();
    }
}

#[test]
fn a_full_filesystem_refuses_writes_and_serves_again_when_space_is_freed() {
    let Some(mounted) = Mounted::new(64) else {
        eprintln!("skipped: cannot mount a filesystem here");
        return;
    };
    let options = Options {
        reserve_bytes: 6 << 20,
        journal_bytes: 1 << 20,
        meta_cache_bytes: 1 << 20,
        idle_checkpoint: Duration::from_secs(3600),
        ..Options::new(mounted.path())
    };
    let store = Store::open(options.clone()).unwrap();
    let volume = store.volume("v").unwrap();
    let write = |n: u64, len: usize| {
        let mut tx = Transaction::new();
        tx.put(format!("key/{n}"), "v");
        tx.write(volume, n << 20, vec![n as u8; len]);
        tx
    };
    let full =
        (0..200).find(
            |n| match store.submit(write(*n, if n % 2 == 0 { 1 << 20 } else { 40 << 10 })) {
                Ok(_) => false,
                Err(StoreError::NoSpace(_)) => true,
                Err(error) => panic!("{error}"),
            },
        );
    let full = full.expect("the filesystem fills");
    assert!(full > 20);
    assert_eq!(store.get(format!("key/{full}").as_bytes()).unwrap(), None);
    store.wait(store.progress().submitted).unwrap();
    // What was acknowledged is served, and overwritten where the order of things allows it.
    assert_eq!(store.read(volume, 2 << 20, 10).unwrap(), vec![2; 10]);
    let mut tx = Transaction::new();
    tx.put("deleted", "yes");
    tx.discard(volume, 0, 10 << 20);
    store.commit(tx).unwrap();
    while store.progress().applied < store.progress().submitted {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(300));
    store.commit(write(full, 100 << 10)).unwrap();
    drop(store);
    let store = Store::open(options).unwrap();
    assert_eq!(
        store.read(volume, full << 20, 100 << 10).unwrap(),
        vec![full as u8; 100 << 10]
    );
    assert_eq!(store.get(b"deleted").unwrap(), Some(Bytes::from_static(b"yes")));
}
