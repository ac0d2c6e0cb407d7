//! What the store promises, one behaviour a test.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use bytes::Bytes;
use disk_sim::placed;
use rbdgate_store::{Options, Store, StoreError, Transaction, prefix_end};

fn options(dir: &Path) -> Options {
    Options {
        journal_bytes: 1 << 20,
        reserve_bytes: 0,
        meta_cache_bytes: 1 << 20,
        idle_checkpoint: Duration::from_secs(3600),
        ..Options::new(dir)
    }
}

fn put(key: &str, value: &str) -> Transaction {
    let mut tx = Transaction::new();
    tx.put(key.to_owned(), value.to_owned());
    tx
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    assert!(matches!(
        Store::open(options(dir.path())),
        Err(StoreError::InUse { .. })
    ));
    drop(store);
    Store::open(options(dir.path())).unwrap();
}

#[test]
fn callbacks_run_in_order_and_after_close_everybody_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut last = 0;
    for n in 0..500 {
        last = store.submit(put("k", &n.to_string())).unwrap();
        let told = Arc::clone(&order);
        store.after(last, move |outcome| {
            told.lock().unwrap().push((n, outcome.is_ok()));
        });
    }
    let never = Arc::new(Mutex::new(None));
    let told = Arc::clone(&never);
    store.after(last + 1, move |outcome| *told.lock().unwrap() = Some(outcome));
    store.close().unwrap();
    assert_eq!(
        *order.lock().unwrap(),
        (0..500).map(|n| (n, true)).collect::<Vec<_>>()
    );
    assert!(matches!(*never.lock().unwrap(), Some(Err(StoreError::Closed))));
    assert!(matches!(store.submit(put("k", "v")), Err(StoreError::Closed)));
    assert_eq!(store.durable(), last);
}

#[test]
fn a_panic_on_a_thread_of_the_store_is_its_end_and_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    loop {
        let seq = store.submit(put("k", "v")).unwrap();
        let panics = || store.after(seq, |_| panic!("a callback, on purpose"));
        // What is durable already is told on this thread: once more then.
        if catch_unwind(AssertUnwindSafe(panics)).is_ok() {
            break;
        }
    }
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let error = loop {
            if let Err(error) = store.commit(put("k", "v")) {
                break error;
            }
        };
        tell.send(error)
    });
    let error = told
        .recv_timeout(Duration::from_secs(20))
        .expect("waits for ever");
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
}

#[test]
fn sequence_numbers_go_on_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(options(dir.path()))
        .unwrap()
        .commit(put("a", "1"))
        .unwrap();
    let second = Store::open(options(dir.path()))
        .unwrap()
        .commit(put("a", "2"))
        .unwrap();
    assert!(second > first);
}

#[test]
fn prefix_scans_page_through_all_layers() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    for n in (0..900).step_by(2) {
        store.submit(put(&format!("p/{n:04}"), "old")).unwrap();
    }
    drop(store);
    let store = Store::open(options(dir.path())).unwrap();
    for n in (0..900).step_by(3) {
        store.submit(put(&format!("p/{n:04}"), "new")).unwrap();
    }
    store.submit(put("p", "before")).unwrap();
    store.submit(put("p0", "behind")).unwrap();
    let mut tx = Transaction::new();
    tx.delete_range("p/0100", "p/0200").put("p/0150", "again");
    store.submit(tx).unwrap();
    let wanted: Vec<String> = (0..900)
        .filter(|n| (n % 2 == 0 || n % 3 == 0) && !(100..200).contains(n) || *n == 150)
        .map(|n| format!("p/{n:04}"))
        .collect();
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().map(|key| key.as_bytes().to_vec());
        let page = store.scan_prefix(b"p/", after.as_deref(), 7).unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(
            page.into_iter()
                .map(|(key, _)| String::from_utf8(key.into()).unwrap()),
        );
    }
    assert_eq!(found, wanted);
    assert_eq!(prefix_end(b"a\xff\xff"), b"b");
    assert_eq!(prefix_end(b"\xff"), b"");
}

#[test]
fn a_transaction_that_is_too_large_is_refused_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let mut tx = put("a", "1");
    tx.put("b", vec![0; 200 << 10]);
    assert!(matches!(store.submit(tx), Err(StoreError::TooLarge { .. })));
    assert_eq!(store.get(b"a").unwrap(), None);
}

#[test]
fn a_full_journal_slows_submitters_down_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let volume = store.volume("v").unwrap();
    let mut seq = 0;
    for n in 0..1000u64 {
        let mut tx = Transaction::new();
        tx.write(volume, n * 8192, vec![n as u8; 8192])
            .put(format!("{n}"), vec![1; 100]);
        seq = store.submit(tx).unwrap();
    }
    store.wait(seq).unwrap();
    assert!(store.progress().checkpointed > 0);
    for n in 0..1000u64 {
        assert_eq!(store.read(volume, n * 8192, 8192).unwrap(), vec![n as u8; 8192]);
    }
}

#[test]
fn what_was_written_or_read_at_once_is_read_again_from_memory_as_long_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let cached = || Options {
        read_cache_bytes: 1 << 20,
        ..options(dir.path())
    };
    let store = Store::open(cached()).unwrap();
    let volume = store.volume("v").unwrap();
    let len = 512 << 10;
    let mut tx = Transaction::new();
    tx.write(volume, 0, vec![1; len]);
    store.commit(tx).unwrap();
    assert_eq!(
        store.try_read_cached(volume, 7, 100).unwrap(),
        Some(vec![1; 100].into())
    );
    assert_eq!(store.read_cache().found, 100);
    let mut tx = Transaction::new();
    tx.write(volume, 100, vec![2; 10]);
    store.commit(tx).unwrap();
    let mut expected = vec![1; len];
    expected[100..110].fill(2);
    // All but the block that was changed, and then that one, too.
    let (all, hole) = (len as u64, 4096);
    for found in [100 + all - hole, 100 + all - hole + all] {
        assert_eq!(store.read(volume, 0, len).unwrap(), expected);
        assert_eq!(
            (store.read_cache().found, store.read_cache().missed),
            (found, hole)
        );
    }
    drop(store);
    let store = Store::open(cached()).unwrap();
    assert_eq!(store.read_cache().held.bytes, 0);
    assert_eq!(store.read(volume, 0, len).unwrap(), expected);
    assert_eq!(
        (store.read_cache().held.bytes, store.read_cache().missed),
        (len as u64, len as u64)
    );
}

#[test]
fn discarded_space_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let volume = store.volume("rbd/image").unwrap();
    let mut tx = Transaction::new();
    tx.write(volume, 0, vec![1; 8 << 20]);
    store.commit(tx).unwrap();
    assert!(store.volume_allocated(volume).unwrap() >= 8 << 20);
    let mut tx = Transaction::new();
    tx.discard(volume, 1 << 20, 7 << 20);
    store.commit(tx).unwrap();
    assert_eq!(
        store.read(volume, 0, 4 << 20).unwrap()[1 << 20..],
        vec![0; 3 << 20]
    );
    drop(store);
    let store = Store::open(options(dir.path())).unwrap();
    assert!(store.volume_allocated(volume).unwrap() <= (1 << 20) + (64 << 10));
    assert_eq!(
        store.allocated_extents(volume, 0, 1 << 30).unwrap(),
        [(0, 1 << 20)]
    );
}

#[test]
fn a_deleted_volume_is_gone_and_its_name_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let old = store.volume("v").unwrap();
    let mut tx = Transaction::new();
    tx.write(old, 0, vec![1; 100]);
    store.submit(tx).unwrap();
    let mut tx = Transaction::new();
    tx.delete_volume(old);
    store.submit(tx).unwrap();
    assert!(matches!(store.read(old, 0, 1), Err(StoreError::UnknownVolume(_))));
    let new = store.volume("v").unwrap();
    assert_ne!(new, old);
    assert_eq!(store.read(new, 0, 100).unwrap(), vec![0; 100]);
    store.close().unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("volumes")).unwrap().count(), 0);
}

#[test]
fn cached_reads_see_submitted_data_and_zeros() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing gets into the file: not every file system tells what of it needs no waiting.
    let stepped = Options {
        stepped: true,
        ..options(dir.path())
    };
    let store = Store::open(stepped).unwrap();
    let volume = store.volume("v").unwrap();
    assert_eq!(
        store.try_read_cached(volume, 0, 4).unwrap(),
        Some(Bytes::from_static(&[0; 4]))
    );
    let mut tx = Transaction::new();
    tx.write(volume, 2, vec![7; 4]);
    store.submit(tx).unwrap();
    assert_eq!(
        store.try_read_cached(volume, 2, 4).unwrap(),
        Some(Bytes::from_static(&[7; 4]))
    );
    assert_eq!(store.read(volume, 0, 8).unwrap()[..], [0, 0, 7, 7, 7, 7, 0, 0]);
}

#[test]
fn a_damaged_journal_tail_loses_that_transaction_alone() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    for n in 0..3 {
        store.commit(put(&format!("key/{n}"), "value")).unwrap();
    }
    // What a power loss would leave.
    for name in ["meta.redb", "journal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let path = copy.path().join("journal");
    let mut journal = std::fs::read(&path).unwrap();
    journal[2 * 4096 + 60] ^= 1;
    std::fs::write(&path, journal).unwrap();
    let store = Store::open(options(copy.path())).unwrap();
    let keys = |store: &Store| {
        store
            .scan(b"".as_slice()..b"", 10)
            .unwrap()
            .into_iter()
            .map(|(k, _)| k)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&store), ["key/0", "key/1"]);
    store.commit(put("key/9", "value")).unwrap();
    drop(store);
    assert_eq!(
        keys(&Store::open(options(copy.path())).unwrap()),
        ["key/0", "key/1", "key/9"]
    );
}

#[test]
fn another_journal_size_is_taken_up_after_the_replay() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    store.commit(put("key", "value")).unwrap();
    for name in ["meta.redb", "journal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = Store::open(Options {
        journal_bytes: 3 << 20,
        ..options(copy.path())
    })
    .unwrap();
    assert_eq!(store.get(b"key").unwrap(), Some(Bytes::from_static(b"value")));
    assert_eq!(
        std::fs::metadata(copy.path().join("journal")).unwrap().len(),
        3 << 20
    );
}

#[test]
fn journaled_data_is_rebuilt_from_the_journal_alone() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let volume = store.volume("v").unwrap();
    for n in 0..20u8 {
        let mut tx = Transaction::new();
        // One in the record, one behind it.
        tx.write(volume, u64::from(n) * 1000, vec![n + 1; 3000])
            .write(volume, u64::from(20 + n) * 4096, placed(&[n + 1; 16 << 10], 0))
            .patch("page", u64::from(n) * 2, vec![n; 4]);
        store.commit(tx).unwrap();
    }
    // A power loss before the files were synced: nothing of them is there.
    for name in ["meta.redb", "journal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let copied = Store::open(options(copy.path())).unwrap();
    let id = copied.find_volume("v").unwrap();
    assert_eq!(
        copied.read(id, 0, 200_000).unwrap(),
        store.read(volume, 0, 200_000).unwrap()
    );
    assert_eq!(copied.get(b"page").unwrap(), store.get(b"page").unwrap());
}

#[test]
fn direct_writes_wait_for_memory_and_all_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        direct_bytes: 1 << 20,
        ..options(dir.path())
    })
    .unwrap();
    let volume = store.volume("v").unwrap();
    for n in 0..24u64 {
        let mut tx = Transaction::new();
        tx.write(volume, n << 19, vec![n as u8; 1 << 19]);
        store.submit(tx).unwrap();
    }
    let mut larger = Transaction::new();
    larger.write(volume, 0, vec![99; 2 << 20]);
    store.commit(larger).unwrap();
    assert_eq!(store.read(volume, 0, 2 << 20).unwrap(), vec![99; 2 << 20]);
    assert_eq!(store.read(volume, 23 << 19, 1 << 19).unwrap(), vec![23; 1 << 19]);
}

#[test]
fn a_transaction_with_more_small_pieces_of_data_than_the_journal_takes_is_stored() {
    const PIECE: usize = 8 << 10;
    const PIECES: usize = 256;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let volume = store.volume("v").unwrap();
    let mut tx = Transaction::new();
    // Every other piece, so that none can be joined with its neighbour.
    for n in 0..PIECES {
        tx.write(volume, (2 * n * PIECE) as u64, vec![n as u8; PIECE]);
    }
    assert!((PIECES * PIECE) as u64 > store.most_journaled());
    store.commit(tx).unwrap();
    for n in 0..PIECES {
        let piece = store.read(volume, (2 * n * PIECE) as u64, PIECE).unwrap();
        assert!(piece.iter().all(|b| *b == n as u8), "piece {n}");
    }
}

#[test]
fn a_checkpoint_that_is_asked_for_takes_up_all_that_was_submitted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    for n in 0..100 {
        store.submit(put(&n.to_string(), "value")).unwrap();
    }
    assert!(store.memory().metadata.items >= 100);
    store.checkpoint().unwrap();
    let progress = store.progress();
    assert_eq!(progress.checkpointed, progress.submitted);
    assert_eq!((progress.journal_used, store.memory().metadata.items), (0, 0));
    // Nothing is left to do.
    store.checkpoint().unwrap();
    store.close().unwrap();
    assert!(matches!(store.checkpoint(), Err(StoreError::Closed) | Ok(())));
}
