//! On devices: transactions wait for those whose changes they build on, and for no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included},
    time::Instant,
};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    core::Queued,
    ranges::overlap,
    remote::rounded,
    transaction::{Op, Seq, Short, VolumeId},
};

/// Which bytes of a key's value are changed; `None`: all of it.
type Part = Option<(u64, u64)>;

/// What a transaction changes of a key's value.
type KeyTouch = (Part, Seq);

/// What must not be separated from whoever changes the same.
#[derive(Default)]
struct Touched {
    keys: BTreeMap<Short, Vec<KeyTouch>>,
    /// Deleted ranges of keys.
    ranges: Vec<(Bytes, Bytes, Seq)>,
    /// Ranges of volumes. All of it: it comes or goes.
    data: BTreeMap<VolumeId, Vec<(u64, u64, Seq)>>,
}

fn key_of(op: &Op) -> Option<(&[u8], Part)> {
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
                let touches = self.keys.entry(Short::from_slice(key)).or_default();
                let same = touches.iter().filter(|(other, _)| match (part, other) {
                    (Some(part), Some(other)) => overlap(part, *other),
                    _ => true,
                });
                behind.extend(same.map(|(_, by)| *by));
                touches.push((part, seq));
                let gone = self
                    .ranges
                    .iter()
                    .filter(|(start, end, _)| &start[..] <= key && key < &end[..]);
                behind.extend(gone.map(|(.., by)| *by));
            } else if let Op::DeleteRange { start, end } = op {
                if start < end {
                    let inside = self
                        .keys
                        .range::<[u8], _>((Included(&start[..]), Excluded(&end[..])));
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

/// Transactions of which each waits for those whose changes it builds on.
#[derive(Default)]
pub(super) struct ByTouch {
    waiting: BTreeMap<Seq, Waiting>,
    /// Those of them that the journal may take.
    ready: BTreeSet<Seq>,
    touched: Touched,
}

impl ByTouch {
    /// Those that wait.
    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = &Queued> {
        self.waiting.values().map(|waiting| &waiting.queued)
    }

    /// Since when the oldest waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().next().map(|waiting| waiting.since)
    }

    /// Adds the newest transaction.
    pub(super) fn push(&mut self, queued: Queued) {
        let seq = queued.seq;
        let mut behind = self.touched.add(seq, &queued.ops);
        behind.extend(&queued.builds_on);
        behind.retain(|other| *other != seq && self.waiting.contains_key(other));
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

    /// One whose direct writes are done.
    pub(super) fn written(&mut self, seq: Seq, sums: Vec<(usize, Bytes)>) {
        if let Some(waiting) = self.waiting.get_mut(&seq) {
            waiting.queued.written(sums);
            if waiting.behind == 0 {
                self.ready.insert(seq);
            }
        }
    }

    /// What the journal may have next.
    pub(super) fn next(&self) -> Option<&Queued> {
        let seq = self.ready.first()?;
        self.waiting.get(seq).map(|waiting| &waiting.queued)
    }

    /// Takes [`Self::next`].
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let seq = self.ready.pop_first()?;
        let taken = self.waiting.remove(&seq)?;
        self.touched.remove(seq, &taken.queued.ops);
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

    #[cfg(test)]
    pub(super) fn has_touched(&self) -> bool {
        let Touched { keys, ranges, data } = &self.touched;
        !(keys.is_empty() && ranges.is_empty() && data.is_empty())
    }
}
