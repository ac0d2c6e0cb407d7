//! A child process that does verified writes is killed at random moments; what it reported as durable must be there.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use disk_sim::placed;
use rbdgate_store::{Options, Seq, Store, Transaction};

const CHILD_DIR: &str = "RBDGATE_STORE_CRASH_DIR";
const SLOTS: u64 = 64;
const SLOT_BYTES: u64 = 128 << 10;

fn options(dir: &Path) -> Options {
    Options {
        journal_bytes: 8 << 20,
        reserve_bytes: 0,
        meta_dirty_bytes: 200_000,
        idle_checkpoint: Duration::from_millis(20),
        ..Options::new(dir)
    }
}

/// What round `n` writes, in bytes: every fifth is a direct write, every third of the others is whole blocks from aligned memory.
fn len_of(n: u64) -> u64 {
    match n {
        n if n.is_multiple_of(5) => SLOT_BYTES,
        n if n.is_multiple_of(3) => (n % 4 + 4) * 4096,
        n => 4096 + n % 3000,
    }
}

/// Round `n` writes slot `n % SLOTS`; every seventh is a discard.
fn transaction(store: &Store, n: u64) -> Transaction {
    let mut tx = Transaction::new();
    let volume = store.volume(&format!("v{}", n % 3)).unwrap();
    let offset = n % SLOTS * SLOT_BYTES;
    if n.is_multiple_of(7) {
        tx.discard(volume, offset, SLOT_BYTES);
    } else {
        let data = vec![n as u8; len_of(n) as usize];
        tx.write(volume, offset, placed(&data, 0));
    }
    tx.put(
        format!("slot/{}/{:03}", n % 3, n % SLOTS),
        n.to_le_bytes().to_vec(),
    );
    tx.patch("page", n % SLOTS * 8, n.to_le_bytes());
    tx.put("last", n.to_le_bytes().to_vec());
    tx
}

/// Not a test of its own: what the child runs.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let store = Store::open(options(Path::new(&dir))).unwrap();
    let mut n = last(&store) + 1;
    loop {
        let seq: Seq = store.submit(transaction(&store, n)).unwrap();
        store.after(seq, move |outcome| {
            outcome.unwrap();
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "durable {n}").and_then(|()| out.flush());
        });
        n += 1;
    }
}

fn last(store: &Store) -> u64 {
    store
        .get(b"last")
        .unwrap()
        .map_or(0, |value| u64::from_le_bytes(value[..].try_into().unwrap()))
}

/// Checks that exactly the transactions up to the last one are there, as a whole.
fn check(store: &Store, acknowledged: u64) {
    let last = last(store);
    assert!(last >= acknowledged, "acknowledged {acknowledged}, found {last}");
    let page = store.get(b"page").unwrap().unwrap_or_default();
    for slot in 0..SLOTS {
        // The newest round of this slot.
        let newest = (last.saturating_sub(SLOTS - 1)..=last).find(|n| n % SLOTS == slot && *n > 0);
        if let Some(n) = newest {
            let at = slot as usize * 8;
            assert_eq!(
                page[at..at + 8],
                n.to_le_bytes(),
                "page of round {n}, last {last}"
            );
        }
    }
    // Slots and volumes repeat after SLOTS * 3 rounds.
    for n in last.saturating_sub(SLOTS * 3 - 1).max(1)..=last {
        let key = format!("slot/{}/{:03}", n % 3, n % SLOTS);
        assert_eq!(store.get(key.as_bytes()).unwrap().unwrap()[..], n.to_le_bytes());
        let volume = store.find_volume(&format!("v{}", n % 3)).unwrap();
        let read = store
            .read(volume, n % SLOTS * SLOT_BYTES, SLOT_BYTES as usize)
            .unwrap();
        let (len, byte) = match n {
            n if n.is_multiple_of(7) => (SLOT_BYTES, 0),
            n => (len_of(n), n as u8),
        };
        // The direct write of a round that did not make it may have overwritten this one: it was not acknowledged.
        let overwritten = (last + 1..last + 200)
            .any(|m| m.is_multiple_of(5) && !m.is_multiple_of(7) && m % 3 == n % 3 && m % SLOTS == n % SLOTS);
        if !overwritten || n + SLOTS * 3 <= acknowledged {
            let wrong = read[..len as usize].iter().position(|found| *found != byte);
            assert_eq!(wrong, None, "data of round {n}, last {last}");
        }
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let wanted = 20 + round * round * 37 % 1700;
        let mut seen = 0;
        for line in out.lines() {
            // After the kill, the lines that are left in the pipe still count.
            let Ok(line) = line else { break };
            if let Some((_, n)) = line.split_once("durable ") {
                acknowledged = n.trim().parse().unwrap();
                seen += 1;
                if seen == wanted {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(seen >= wanted, "the child ended by itself");
        if round % 2 == 0 {
            check(&Store::open(options(dir.path())).unwrap(), acknowledged);
        }
    }
    check(&Store::open(options(dir.path())).unwrap(), acknowledged);
}
