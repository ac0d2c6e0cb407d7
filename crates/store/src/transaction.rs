//! Transactions: what is applied as a whole or not at all.

use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    error::{Result, StoreError},
    map::RESERVED,
};

/// A transaction's place in the store's total order. Starts at 1 and never goes back, also over restarts.
pub type Seq = u64;

/// Transactions that one waits for: most often one or none.
pub(crate) type Seqs = SmallVec<[Seq; 2]>;

/// Longest key in bytes.
pub const MAX_KEY: usize = 64 << 10;
/// Longest value in bytes, also of one that [`Transaction::patch`] makes.
pub const MAX_VALUE: u64 = 16 << 20;
/// End of the largest volume in bytes.
pub const MAX_VOLUME: u64 = 1 << 50;

/// A volume's number in its store. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeId(pub u64);

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "volume {:#x}", self.0)
    }
}

/// Bytes that most often need no memory of their own.
pub(crate) type Short = SmallVec<[u8; 32]>;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Put {
        key: Bytes,
        value: Bytes,
    },
    Patch {
        key: Short,
        offset: u64,
        data: Short,
    },
    Delete {
        key: Bytes,
    },
    /// An empty `end` stands for the end of the key space.
    DeleteRange {
        start: Bytes,
        end: Bytes,
    },
    Write {
        volume: VolumeId,
        offset: u64,
        data: Bytes,
        /// Those of its blocks, 4 bytes each: then it is whole blocks, which stand behind the records of the journal. None at all: it stands
        /// in its record.
        sums: Short,
    },
    /// A write that stands in the volume file already; only its place is in the journal.
    Direct {
        volume: VolumeId,
        offset: u64,
        len: u64,
        /// Those of its whole blocks, 4 bytes each. None at all: the blocks have no sums.
        sums: Bytes,
    },
    Discard {
        volume: VolumeId,
        offset: u64,
        len: u64,
    },
    DeleteVolume {
        volume: VolumeId,
    },
    CreateVolume {
        volume: VolumeId,
        name: Bytes,
    },
}

/// A list of changes that become durable together, applied in the order they were added.
///
/// The one thing that is not atomic: a write of at least [`crate::Options::direct_threshold`] bytes (on a slow disk
/// [`crate::Options::slow_direct_threshold`]), or any write to a [`crate::Device`], that overwrites data in place may be found partly done after a crash if it was not acknowledged yet.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    pub(crate) ops: Vec<Op>,
    /// Data is not written before these transactions have reached their volumes.
    pub(crate) start_after: Seqs,
    /// It is durable only if these are.
    pub(crate) builds_on: Seqs,
    /// The devices of deleted volumes stay as they are.
    pub(crate) keeps_devices: bool,
}

impl Transaction {
    /// An empty transaction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many changes were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Adds all changes of `other` behind the ones here.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.ops.extend(other.ops);
        self.start_after.extend(other.start_after);
        self.builds_on.extend(other.builds_on);
        self
    }

    /// Keeps data that does not travel in the journal from being written before transaction `seq` is durable: what
    /// that one preserved may be overwritten then.
    pub fn start_after(&mut self, seq: Seq) -> &mut Self {
        self.start_after.push(seq);
        self.builds_on(seq)
    }

    /// Makes this transaction durable only after transaction `seq`, as it is where both change the same: for what it knows from
    /// there.
    pub fn builds_on(&mut self, seq: Seq) -> &mut Self {
        self.builds_on.push(seq);
        self
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.push(Op::Put {
            key: key.into(),
            value: value.into(),
        })
    }

    /// Overwrites a part of the value of a key. A missing value counts as empty, and a value that is too short is
    /// extended with zeros. Only the patch goes to the journal, so that small changes of large values are cheap.
    pub fn patch(&mut self, key: impl AsRef<[u8]>, offset: u64, data: impl AsRef<[u8]>) -> &mut Self {
        self.push(Op::Patch {
            key: Short::from_slice(key.as_ref()),
            offset,
            data: Short::from_slice(data.as_ref()),
        })
    }

    /// Removes a key, if it exists.
    pub fn delete(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.push(Op::Delete { key: key.into() })
    }

    /// Removes all keys from `start` up to and without `end`. An empty `end` means to the last key.
    pub fn delete_range(&mut self, start: impl Into<Bytes>, end: impl Into<Bytes>) -> &mut Self {
        let end: Bytes = end.into();
        self.push(Op::DeleteRange {
            start: start.into(),
            end: if end.is_empty() {
                Bytes::from_static(&[RESERVED])
            } else {
                end
            },
        })
    }

    /// Writes bytes to a volume.
    pub fn write(&mut self, volume: VolumeId, offset: u64, data: impl Into<Bytes>) -> &mut Self {
        let data = data.into();
        if data.is_empty() {
            return self;
        }
        self.push(Op::Write {
            volume,
            offset,
            data,
            sums: Short::new(),
        })
    }

    /// Makes a range of a volume read as zeros and gives its space back.
    pub fn discard(&mut self, volume: VolumeId, offset: u64, len: u64) -> &mut Self {
        if len == 0 {
            return self;
        }
        self.push(Op::Discard { volume, offset, len })
    }

    /// Removes a volume with all its data. Its id becomes unknown at once.
    pub fn delete_volume(&mut self, volume: VolumeId) -> &mut Self {
        self.push(Op::DeleteVolume { volume })
    }

    fn push(&mut self, op: Op) -> &mut Self {
        self.ops.push(op);
        self
    }

    /// Whether the transaction gives space back and takes none for data, and so is served also when the store is
    /// full.
    pub(crate) fn frees(&self) -> bool {
        let frees = |op: &Op| {
            matches!(
                op,
                Op::Delete { .. } | Op::DeleteRange { .. } | Op::Discard { .. } | Op::DeleteVolume { .. }
            )
        };
        let writes = |op: &Op| matches!(op, Op::Write { .. } | Op::Direct { .. });
        self.ops.iter().any(frees) && !self.ops.iter().any(writes)
    }

    /// Whether it changes volumes.
    pub(crate) fn has_data(&self) -> bool {
        self.ops.iter().any(|op| {
            matches!(
                op,
                Op::Write { .. } | Op::Direct { .. } | Op::Discard { .. } | Op::DeleteVolume { .. }
            )
        })
    }

    /// Checks every change against the limits.
    pub(crate) fn check(&self) -> Result<()> {
        for op in &self.ops {
            match op {
                Op::Put { key, value } => {
                    check_key(key)?;
                    limit("a value", value.len() as u64, MAX_VALUE)?;
                }
                Op::Patch { key, offset, data } => {
                    check_key(key)?;
                    limit("a value", offset.saturating_add(data.len() as u64), MAX_VALUE)?;
                }
                Op::Delete { key } => check_key(key)?,
                Op::DeleteRange { start, end } => {
                    limit("a key", start.len().max(end.len()) as u64, MAX_KEY as u64)?;
                }
                Op::Write { offset, data, .. } => {
                    limit("a volume", offset.saturating_add(data.len() as u64), MAX_VOLUME)?;
                }
                Op::Direct { offset, len, .. } | Op::Discard { offset, len, .. } => {
                    limit("a volume", offset.saturating_add(*len), MAX_VOLUME)?;
                }
                Op::DeleteVolume { .. } | Op::CreateVolume { .. } => {}
            }
        }
        Ok(())
    }
}

/// Checks the key of a changed value.
fn check_key(key: &[u8]) -> Result<()> {
    match key.first() {
        Some(&RESERVED) => Err(StoreError::ReservedKey),
        _ => limit("a key", key.len() as u64, MAX_KEY as u64),
    }
}

fn limit(what: &'static str, size: u64, limit: u64) -> Result<()> {
    if size > limit {
        Err(StoreError::TooLarge { what, size, limit })
    } else {
        Ok(())
    }
}
