//! `ceph tell osd.N bench`: how fast the store writes (`OSD::run_osd_bench_test`, `src/osd/OSD.cc`).

use std::time::Instant;

use bytes::Bytes;
use encoding::Errno;
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{Store, StoreError, Transaction};

/// The volume that is written to; it is removed afterwards, and before if a crash left it.
const VOLUME: &str = "osd-bench";
/// One at a time: they share the volume.
static RUNNING: Mutex<()> = Mutex::new(());

/// What is written unless the command says otherwise, in bytes.
const DEFAULT_COUNT: i64 = 1 << 30;
const DEFAULT_SIZE: i64 = 4 << 20;
/// `osd_bench_max_block_size`, in bytes.
const MAX_SIZE: i64 = 64 << 20;
/// From this block size on throughput limits how much is written, below it operations do; in bytes.
const LARGE: i64 = 1 << 20;
/// `osd_bench_duration`, in seconds.
const DURATION: i64 = 30;
/// `osd_bench_small_size_max_iops`.
const SMALL_MAX_IOPS: i64 = 100;
/// `osd_bench_large_size_max_throughput`, in bytes a second.
const LARGE_MAX_THROUGHPUT: i64 = 100 << 20;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    /// Bytes in all.
    count: u64,
    /// Bytes of each write.
    size: u64,
}

type Refused = (Errno, String);

/// Reads the command's arguments.
fn plan(args: &Value) -> Result<Plan, Refused> {
    let number = |name: &str, default: i64| args.get(name).map_or(Some(default), Value::as_i64);
    let numbers = number("count", DEFAULT_COUNT).zip(number("size", DEFAULT_SIZE));
    let (Some((count, size)), false) = (numbers, args.get("object_num").is_some()) else {
        return Err((Errno::EINVAL, "'count' and 'size' are numbers; there are no others".to_owned()));
    };
    if count < 0 || size <= 0 || size > MAX_SIZE {
        return Err((Errno::EINVAL, format!("block 'size' values are from 1 to {MAX_SIZE}")));
    }
    let most = match size < LARGE {
        true => size * DURATION * SMALL_MAX_IOPS,
        false => LARGE_MAX_THROUGHPUT * DURATION,
    };
    if count > most {
        return Err((
            Errno::EINVAL,
            format!("'count' values greater than {most} for a block size of {size} take too long"),
        ));
    }
    Ok(Plan {
        count: count.unsigned_abs(),
        size: size.unsigned_abs(),
    })
}

fn remove(store: &Store) -> Result<(), StoreError> {
    if let Some(volume) = store.find_volume(VOLUME) {
        let mut tx = Transaction::new();
        tx.delete_volume(volume);
        store.commit(tx)?;
    }
    Ok(())
}

/// Writes block after block and waits until all of them are durable; returns the seconds that took.
fn write(store: &Store, plan: Plan) -> Result<f64, StoreError> {
    remove(store)?;
    let volume = store.volume(VOLUME)?;
    let block = Bytes::from(vec![rand::random::<u8>(); usize::try_from(plan.size).unwrap_or(0)]);
    let begun = Instant::now();
    let mut last = None;
    let mut at = 0;
    while at < plan.count {
        let mut tx = Transaction::new();
        tx.write(volume, at, block.clone());
        last = Some(store.submit(tx)?);
        at += plan.size;
    }
    if let Some(last) = last {
        store.wait(last)?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    remove(store)?;
    Ok(elapsed)
}

/// Runs the command with these arguments; returns its output. Blocks.
///
/// # Errors
/// EINVAL for what would take too long, as in Ceph; EIO if the store fails.
pub(super) fn run(store: &Store, args: &Value) -> Result<Value, Refused> {
    let plan = plan(args)?;
    let _running = RUNNING.lock();
    let elapsed = write(store, plan).map_err(|error| {
        tracing::error!(%error, "bench failed");
        (Errno::EIO, error.to_string())
    })?;
    let rate = plan.count as f64 / elapsed.max(f64::MIN_POSITIVE);
    Ok(json!({
        "bytes_written": plan.count,
        "blocksize": plan.size,
        "elapsed_sec": elapsed,
        "bytes_per_sec": rate,
        "iops": rate / plan.size as f64,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_too_long_is_refused() {
        assert!(plan(&json!({"count": 12_288_000, "size": 4096})).is_ok());
        assert!(plan(&json!({"count": 12_288_001, "size": 4096})).is_err());
        assert!(plan(&json!({"size": 128 << 20})).is_err());
        assert!(plan(&json!({"size": 0})).is_err());
        assert!(plan(&json!({"count": "much"})).is_err());
    }

    #[test]
    fn the_defaults_are_cephs() {
        let defaults = Plan { count: 1 << 30, size: 4 << 20 };
        assert_eq!(plan(&json!({})), Ok(defaults));
    }
}
