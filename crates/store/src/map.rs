//! Which parts of a device's volume hold data: a bit for each block of 4 KiB, in rows of 128 bytes for 4 MiB.
//!
//! What holds none reads as zeros, whatever stands on the device. So a discard is a change of this map, durable and atomic
//! with its transaction, and costs the device nothing; and the rest of a block that is written for the first time
//! need not be read.
//!
//! Rows are keys below [`RESERVED`] that users of the store do not see. One that is missing stands for no data, or, in a volume that
//! held data when it was taken over, for data everywhere.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    device::DEVICE_UNIT,
    error::{Result, StoreError},
    meta::Meta,
    transaction::{Op, VolumeId},
};

/// The first byte of the keys that belong to the store itself.
pub(crate) const RESERVED: u8 = 0xff;
/// Bytes of a volume that one row stands for.
pub(crate) const PAGE: u64 = 4 << 20;

const BLOCKS: u64 = PAGE / DEVICE_UNIT;
const ROW: usize = (BLOCKS / 8) as usize;
/// The longest range, in bytes, that one transaction may discard: its rows must fit into a transaction.
pub(crate) const MAX_DISCARD: u64 = 4 << 30;

type Row = [u8; ROW];

fn row_key(volume: VolumeId, page: u64) -> Bytes {
    let mut key = vec![RESERVED, b'D'];
    key.extend_from_slice(&volume.0.to_be_bytes());
    key.extend_from_slice(&page.to_be_bytes());
    key.into()
}

/// The keys of a volume's rows for the pages from `first` up to and without `end`.
fn rows_range(volume: VolumeId, first: u64, end: u64) -> (Bytes, Bytes) {
    (row_key(volume, first), row_key(volume, end))
}

/// Adds the removal of all rows of a volume.
pub(crate) fn push_removal(volume: VolumeId, ops: &mut Vec<Op>) {
    let (start, end) = rows_range(volume, 0, u64::MAX);
    ops.push(Op::DeleteRange { start, end });
}

/// Whether a key and value are a row's.
pub(crate) fn is_row(key: &[u8], value: &[u8]) -> bool {
    key.len() == 18 && parse_row(value).is_ok()
}

fn parse_row(value: &[u8]) -> Result<Row> {
    value
        .try_into()
        .map_err(|_| StoreError::corrupt("a row of a volume's map has a wrong length"))
}

/// A volume's map as a transaction changes it.
pub(crate) struct MapChange {
    volume: VolumeId,
    /// What a missing row stands for.
    filled: bool,
    rows: BTreeMap<u64, (Row, Row)>,
}

impl MapChange {
    pub(crate) fn new(volume: VolumeId, filled: bool) -> Self {
        Self {
            volume,
            filled,
            rows: BTreeMap::new(),
        }
    }

    fn row(&mut self, meta: &Meta, page: u64) -> Result<&mut Row> {
        use std::collections::btree_map::Entry;
        let row = match self.rows.entry(page) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let row = load(meta, self.volume, page, self.filled)?;
                entry.insert((row, row))
            }
        };
        Ok(&mut row.1)
    }

    /// Whether the block of a byte holds data.
    pub(crate) fn has(&mut self, meta: &Meta, offset: u64) -> Result<bool> {
        let row = self.row(meta, offset / PAGE)?;
        Ok(bit(row, (offset % PAGE / DEVICE_UNIT) as usize))
    }

    /// Notes of the blocks of a range, whose borders are theirs, whether they hold data.
    pub(crate) fn set(&mut self, meta: &Meta, start: u64, end: u64, data: bool) -> Result<()> {
        let mut at = start;
        while at < end {
            let page = at / PAGE;
            let to = end.min((page + 1) * PAGE);
            let row = self.row(meta, page)?;
            let blocks = (at % PAGE / DEVICE_UNIT) as usize..((to - page * PAGE) / DEVICE_UNIT) as usize;
            set_bits(row, blocks, data);
            at = to;
        }
        Ok(())
    }

    /// The offsets of the pages that the change has emptied.
    pub(crate) fn emptied(&self) -> impl Iterator<Item = u64> + '_ {
        let emptied = self
            .rows
            .iter()
            .filter(|(_, (old, new))| old != new && *new == [0; ROW]);
        emptied.map(|(page, _)| page * PAGE)
    }

    /// Adds the changes of rows.
    pub(crate) fn push(self, ops: &mut Vec<Op>) {
        let default = default_row(self.filled);
        for (page, (old, new)) in self.rows {
            let key = row_key(self.volume, page);
            if old == new {
                continue;
            }
            ops.push(if new == default {
                Op::Delete { key }
            } else {
                let value = Bytes::copy_from_slice(&new);
                Op::Put { key, value }
            });
        }
    }
}

const fn default_row(filled: bool) -> Row {
    if filled { [0xff; ROW] } else { [0; ROW] }
}

fn load(meta: &Meta, volume: VolumeId, page: u64, filled: bool) -> Result<Row> {
    match meta.get(&row_key(volume, page))? {
        Some(value) => parse_row(&value),
        None => Ok(default_row(filled)),
    }
}

fn bit(row: &Row, block: usize) -> bool {
    row.get(block / 8)
        .is_some_and(|byte| byte >> (block % 8) & 1 == 1)
}

fn set_bits(row: &mut Row, blocks: std::ops::Range<usize>, data: bool) {
    let mut at = blocks.start;
    while at < blocks.end {
        let Some(byte) = row.get_mut(at / 8) else { return };
        if at.is_multiple_of(8) && at + 8 <= blocks.end {
            *byte = if data { 0xff } else { 0 };
            at += 8;
            continue;
        }
        let mask = 1 << (at % 8);
        *byte = if data { *byte | mask } else { *byte & !mask };
        at += 1;
    }
}

/// The parts of a range that hold data, ascending, clipped to it. Parts that touch are one.
pub(crate) fn data_ranges(
    meta: &Meta,
    volume: VolumeId,
    filled: bool,
    offset: u64,
    end: u64,
) -> Result<Vec<(u64, u64)>> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    let mut at = offset;
    while at < end {
        let page = at / PAGE;
        let to = end.min((page + 1) * PAGE);
        let row = load(meta, volume, page, filled)?;
        while at < to {
            let next = to.min((at / DEVICE_UNIT + 1) * DEVICE_UNIT);
            if bit(&row, (at % PAGE / DEVICE_UNIT) as usize) {
                match found.last_mut() {
                    Some(last) if last.1 == at => last.1 = next,
                    _ => found.push((at, next)),
                }
            }
            at = next;
        }
    }
    Ok(found)
}

/// Where the last block ends that holds data, as far as rows say; in a volume that held data before, at least its first one does.
pub(crate) fn data_end(meta: &Meta, volume: VolumeId, filled: bool) -> Result<u64> {
    let (from, to) = rows_range(volume, 0, u64::MAX);
    for (key, value) in meta.scan(&from, Some(&to), usize::MAX)?.into_iter().rev() {
        let page = key.get(10..).and_then(|page| page.try_into().ok());
        let page = page
            .map(u64::from_be_bytes)
            .ok_or_else(|| StoreError::corrupt("a key of a volume's map"))?;
        let row = parse_row(&value)?;
        if let Some(last) = (0..BLOCKS).rev().find(|block| bit(&row, *block as usize)) {
            return Ok(page.saturating_mul(PAGE).saturating_add((last + 1) * DEVICE_UNIT));
        }
    }
    Ok(if filled { DEVICE_UNIT } else { 0 })
}

/// Whether nothing in a range of whole pages holds data.
pub(crate) fn is_empty(meta: &Meta, volume: VolumeId, filled: bool, offset: u64, end: u64) -> Result<bool> {
    let (first, last) = (offset / PAGE, end / PAGE);
    let (from, to) = rows_range(volume, first, last);
    let rows = meta.scan(&from, Some(&to), (last - first) as usize)?;
    if filled && (rows.len() as u64) < last - first {
        return Ok(false);
    }
    for (_, value) in rows {
        if parse_row(&value)? != [0; ROW] {
            return Ok(false);
        }
    }
    Ok(true)
}
