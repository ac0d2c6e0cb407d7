//! Splits transactions into what goes to the journal and what goes to volume files.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::{
    core::{Core, DataKind, DataOp, Queued},
    error::Result,
    options::BLOCK,
    record::Size,
    remote::Clear,
    sums::{self, SUM, is_whole_blocks, whole_blocks},
    transaction::{Op, Short, Transaction},
    volume::Volume,
};

/// How the writes of a transaction are cut.
struct Cut {
    /// From which length on they go straight to their volumes.
    threshold: u64,
    /// Blocks that such a write covers in part go through the journal, so that the rest of them can be verified where their order is certain.
    whole_blocks: bool,
}

/// A part of a write, and whether it is direct.
type Piece = (u64, Bytes, bool);

impl Cut {
    /// Much data in small pieces must not fill the journal.
    fn of(core: &Core, ops: &[Op]) -> Self {
        let lens = || {
            ops.iter().filter_map(|op| match op {
                Op::Write { offset, data, .. } => Some((*offset, data.len() as u64)),
                _ => None,
            })
        };
        let most = core.options.most_journaled();
        let total: u64 = lens().map(|(_, len)| len).sum();
        if total <= most {
            return Self {
                threshold: core.direct_threshold(),
                whole_blocks: true,
            };
        }
        let journaled: u64 = lens()
            .map(|(offset, len)| {
                let (first, end) = whole_blocks(offset, len);
                len - (end - first) * BLOCK
            })
            .sum();
        Self {
            threshold: BLOCK,
            whole_blocks: journaled <= most,
        }
    }

    fn pieces(&self, volume: &Volume, offset: u64, data: Bytes) -> SmallVec<[Piece; 1]> {
        let len = data.len() as u64;
        if len < self.threshold {
            return smallvec![(offset, data, false)];
        }
        if !volume.sums.are_kept() || !self.whole_blocks {
            return smallvec![(offset, data, true)];
        }
        let (first, end) = whole_blocks(offset, len);
        if first == end {
            return smallvec![(offset, data, false)];
        }
        let (head, tail) = (first * BLOCK - offset, end * BLOCK - offset);
        let pieces = [
            (offset, data.slice(..head as usize), false),
            (offset + head, data.slice(head as usize..tail as usize), true),
            (offset + tail, data.slice(tail as usize..), false),
        ];
        pieces
            .into_iter()
            .filter(|(_, data, _)| !data.is_empty())
            .collect()
    }
}

/// What becomes of a transaction.
struct Plan {
    ops: Vec<Op>,
    data: SmallVec<[DataOp; 1]>,
}

impl Plan {
    /// Of a transaction of which nothing is cut, and to which nothing is added.
    fn as_it_is(core: &Core, ops: Vec<Op>) -> Result<Self> {
        let mut data = SmallVec::new();
        for (at, op) in ops.iter().enumerate() {
            let (volume, kind) = match op {
                Op::Write {
                    volume, offset, data, ..
                } => {
                    let volume = core.volumes.get(*volume)?;
                    let (offset, data) = (*offset, data.clone());
                    (volume, DataKind::Journaled { offset, data })
                }
                &Op::Discard { volume, offset, len } => {
                    (core.volumes.get(volume)?, DataKind::Discard { offset, len })
                }
                _ => continue,
            };
            data.push(DataOp { op: at, volume, kind });
        }
        Ok(Self { ops, data })
    }

    fn add(&mut self, op: Op, volume: Arc<Volume>, kind: DataKind) {
        let at = self.ops.len();
        self.ops.push(op);
        self.data.push(DataOp { op: at, volume, kind });
    }

    fn write(&mut self, volume: &Arc<Volume>, (offset, data, direct): Piece) {
        let id = volume.id;
        let (op, kind) = if direct {
            let sums = match volume.sums.are_kept() {
                true => no_sums_yet(offset, data.len() as u64),
                false => Bytes::new(),
            };
            let len = data.len() as u64;
            let clear = Clear::default();
            (
                Op::Direct {
                    volume: id,
                    offset,
                    len,
                    sums,
                },
                DataKind::Direct { offset, data, clear },
            )
        } else {
            let op = Op::Write {
                volume: id,
                offset,
                data: data.clone(),
                sums: Short::new(),
            };
            (op, DataKind::Journaled { offset, data })
        };
        self.add(op, Arc::clone(volume), kind);
    }
}

/// The room that the sums of a direct write take, which are found while it is written.
fn no_sums_yet(offset: u64, len: u64) -> Bytes {
    let (first, end) = whole_blocks(offset, len);
    Bytes::from(vec![0; ((end - first) * SUM) as usize])
}

impl Core {
    /// From which length on a write goes straight to its volume. Where there are no threads the same each time, whatever takes how long.
    fn direct_threshold(&self) -> u64 {
        match !self.options.stepped && self.pace.is_slow() {
            true => self.options.slow_direct_threshold,
            false => self.options.direct_threshold,
        }
    }

    fn plan(&self, ops: Vec<Op>) -> Result<Plan> {
        let cut = Cut::of(self, &ops);
        let changes = |op: &Op| match op {
            Op::Write { data, .. } => data.len() as u64 >= cut.threshold,
            Op::DeleteVolume { .. } => true,
            _ => false,
        };
        if !ops.iter().any(changes) {
            return Plan::as_it_is(self, ops);
        }
        let mut plan = Plan {
            ops: Vec::with_capacity(ops.len()),
            data: SmallVec::new(),
        };
        for op in ops {
            match op {
                Op::Write {
                    volume, offset, data, ..
                } => {
                    let volume = self.volumes.get(volume)?;
                    for piece in cut.pieces(&volume, offset, data) {
                        plan.write(&volume, piece);
                    }
                }
                Op::Discard { volume, offset, len } => {
                    let target = self.volumes.get(volume)?;
                    plan.add(op, target, DataKind::Discard { offset, len });
                }
                Op::DeleteVolume { volume } => {
                    let target = self.volumes.get(volume)?;
                    plan.ops.extend(self.forget_rows(volume));
                    plan.add(op, target, DataKind::Delete);
                }
                op => plan.ops.push(op),
            }
        }
        Ok(plan)
    }

    /// Splits a transaction on files.
    pub(crate) fn prepare(&self, tx: Transaction) -> Result<Queued> {
        let Plan { mut ops, mut data } = self.plan(tx.ops)?;
        keep_order_of_directs(&mut ops, &mut data);
        outline(&mut ops);
        let mut size = Size::of(&ops);
        // Without room for their sums, blocks have none until they are read by a scrub.
        if size.batch_len() > self.options.max_transaction() {
            for op in &mut ops {
                if let Op::Direct { sums, .. } = op {
                    *sums = Bytes::new();
                }
            }
            size = Size::of(&ops);
        }
        let is_direct = |op: &DataOp| matches!(op.kind, DataKind::Direct { .. });
        let direct_after = data.iter().any(is_direct).then_some(0);
        let direct_bytes = ops
            .iter()
            .map(|op| if let Op::Direct { len, .. } = op { *len } else { 0 })
            .sum();
        Ok(Queued {
            seq: 0,
            ops,
            data,
            size,
            direct_after,
            direct_behind: tx.start_after,
            builds_on: tx.builds_on,
            direct_bytes,
            emptied: Vec::new(),
            held: None,
        })
    }
}

/// Has data that is whole blocks stand behind the records of the journal. Its sums are made now, while the processor's cache has it, and serve the
/// journal as well as the volume.
fn outline(ops: &mut [Op]) {
    for op in ops {
        if let Op::Write {
            offset, data, sums, ..
        } = op
            && is_whole_blocks(*offset, data.len() as u64)
        {
            *sums = sums::encode(data).collect();
        }
    }
}

/// Direct writes reach the file before the journaled changes of the same transaction. Where that would turn the
/// order of two changes of the same bytes, the direct write is turned into a journaled one.
fn keep_order_of_directs(ops: &mut [Op], data: &mut [DataOp]) {
    let overlaps = |a: &DataOp, b: &DataOp| {
        let range = |op: &DataOp| match &op.kind {
            DataKind::Journaled { offset, data } | DataKind::Direct { offset, data, .. } => {
                Some((*offset, offset + data.len() as u64))
            }
            DataKind::Discard { offset, len } => Some((*offset, offset + len)),
            DataKind::Delete => None,
        };
        match (range(a), range(b)) {
            (Some((s, e)), Some((s2, e2))) => a.volume.id == b.volume.id && s < e2 && s2 < e,
            _ => false,
        }
    };
    for at in 1..data.len() {
        let (before, rest) = data.split_at_mut(at);
        let Some(this) = rest.first_mut() else { continue };
        let DataKind::Direct { offset, data, .. } = &this.kind else {
            continue;
        };
        let through_journal = |op: &&DataOp| !matches!(op.kind, DataKind::Direct { .. });
        if !before.iter().filter(through_journal).any(|op| overlaps(op, this)) {
            continue;
        }
        let (offset, data, id) = (*offset, data.clone(), this.volume.id);
        if let Some(op) = ops.get_mut(this.op) {
            *op = Op::Write {
                volume: id,
                offset,
                data: data.clone(),
                sums: Short::new(),
            };
        }
        this.kind = DataKind::Journaled { offset, data };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Options, Store};

    #[test]
    fn journaled_blocks_stand_behind_the_records_with_their_sums_and_parts_of_blocks_in_them() {
        let mut ops = Transaction::new()
            .write(crate::VolumeId(1), 4096, vec![1; 8192])
            .write(crate::VolumeId(1), 512, vec![2; 4096])
            .write(crate::VolumeId(1), 4096, vec![3; 4097])
            .ops
            .clone();
        outline(&mut ops);
        let sums = ops.iter().map(|op| match op {
            Op::Write { sums, .. } => sums.len() as u64 / SUM,
            _ => 0,
        });
        assert_eq!(sums.collect::<Vec<_>>(), [2, 0, 0]);
    }

    /// The lengths of what goes past the journal of writes of such lengths.
    fn past_the_journal(store: &Store, lens: &[usize]) -> Vec<usize> {
        let volume = store.volume("v").unwrap();
        let mut tx = Transaction::new();
        for (n, len) in lens.iter().enumerate() {
            tx.write(volume, (n as u64) << 20, vec![1; *len]);
        }
        let queued = store.core().prepare(tx).unwrap();
        let direct = queued.data.iter().filter_map(|op| match &op.kind {
            DataKind::Direct { data, .. } => Some(data.len()),
            _ => None,
        });
        direct.collect()
    }

    #[test]
    fn on_a_slow_disk_smaller_writes_go_past_the_journal() {
        const KIB: usize = 1 << 10;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(dir.path())).unwrap();
        let lens = [4 * KIB, 60 * KIB, 64 * KIB, 124 * KIB, 128 * KIB];
        assert_eq!(past_the_journal(&store, &lens), [128 * KIB]);
        for _ in 0..9 {
            store.core().pace.note(1 << 20, Duration::from_millis(9));
        }
        assert_eq!(past_the_journal(&store, &lens), [64 * KIB, 124 * KIB, 128 * KIB]);
    }
}
