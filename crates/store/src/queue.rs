//! Transactions that wait for the journal, and which wait for which.
//!
//! On files the journal takes them in the order of their numbers, but for marks of regions ([`crate::regions`]), which go first. On devices a write may take as long as it likes (a raft
//! group without a leader), so there it holds up only what builds on it: what changes the same keys, bytes of patched values, blocks or
//! volumes, and what says so ([`crate::Transaction::builds_on`]). The rest is journaled before it. After a crash the store then
//! holds a transaction and lacks an older one that had not become durable either: nobody was told of that, and nothing that is there was
//! made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    core::Queued,
    ranges::overlap,
    record::Size,
    remote::rounded,
    transaction::{Op, Seq, VolumeId},
};

/// Which bytes of a key's value a transaction changes; `None`: all of it.
type KeyTouch = (Option<(u64, u64)>, Seq);

/// What must not be separated from whoever changes the same.
#[derive(Default)]
struct Touched {
    keys: BTreeMap<Bytes, Vec<KeyTouch>>,
    /// Deleted ranges of keys.
    ranges: Vec<(Bytes, Bytes, Seq)>,
    /// Ranges of volumes. All of it: it comes or goes.
    data: BTreeMap<VolumeId, Vec<(u64, u64, Seq)>>,
}

fn key_of(op: &Op) -> Option<(&Bytes, Option<(u64, u64)>)> {
    match op {
        Op::Put { key, .. } | Op::Delete { key } => Some((key, None)),
        Op::Patch { key, offset, data } => Some((key, Some((*offset, offset + data.len() as u64)))),
        _ => None,
    }
}

fn data_of(op: &Op) -> Option<(VolumeId, (u64, u64))> {
    let blocks = |offset, len| {
        let (start, len) = rounded(offset, len);
        (start, start.saturating_add(len))
    };
    match op {
        Op::Write {
            volume, offset, data, ..
        } => Some((*volume, blocks(*offset, data.len() as u64))),
        Op::Direct {
            volume, offset, len, ..
        }
        | Op::Discard { volume, offset, len } => Some((*volume, blocks(*offset, *len))),
        Op::CreateVolume { volume, .. } | Op::DeleteVolume { volume } => Some((*volume, (0, u64::MAX))),
        _ => None,
    }
}

impl Touched {
    /// Notes what a transaction changes. Returns whose changes it builds on.
    fn add(&mut self, seq: Seq, ops: &[Op]) -> BTreeSet<Seq> {
        let mut behind = BTreeSet::new();
        for op in ops {
            if let Some((key, part)) = key_of(op) {
                let touches = self.keys.entry(key.clone()).or_default();
                let same = touches.iter().filter(|(other, _)| match (part, other) {
                    (Some(part), Some(other)) => overlap(part, *other),
                    _ => true,
                });
                behind.extend(same.map(|(_, by)| *by));
                touches.push((part, seq));
                let gone = self
                    .ranges
                    .iter()
                    .filter(|(start, end, _)| start <= key && key < end);
                behind.extend(gone.map(|(.., by)| *by));
            } else if let Op::DeleteRange { start, end } = op {
                if start < end {
                    let inside = self.keys.range(start.clone()..end.clone());
                    behind.extend(inside.flat_map(|(_, touches)| touches.iter().map(|(_, by)| *by)));
                }
                let others = self.ranges.iter().filter(|(s, e, _)| start < e && s < end);
                behind.extend(others.map(|(.., by)| *by));
                self.ranges.push((start.clone(), end.clone(), seq));
            } else if let Some((volume, range)) = data_of(op) {
                let touches = self.data.entry(volume).or_default();
                let same = touches.iter().filter(|(s, e, _)| overlap(range, (*s, *e)));
                behind.extend(same.map(|(.., by)| *by));
                touches.push((range.0, range.1, seq));
            }
        }
        behind.remove(&seq);
        behind
    }

    /// A transaction has gone to the journal.
    fn remove(&mut self, seq: Seq, ops: &[Op]) {
        for op in ops {
            if let Some((key, _)) = key_of(op) {
                if let Some(touches) = self.keys.get_mut(key) {
                    touches.retain(|(_, by)| *by != seq);
                    if touches.is_empty() {
                        self.keys.remove(key);
                    }
                }
            } else if let Op::DeleteRange { .. } = op {
                self.ranges.retain(|(.., by)| *by != seq);
            } else if let Some((volume, _)) = data_of(op)
                && let Some(touches) = self.data.get_mut(&volume)
            {
                touches.retain(|(.., by)| *by != seq);
                if touches.is_empty() {
                    self.data.remove(&volume);
                }
            }
        }
    }
}

/// Transactions: most often one.
type Few = SmallVec<[Seq; 2]>;

struct Waiting {
    queued: Queued,
    since: Instant,
    /// How many it waits for.
    behind: usize,
    /// Who waits for it.
    before: Few,
}

/// The queue in front of the journal.
pub(crate) struct Queue {
    /// In the order of numbers, whatever they change.
    strict: bool,
    waiting: BTreeMap<Seq, Waiting>,
    /// Those that the journal may take.
    ready: BTreeSet<Seq>,
    touched: Touched,
}

impl Queue {
    pub(crate) fn new(strict: bool) -> Self {
        Self {
            strict,
            waiting: BTreeMap::new(),
            ready: BTreeSet::new(),
            touched: Touched::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those that wait.
    pub(crate) fn waiting(&self) -> impl ExactSizeIterator<Item = &Queued> {
        self.waiting.values().map(|waiting| &waiting.queued)
    }

    /// Since when the oldest waits.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().next().map(|waiting| waiting.since)
    }

    /// The changes of all that wait, in their order.
    pub(crate) fn waiting_ops(&self) -> Vec<Vec<Op>> {
        let all = self.waiting.values();
        all.map(|waiting| waiting.queued.ops.clone()).collect()
    }

    /// Adds the newest transaction.
    pub(crate) fn push(&mut self, queued: Queued) {
        let seq = queued.seq;
        let behind: Few = if self.strict && queued.marks_only() {
            // Direct writes wait for it: it must not wait for others.
            Few::new()
        } else if self.strict {
            let mut older = self.waiting.iter().rev();
            let last = older.find(|(_, waiting)| !waiting.queued.marks_only());
            last.map(|(seq, _)| *seq).into_iter().collect()
        } else {
            let mut behind = self.touched.add(seq, &queued.ops);
            behind.extend(&queued.builds_on);
            behind.retain(|other| *other != seq && self.waiting.contains_key(other));
            behind.into_iter().collect()
        };
        for other in &behind {
            if let Some(other) = self.waiting.get_mut(other) {
                other.before.push(seq);
            }
        }
        if behind.is_empty() && queued.direct_after.is_none() {
            self.ready.insert(seq);
        }
        let waiting = Waiting {
            queued,
            since: Instant::now(),
            behind: behind.len(),
            before: Few::new(),
        };
        self.waiting.insert(seq, waiting);
    }

    /// Notes that the direct writes of a transaction are done, and with which sums, by the changes that they are.
    pub(crate) fn written(&mut self, seq: Seq, found: Vec<(usize, Bytes)>) {
        if let Some(waiting) = self.waiting.get_mut(&seq) {
            for (op, found) in found {
                if let Some(Op::Direct { sums, .. }) = waiting.queued.ops.get_mut(op) {
                    *sums = found;
                }
            }
            waiting.queued.direct_after = None;
            if waiting.behind == 0 {
                self.ready.insert(seq);
            }
        }
    }

    /// Whether the journal may have something, up to `last`.
    pub(crate) fn has_ready(&self, last: Option<Seq>) -> bool {
        let first = self.ready.first();
        first.is_some_and(|seq| last.is_none_or(|last| *seq <= last))
    }

    /// Takes what the journal may have, up to `last`, as much as fits into a batch. What builds on others comes behind them.
    pub(crate) fn take(&mut self, last: Option<Seq>, max_batch: u64) -> Vec<Queued> {
        let mut batch: Vec<Queued> = Vec::new();
        let mut size = Size::default();
        while let Some(seq) = self.ready.first().copied() {
            let Some(waiting) = self.waiting.get(&seq) else {
                self.ready.remove(&seq);
                continue;
            };
            let more = waiting.queued.size;
            let fits = batch.is_empty() || (size + more).batch_len() <= max_batch;
            if last.is_some_and(|last| seq > last) || !fits {
                break;
            }
            size += more;
            batch.extend(self.pop(seq));
        }
        batch
    }

    fn pop(&mut self, seq: Seq) -> Option<Queued> {
        self.ready.remove(&seq);
        let taken = self.waiting.remove(&seq)?;
        if !self.strict {
            self.touched.remove(seq, &taken.queued.ops);
        }
        for next in taken.before {
            if let Some(waiting) = self.waiting.get_mut(&next) {
                waiting.behind -= 1;
                if waiting.behind == 0 && waiting.queued.direct_after.is_none() {
                    self.ready.insert(next);
                }
            }
        }
        Some(taken.queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::Transaction;

    fn queued(seq: Seq, writing: bool, build: impl FnOnce(&mut Transaction)) -> Queued {
        let mut tx = Transaction::new();
        build(&mut tx);
        Queued {
            seq,
            size: Size {
                records: 3000,
                outlined: 0,
            },
            ops: tx.ops,
            data: Vec::new(),
            direct_after: writing.then_some(0),
            direct_behind: Vec::new(),
            direct_bytes: 0,
            emptied: Vec::new(),
            builds_on: tx.builds_on,
            held: None,
        }
    }

    fn taken(queue: &mut Queue) -> Vec<Seq> {
        queue.take(None, 1 << 20).iter().map(|tx| tx.seq).collect()
    }

    fn put(key: &'static str) -> impl FnOnce(&mut Transaction) {
        move |tx| {
            tx.put(key, "v");
        }
    }

    #[test]
    fn what_builds_on_an_unfinished_write_waits_and_the_rest_does_not() {
        let mut queue = Queue::new(false);
        queue.push(queued(1, true, |tx| {
            tx.put("a", "1").patch("page", 0, "12345678").put("r1", "x");
        }));
        queue.push(queued(2, false, put("b")));
        queue.push(queued(3, false, put("a")));
        queue.push(queued(4, false, |tx| {
            tx.patch("page", 8, "next");
        }));
        queue.push(queued(5, false, |tx| {
            tx.patch("page", 7, "same");
        }));
        queue.push(queued(6, false, |tx| {
            tx.delete_range("r", "s");
        }));
        queue.push(queued(7, false, put("r2")));
        queue.push(queued(8, false, |tx| {
            tx.put("c", "1").builds_on(1);
        }));
        queue.push(queued(9, false, |tx| {
            tx.put("d", "1").builds_on(2);
        }));
        assert_eq!(taken(&mut queue), [2, 4, 9]);
        assert_eq!(taken(&mut queue), [0; 0]);
        queue.written(1, Vec::new());
        assert_eq!(taken(&mut queue), [1, 3, 5, 6, 7, 8]);
        assert!(queue.is_empty() && queue.touched.keys.is_empty() && queue.touched.ranges.is_empty());
    }

    #[test]
    fn changes_of_the_same_blocks_and_volumes_keep_their_order() {
        let volume = VolumeId(1);
        let mut queue = Queue::new(false);
        queue.push(queued(1, true, |tx| {
            tx.write(volume, 100, "data");
        }));
        queue.push(queued(2, false, |tx| {
            tx.discard(volume, 4096, 4096);
        }));
        queue.push(queued(3, false, |tx| {
            tx.discard(volume, 0, 4096);
        }));
        queue.push(queued(4, false, |tx| {
            tx.delete_volume(volume);
        }));
        queue.push(queued(5, false, |tx| {
            tx.delete_volume(VolumeId(2));
        }));
        assert_eq!(taken(&mut queue), [2, 5]);
        queue.written(1, Vec::new());
        assert_eq!(taken(&mut queue), [1, 3, 4]);
        assert!(queue.touched.data.is_empty());
    }

    #[test]
    fn on_files_all_keep_their_order() {
        let mut queue = Queue::new(true);
        queue.push(queued(1, true, put("a")));
        queue.push(queued(2, false, put("b")));
        queue.push(queued(3, true, put("c")));
        queue.written(3, Vec::new());
        assert_eq!(taken(&mut queue), [0; 0]);
        queue.written(1, Vec::new());
        assert_eq!(taken(&mut queue), [1, 2, 3]);
    }

    #[test]
    fn on_files_marks_of_regions_go_first_and_nothing_else_does() {
        let mut queue = Queue::new(true);
        let mark = |tx: &mut Transaction| {
            tx.ops.push(Op::Put {
                key: Bytes::from_static(crate::regions::ROW),
                value: Bytes::new(),
            });
        };
        queue.push(queued(1, true, put("a")));
        queue.push(queued(2, false, mark));
        queue.push(queued(3, false, put("b")));
        queue.push(queued(4, false, mark));
        assert_eq!(taken(&mut queue), [2, 4]);
        assert_eq!(taken(&mut queue), [0; 0]);
        queue.written(1, Vec::new());
        assert_eq!(taken(&mut queue), [1, 3]);
    }

    #[test]
    fn a_checkpoint_and_the_size_of_a_batch_end_it() {
        let mut queue = Queue::new(false);
        for seq in 1..=4 {
            queue.push(queued(seq, false, put("a")));
        }
        let two = Size {
            records: 6000,
            outlined: 0,
        };
        let batch = queue.take(Some(3), two.batch_len());
        assert_eq!(batch.iter().map(|tx| tx.seq).collect::<Vec<_>>(), [1, 2]);
        let batch = queue.take(Some(3), two.batch_len());
        assert_eq!(batch.iter().map(|tx| tx.seq).collect::<Vec<_>>(), [3]);
        assert!(queue.take(Some(3), two.batch_len()).is_empty());
    }
}
