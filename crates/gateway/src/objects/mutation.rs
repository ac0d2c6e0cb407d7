//! What an op vector has changed so far, before anything is stored: reads within the vector see it, and it
//! becomes one transaction if the vector succeeds.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::{extents::Extents, onode::ObjectState, preserve::Preserve};

/// A change of an object's data, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataChange {
    /// Bytes at an offset.
    Write {
        /// Offset in the object.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// A range that reads as zeros from now on.
    Zero {
        /// Offset in the object.
        offset: u64,
        /// Length.
        len: u64,
    },
    /// A new size; what was behind it is gone.
    Truncate {
        /// The new size.
        size: u64,
    },
}

impl DataChange {
    /// How many bytes it brings.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Write { data, .. } => data.len(),
            _ => 0,
        }
    }
}

/// Changes of a key-value table: `None` removes.
pub type Rows = BTreeMap<Bytes, Option<Bytes>>;

/// A watch as recorded with its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRow {
    /// Client number.
    pub client: i64,
    /// The client's cookie.
    pub cookie: u64,
    /// The recorded form; `None` removes it.
    pub value: Option<Bytes>,
}

/// All staged changes of one object.
#[derive(Debug, Clone, Default)]
pub struct Mutation {
    /// The object was removed (and perhaps made anew): nothing of what is stored shows through.
    pub reset: bool,
    /// Data changes since.
    pub data: SmallVec<[DataChange; 1]>,
    /// Attribute changes.
    pub xattrs: Rows,
    /// The omap was cleared before `omap`.
    pub omap_cleared: bool,
    /// Omap changes.
    pub omap: Rows,
    /// A new omap header.
    pub omap_header: Option<Bytes>,
    /// Changed watches.
    pub watches: Vec<WatchRow>,
    /// Anything at all is to be stored, be it only the object's existence.
    pub touched: bool,
}

impl Mutation {
    /// The ranges of the object's old data that are changed.
    #[must_use]
    pub fn touched_data(&self) -> Extents {
        if self.reset {
            return Extents::of(0, u64::MAX);
        }
        let mut touched = Extents::default();
        for change in &self.data {
            match change {
                DataChange::Write { offset, data } => touched.insert(*offset, offset + data.len() as u64),
                DataChange::Zero { offset, len } => touched.insert(*offset, offset.saturating_add(*len)),
                DataChange::Truncate { size } => touched.insert(*size, u64::MAX),
            }
        }
        touched
    }

    /// Forgets everything staged: the object is removed.
    pub fn remove(&mut self) {
        let watches = std::mem::take(&mut self.watches);
        *self = Self {
            reset: true,
            omap_cleared: true,
            touched: true,
            watches,
            ..Self::default()
        };
    }

    /// Lays the staged data over `base`, the stored bytes of `[offset, offset + base.len())`.
    #[must_use]
    pub fn overlay(&self, offset: u64, base: Bytes) -> Bytes {
        if self.data.is_empty() {
            return base;
        }
        let end = offset + base.len() as u64;
        let mut out = BytesMut::from(base.as_ref());
        let mut fill = |from: u64, to: u64, bytes: Option<&[u8]>| {
            let (a, b) = (from.max(offset), to.min(end));
            if a < b {
                let target = &mut out[(a - offset) as usize..(b - offset) as usize];
                match bytes {
                    Some(src) => target.copy_from_slice(&src[(a - from) as usize..(b - from) as usize]),
                    None => target.fill(0),
                }
            }
        };
        for change in &self.data {
            match change {
                DataChange::Write { offset, data } => {
                    fill(*offset, offset + data.len() as u64, Some(data));
                }
                DataChange::Zero { offset, len } => fill(*offset, offset.saturating_add(*len), None),
                DataChange::Truncate { size } => fill(*size, u64::MAX, None),
            }
        }
        out.freeze()
    }
}

/// An object's state before and after an op vector, and what to store.
#[derive(Debug)]
pub struct Change {
    /// Before.
    pub old: ObjectState,
    /// After.
    pub new: ObjectState,
    /// What changed.
    pub mutation: Mutation,
    /// The snapshots that the writer knows of.
    pub snaps: WriterSnaps,
    /// What of the old data must be preserved for snapshots, once that was found out.
    pub preserve: Option<Preserve>,
    /// No data may be written in place before the transaction is durable: an earlier one that preserves old data
    /// of the object is not durable yet.
    pub journaled: bool,
    /// That earlier transaction. Where nothing is journaled, data is not written in place before it is durable.
    pub preserved: Option<store::Seq>,
}

/// What a change needs of its writer's snap context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriterSnaps {
    /// The newest snapshot the writer knows of.
    pub seq: u64,
    /// Existing snapshots that are newer than the object's sequence number, newest first.
    pub fresh: Vec<u64>,
}

impl Change {
    /// A change by a writer that knows of no snapshots.
    #[must_use]
    pub fn new(old: ObjectState, new: ObjectState, mutation: Mutation) -> Self {
        Self {
            old,
            new,
            mutation,
            snaps: WriterSnaps::default(),
            preserve: None,
            journaled: false,
            preserved: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_data_shows_in_order_over_what_is_stored() {
        let m = Mutation {
            data: smallvec::smallvec![
                DataChange::Write {
                    offset: 2,
                    data: Bytes::from_static(b"abcd"),
                },
                DataChange::Zero { offset: 3, len: 1 },
                DataChange::Truncate { size: 5 },
            ],
            ..Mutation::default()
        };
        assert_eq!(
            m.overlay(0, Bytes::from_static(b"12345678")).as_ref(),
            b"12a\0c\0\0\0"
        );
        assert_eq!(m.overlay(4, Bytes::from_static(b"5678")).as_ref(), b"c\0\0\0");
    }
}
