//! Transactions that wait for the journal, and which wait for which.
//!
//! On files the journal takes them in the order of their numbers, but for marks of regions ([`crate::regions`]), which go first. On devices a write may take as long as it likes (a raft
//! group without a leader), so there it holds up only what builds on it: what changes the same keys, bytes of patched values, blocks or
//! volumes, and what says so ([`crate::Transaction::builds_on`]). The rest is journaled before it. After a crash the store then
//! holds a transaction and lacks an older one that had not become durable either: nobody was told of that, and nothing that is there was
//! made of it.

mod by_touch;
mod in_order;

use std::time::Instant;

use bytes::Bytes;

use self::{by_touch::ByTouch, in_order::InOrder};
use crate::{
    core::Queued,
    record::Size,
    transaction::{Op, Seq},
};

enum Kind {
    InOrder(InOrder),
    ByTouch(ByTouch),
}

/// The queue in front of the journal.
pub(crate) struct Queue(Kind);

impl Queue {
    /// Takes them in the order of their numbers.
    pub(crate) fn in_order() -> Self {
        Self(Kind::InOrder(InOrder::default()))
    }

    /// Has each wait only for what it builds on.
    pub(crate) fn by_touch() -> Self {
        Self(Kind::ByTouch(ByTouch::default()))
    }

    /// Those that wait, in the order of their numbers.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Queued> {
        let (in_order, by_touch) = match &self.0 {
            Kind::InOrder(queue) => (Some(queue.waiting()), None),
            Kind::ByTouch(queue) => (None, Some(queue.waiting())),
        };
        let by_touch = by_touch.into_iter().flatten();
        in_order.into_iter().flatten().chain(by_touch)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Kind::InOrder(queue) => queue.waiting().len(),
            Kind::ByTouch(queue) => queue.waiting().len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the oldest waits, on devices.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        match &self.0 {
            Kind::InOrder(_) => None,
            Kind::ByTouch(queue) => queue.oldest(),
        }
    }

    /// The changes of all that wait, in their order.
    pub(crate) fn waiting_ops(&self) -> Vec<Vec<Op>> {
        self.waiting().map(|queued| queued.ops.clone()).collect()
    }

    /// Adds the newest transaction.
    pub(crate) fn push(&mut self, queued: Queued) {
        match &mut self.0 {
            Kind::InOrder(queue) => queue.push(queued),
            Kind::ByTouch(queue) => queue.push(queued),
        }
    }

    /// Notes that the direct writes of a transaction are done, and with which sums, by the changes that they are.
    pub(crate) fn written(&mut self, seq: Seq, sums: Vec<(usize, Bytes)>) {
        match &mut self.0 {
            Kind::InOrder(queue) => queue.written(seq, sums),
            Kind::ByTouch(queue) => queue.written(seq, sums),
        }
    }

    fn next(&self) -> Option<&Queued> {
        match &self.0 {
            Kind::InOrder(queue) => queue.next(),
            Kind::ByTouch(queue) => queue.next(),
        }
    }

    fn pop(&mut self) -> Option<Queued> {
        match &mut self.0 {
            Kind::InOrder(queue) => queue.pop(),
            Kind::ByTouch(queue) => queue.pop(),
        }
    }

    /// Whether the journal may have something, up to `last`.
    pub(crate) fn has_ready(&self, last: Option<Seq>) -> bool {
        let next = self.next();
        next.is_some_and(|queued| last.is_none_or(|last| queued.seq <= last))
    }

    /// Takes what the journal may have, up to `last`, as much as fits into a batch. What builds on others comes behind them.
    pub(crate) fn take(&mut self, last: Option<Seq>, max_batch: u64) -> Vec<Queued> {
        let mut batch: Vec<Queued> = Vec::new();
        let mut size = Size::default();
        while let Some(next) = self.next() {
            let with_it = size + next.size;
            let fits = batch.is_empty() || with_it.batch_len() <= max_batch;
            if last.is_some_and(|last| next.seq > last) || !fits {
                break;
            }
            size = with_it;
            batch.extend(self.pop());
        }
        batch
    }
}

impl Queued {
    /// Its direct writes are done, with these sums, by the changes that they are.
    fn written(&mut self, sums: Vec<(usize, Bytes)>) {
        for (op, found) in sums {
            if let Some(Op::Direct { sums, .. }) = self.ops.get_mut(op) {
                *sums = found;
            }
        }
        self.direct_after = None;
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;
    use crate::transaction::{Transaction, VolumeId};

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
            data: SmallVec::new(),
            direct_after: writing.then_some(0),
            direct_behind: SmallVec::new(),
            direct_bytes: 0,
            emptied: Vec::new(),
            builds_on: tx.builds_on,
            held: None,
        }
    }

    fn taken(queue: &mut Queue) -> Vec<Seq> {
        queue.take(None, 1 << 20).iter().map(|tx| tx.seq).collect()
    }

    fn has_touched(queue: &Queue) -> bool {
        matches!(&queue.0, Kind::ByTouch(queue) if queue.has_touched())
    }

    fn put(key: &'static str) -> impl FnOnce(&mut Transaction) {
        move |tx| {
            tx.put(key, "v");
        }
    }

    #[test]
    fn what_builds_on_an_unfinished_write_waits_and_the_rest_does_not() {
        let mut queue = Queue::by_touch();
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
        assert!(queue.is_empty() && !has_touched(&queue));
    }

    #[test]
    fn changes_of_the_same_blocks_and_volumes_keep_their_order() {
        let volume = VolumeId(1);
        let mut queue = Queue::by_touch();
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
        assert!(!has_touched(&queue));
    }

    #[test]
    fn on_files_all_keep_their_order() {
        let mut queue = Queue::in_order();
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
        let mut queue = Queue::in_order();
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
        let mut queue = Queue::by_touch();
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
