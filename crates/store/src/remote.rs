//! Transactions on volumes that lie on devices ([`crate::device`]).
//!
//! All data is written directly, whatever its size, and discards are changes of the volumes' maps ([`crate::map`]). Both
//! are worked out against the newest maps, so transactions with data take their places one at a time.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    core::{Core, DataKind, DataOp, Queued},
    device::{DEVICE_UNIT, Device},
    error::{Context, Result, StoreError},
    map::{MAX_DISCARD, MapChange, PAGE, RESERVED, data_ranges, push_removal},
    meta::Meta,
    pending::Extent,
    ranges::RangeSet,
    record::Size,
    transaction::{MAX_VOLUME, Op, Transaction, VolumeId},
    volume::Volume,
};

static ZEROS: [u8; DEVICE_UNIT as usize] = [0; DEVICE_UNIT as usize];

/// `len` zeros, less than a block.
pub(crate) fn zeros(len: u64) -> Bytes {
    Bytes::from_static(ZEROS.get(..len as usize).unwrap_or(&ZEROS))
}

pub(crate) const fn floor(offset: u64) -> u64 {
    offset / DEVICE_UNIT * DEVICE_UNIT
}

pub(crate) const fn ceil(offset: u64) -> u64 {
    offset.next_multiple_of(DEVICE_UNIT)
}

/// The range rounded out to whole units, as offset and length.
pub(crate) fn rounded(offset: u64, len: u64) -> (u64, u64) {
    let start = floor(offset);
    (start, ceil(offset + len) - start)
}

/// The parts of a write's first and last block that held no data before, and become zeros with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clear {
    pub(crate) head: bool,
    pub(crate) tail: bool,
}

/// A volume's device.
pub(crate) struct Remote {
    pub(crate) device: Arc<dyn Device>,
    /// What is recorded of it.
    pub(crate) record: PlaceRecord,
    returning: Mutex<Returning>,
}

/// What is to be done when a segment was given back.
type Deferred = Box<dyn FnOnce() + Send>;

/// A segment that is being given back.
#[derive(Default)]
struct Returning {
    /// Offset and length.
    range: Option<(u64, u64)>,
    /// Writes to it.
    deferred: Vec<Deferred>,
}

/// Where a volume lies, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlaceRecord {
    pub(crate) place: String,
    /// It held data when it was taken over: what the map does not say holds data.
    pub(crate) filled: bool,
}

impl PlaceRecord {
    fn key(table: u8, volume: VolumeId) -> Bytes {
        let mut key = vec![RESERVED, table];
        key.extend_from_slice(&volume.0.to_be_bytes());
        key.into()
    }

    pub(crate) fn put(&self, volume: VolumeId) -> Op {
        let mut value = vec![u8::from(self.filled)];
        value.extend_from_slice(self.place.as_bytes());
        Op::Put {
            key: Self::key(b'V', volume),
            value: value.into(),
        }
    }

    pub(crate) fn delete(volume: VolumeId) -> Op {
        Op::Delete {
            key: Self::key(b'V', volume),
        }
    }

    pub(crate) fn load(meta: &Meta, volume: VolumeId) -> Result<Option<Self>> {
        let Some(value) = meta.get(&Self::key(b'V', volume))? else {
            return Ok(None);
        };
        let damaged = || StoreError::corrupt("the record of a volume's place");
        let (filled, place) = value.split_first().ok_or_else(damaged)?;
        Ok(Some(Self {
            place: std::str::from_utf8(place).map_err(|_| damaged())?.to_owned(),
            filled: *filled != 0,
        }))
    }

    /// Whether any volume of the store lies on a device.
    pub(crate) fn any(meta: &Meta) -> Result<bool> {
        Ok(!meta
            .scan(&[RESERVED, b'V'], Some(&[RESERVED, b'V' + 1]), 1)?
            .is_empty())
    }

    /// Records that the device is to be removed.
    fn put_doomed(&self, volume: VolumeId) -> Op {
        Op::Put {
            key: Self::key(b'T', volume),
            value: Bytes::copy_from_slice(self.place.as_bytes()),
        }
    }

    /// Records that it is removed.
    pub(crate) fn delete_doomed(volume: VolumeId) -> Op {
        Op::Delete {
            key: Self::key(b'T', volume),
        }
    }

    /// Devices that are to be removed.
    pub(crate) fn doomed(meta: &Meta) -> Result<Vec<(VolumeId, String)>> {
        let rows = meta.scan(&[RESERVED, b'T'], Some(&[RESERVED, b'T' + 1]), usize::MAX)?;
        rows.into_iter()
            .map(|(key, place)| {
                let id = key
                    .get(2..)
                    .and_then(|id| id.try_into().ok())
                    .map(u64::from_be_bytes);
                let place = String::from_utf8(place.into()).ok();
                id.zip(place)
                    .map(|(id, place)| (VolumeId(id), place))
                    .ok_or_else(|| StoreError::corrupt("the record of a device to be removed"))
            })
            .collect()
    }
}

impl Remote {
    pub(crate) fn new(device: Arc<dyn Device>, record: PlaceRecord) -> Self {
        Self {
            device,
            record,
            returning: Mutex::default(),
        }
    }

    /// Calls `then` once none of the range is being given back: at once, or on the thread that gives it back.
    pub(crate) fn when_returned(&self, start: u64, end: u64, then: Deferred) {
        let mut returning = self.returning.lock();
        if returning
            .range
            .is_some_and(|(at, len)| start < at + len && at < end)
        {
            returning.deferred.push(then);
            return;
        }
        drop(returning);
        then();
    }

    /// Keeps writes off a segment.
    pub(crate) fn begin_return(&self, offset: u64, len: u64) {
        self.returning.lock().range = Some((offset, len));
    }

    pub(crate) fn end_return(&self) {
        let ended = std::mem::take(&mut *self.returning.lock());
        for then in ended.deferred {
            then();
        }
    }
}

impl Core {
    /// Makes sure that the devices have the room that a transaction's writes need.
    pub(crate) fn reserve(&self, tx: &Transaction) -> Result<()> {
        for op in &tx.ops {
            if let Op::Write {
                volume, offset, data, ..
            } = op
                && let Some(remote) = self.volumes.get(*volume)?.remote()
            {
                let end = ceil(offset + data.len() as u64);
                remote
                    .device
                    .reserve(end)
                    .context(|| format!("make room in {}", remote.record.place))?;
            }
        }
        Ok(())
    }

    /// Works out what a transaction means for devices and maps. The caller keeps other such transactions away until this one
    /// has its place.
    pub(crate) fn prepare_remote(&self, tx: Transaction) -> Result<Queued> {
        let mut plan = Plan {
            core: self,
            ops: Vec::with_capacity(tx.ops.len() + 1),
            data: Vec::new(),
            maps: BTreeMap::new(),
            bytes: 0,
        };
        let (start_after, builds_on, keeps_devices) = (tx.start_after, tx.builds_on, tx.keeps_devices);
        for op in tx.ops {
            // Only the record of it goes.
            if keeps_devices && matches!(op, Op::DeleteVolume { .. }) {
                plan.ops.push(op);
                continue;
            }
            plan.add(op)?;
        }
        let mut emptied = Vec::new();
        for (volume, map) in plan.maps {
            emptied.extend(map.emptied().map(|page| (volume, page)));
            map.push(&mut plan.ops);
        }
        let writes = plan
            .data
            .iter()
            .any(|op| matches!(op.kind, DataKind::Direct { .. }));
        Ok(Queued {
            seq: 0,
            size: Size::of(&plan.ops),
            ops: plan.ops,
            data: plan.data.into(),
            direct_after: writes.then_some(0),
            direct_behind: start_after,
            builds_on,
            direct_bytes: plan.bytes,
            emptied,
            held: None,
        })
    }
}

impl Core {
    /// Writes zeros where a volume holds no data but its device may.
    pub(crate) fn zero_holes(&self, volume: &Volume, remote: &Remote, len: u64) -> Result<()> {
        let what = || format!("zero in {}", remote.record.place);
        let mut at = 0;
        while at < len {
            let to = len.min(at + PAGE);
            let data = data_ranges(&self.meta, volume.id, remote.record.filled, at, to)?;
            let mut holes = RangeSet::default();
            holes.insert(at, ceil(to));
            data.into_iter().for_each(|(from, to)| holes.remove(from, to));
            for (from, to) in holes.within(at, ceil(to)) {
                if !remote.device.is_zero(from, to - from).context(what)? {
                    let pieces = (from..to)
                        .step_by(DEVICE_UNIT as usize)
                        .map(|_| zeros(DEVICE_UNIT));
                    remote.device.write_at(from, pieces.collect()).context(what)?;
                }
            }
            at = to;
        }
        Ok(())
    }
}

/// A transaction as it is taken apart.
struct Plan<'a> {
    core: &'a Core,
    ops: Vec<Op>,
    data: Vec<DataOp>,
    maps: BTreeMap<VolumeId, MapChange>,
    /// Of direct writes.
    bytes: u64,
}

impl Plan<'_> {
    fn add(&mut self, op: Op) -> Result<()> {
        match op {
            Op::Write {
                volume, offset, data, ..
            } => self.write(volume, offset, data),
            Op::Discard { volume, offset, len } => self.discard(volume, offset, len),
            Op::DeleteVolume { volume } => self.delete(volume),
            other => {
                self.ops.push(other);
                Ok(())
            }
        }
    }

    fn map(&mut self, volume: &Volume) -> &mut MapChange {
        let filled = volume.remote().is_some_and(|remote| remote.record.filled);
        self.maps
            .entry(volume.id)
            .or_insert_with(|| MapChange::new(volume.id, filled))
    }

    fn write(&mut self, id: VolumeId, offset: u64, data: Bytes) -> Result<()> {
        let volume = self.core.volumes.get(id)?;
        let meta = &self.core.meta;
        let end = offset + data.len() as u64;
        let (first, last) = (floor(offset), ceil(end));
        let map = self.map(&volume);
        let clear = Clear {
            head: first < offset && !map.has(meta, first)?,
            tail: end < last && !map.has(meta, last - DEVICE_UNIT)?,
        };
        map.set(meta, first, last, true)?;
        self.bytes += data.len() as u64;
        self.ops.push(Op::Direct {
            volume: id,
            offset,
            len: data.len() as u64,
            sums: Bytes::new(),
        });
        self.push(volume, DataKind::Direct { offset, data, clear });
        Ok(())
    }

    /// Whole blocks go from the map; parts of blocks that hold data are overwritten with zeros.
    fn discard(&mut self, id: VolumeId, offset: u64, len: u64) -> Result<()> {
        if len > MAX_DISCARD {
            return Err(StoreError::TooLarge {
                what: "a discard",
                size: len,
                limit: MAX_DISCARD,
            });
        }
        let volume = self.core.volumes.get(id)?;
        let end = (offset + len).min(MAX_VOLUME);
        let (from, to) = (ceil(offset), floor(end));
        if offset < from {
            self.zero_part(id, &volume, offset, end.min(from))?;
        }
        if from < to {
            let core = self.core;
            self.map(&volume).set(&core.meta, from, to, false)?;
            let kind = DataKind::Discard {
                offset: from,
                len: to - from,
            };
            self.push(Arc::clone(&volume), kind);
        }
        if to < end && from <= to {
            self.zero_part(id, &volume, to, end)?;
        }
        Ok(())
    }

    /// Zeroes a part of one block.
    fn zero_part(&mut self, id: VolumeId, volume: &Volume, start: u64, end: u64) -> Result<()> {
        let core = self.core;
        if self.map(volume).has(&core.meta, start)? {
            self.write(id, start, zeros(end - start))?;
        }
        Ok(())
    }

    fn delete(&mut self, id: VolumeId) -> Result<()> {
        let volume = self.core.volumes.get(id)?;
        self.maps.remove(&id);
        push_removal(id, &mut self.ops);
        if let Some(remote) = volume.remote() {
            self.ops.push(PlaceRecord::delete(id));
            self.ops.push(remote.record.put_doomed(id));
        }
        self.ops.push(Op::DeleteVolume { volume: id });
        self.push(volume, DataKind::Delete);
        Ok(())
    }

    fn push(&mut self, volume: Arc<Volume>, kind: DataKind) {
        self.data.push(DataOp {
            op: self.ops.len().saturating_sub(1),
            volume,
            kind,
        });
    }
}

/// The extents that a direct write lays over a volume: its data, and the zeros around it.
pub(crate) fn extents_of(offset: u64, data: &Bytes, clear: Clear, seq: u64) -> Vec<Extent> {
    let end = offset + data.len() as u64;
    let zeros = |offset, end: u64| Extent {
        offset,
        len: end - offset,
        data: None,
        seq,
    };
    let mut extents = Vec::with_capacity(1);
    if clear.head {
        extents.push(zeros(floor(offset), offset));
    }
    if clear.tail {
        extents.push(zeros(end, ceil(end)));
    }
    extents.push(Extent {
        offset,
        len: data.len() as u64,
        data: Some(data.clone()),
        seq,
    });
    extents
}
