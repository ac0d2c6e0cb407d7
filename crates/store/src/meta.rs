//! The key-value side: two layers of changes in memory over the metadata library.
//!
//! `active` takes new changes. A checkpoint freezes it, writes it to the library, and drops it.

use std::{collections::BTreeMap, iter::Peekable, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::{
    error::Result,
    kv::Snapshot,
    layer::{Found, Layer, is_dead},
    transaction::Op,
};

/// How many changed keys of the active layer a scan copies at a time beyond its limit.
const SCAN_SLACK: usize = 256;

struct Layers {
    active: Layer,
    frozen: Option<Arc<Layer>>,
    snapshot: Arc<Snapshot>,
    /// Counts freezes: base values read before one do not fit after it.
    rotation: u64,
    /// Bytes of `active` that the last checkpoint could not take up.
    carried: usize,
}

/// What lies under the active layer.
pub(crate) struct Below {
    frozen: Option<Arc<Layer>>,
    snapshot: Arc<Snapshot>,
}

impl Below {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self
            .frozen
            .as_ref()
            .map_or(Found::Below, |frozen| frozen.get(key))
        {
            Found::Value(value) => Ok(Some(value)),
            Found::Deleted => Ok(None),
            Found::Below => self.snapshot.get(key),
        }
    }
}

/// Base values for the patches of one transaction, read before it takes its place in the order.
pub(crate) struct Bases<'a> {
    rotation: u64,
    /// By key, for each patch that needs one.
    values: SmallVec<[(&'a [u8], Option<Bytes>); 2]>,
}

impl Bases<'_> {
    /// The first patch of a key takes its value: later ones find the key in the active layer.
    fn take(&mut self, key: &[u8]) -> Option<Bytes> {
        let mut values = self.values.iter_mut();
        values
            .find(|(of, _)| *of == key)
            .and_then(|(_, value)| value.take())
    }
}

/// All metadata.
pub(crate) struct Meta {
    layers: RwLock<Layers>,
}

impl Meta {
    pub(crate) fn new(active: Layer, snapshot: Arc<Snapshot>) -> Self {
        Self {
            layers: RwLock::new(Layers {
                active,
                frozen: None,
                snapshot,
                rotation: 0,
                carried: 0,
            }),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let below = {
            let layers = self.layers.read();
            match layers.active.get(key) {
                Found::Value(value) => return Ok(Some(value)),
                Found::Deleted => return Ok(None),
                Found::Below => layers.below(),
            }
        };
        below.get(key)
    }

    /// Reads what the patches in `ops` build on, as far as the active layer does not know it.
    pub(crate) fn bases<'a>(&self, ops: &'a [Op]) -> Result<Option<Bases<'a>>> {
        let patched = ops.iter().filter_map(|op| match op {
            Op::Patch { key, .. } => Some(&key[..]),
            _ => None,
        });
        let mut patched = patched.peekable();
        if patched.peek().is_none() {
            return Ok(None);
        }
        let (rotation, mut values, below) = {
            let layers = self.layers.read();
            let wanted = patched.filter(|key| !layers.active.decides(key));
            let values: SmallVec<[_; 2]> = wanted.map(|key| (key, None)).collect();
            let below = (!values.is_empty()).then(|| layers.below());
            (layers.rotation, values, below)
        };
        if let Some(below) = below {
            for (key, value) in &mut values {
                *value = below.get(key)?;
            }
        }
        Ok(Some(Bases { rotation, values }))
    }

    /// Applies the metadata part of a transaction. Returns false, with nothing done, if `bases` is out of date.
    pub(crate) fn apply(&self, ops: &[Op], mut bases: Option<Bases<'_>>) -> bool {
        let mut layers = self.layers.write();
        if bases
            .as_ref()
            .is_some_and(|bases| bases.rotation != layers.rotation)
        {
            return false;
        }
        for op in ops {
            let base = |key: &[u8]| bases.as_mut().and_then(|bases| bases.take(key));
            apply_op(&mut layers.active, op, base);
        }
        true
    }

    /// Bytes of changes that no checkpoint has taken up, without those that the last one could not.
    pub(crate) fn dirty_bytes(&self) -> usize {
        let layers = self.layers.read();
        layers.active.bytes().saturating_sub(layers.carried)
    }

    /// Changed keys that are in memory, and roughly what they take.
    pub(crate) fn held(&self) -> (usize, usize) {
        let layers = self.layers.read();
        let all = [Some(&layers.active), layers.frozen.as_deref()];
        let held = all
            .into_iter()
            .flatten()
            .map(|layer| (layer.keys(), layer.bytes()));
        held.fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1))
    }

    /// Starts a checkpoint: returns the changes made so far; new ones go to a fresh layer.
    pub(crate) fn freeze(&self) -> Arc<Layer> {
        let mut layers = self.layers.write();
        let frozen = Arc::new(std::mem::take(&mut layers.active));
        layers.frozen = Some(Arc::clone(&frozen));
        layers.rotation += 1;
        layers.carried = 0;
        frozen
    }

    /// Takes back [`Self::freeze`]: no checkpoint was made.
    pub(crate) fn unfreeze(&self, frozen: Arc<Layer>) {
        let mut layers = self.layers.write();
        layers.frozen = None;
        let mut below = Arc::try_unwrap(frozen).unwrap_or_else(|shared| (*shared).clone());
        below.merge(std::mem::take(&mut layers.active));
        layers.active = below;
        layers.rotation += 1;
    }

    /// Ends a checkpoint: `snapshot` contains the frozen changes.
    pub(crate) fn thaw(&self, snapshot: Arc<Snapshot>) {
        let old = {
            let mut layers = self.layers.write();
            (
                layers.frozen.take(),
                std::mem::replace(&mut layers.snapshot, snapshot),
            )
        };
        drop(old);
    }

    /// Ends a checkpoint that took up a part of the frozen changes: `snapshot` contains these, `carried` has the others.
    pub(crate) fn settle(&self, mut carried: Layer, snapshot: Arc<Snapshot>) {
        let old = {
            let mut layers = self.layers.write();
            layers.carried = carried.bytes();
            carried.merge(std::mem::take(&mut layers.active));
            layers.active = carried;
            layers.rotation += 1;
            (
                layers.frozen.take(),
                std::mem::replace(&mut layers.snapshot, snapshot),
            )
        };
        drop(old);
    }

    /// Up to `limit` pairs from `start` up to and without `end` (`None`: the last), ascending.
    pub(crate) fn scan(&self, start: &[u8], end: Option<&[u8]>, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let mut rows = Vec::new();
        let mut from = Bytes::copy_from_slice(start);
        loop {
            let (changes, dead, window, below) = {
                let layers = self.layers.read();
                let mut changes = Vec::new();
                let mut window = None;
                for change in layers.active.range(&from, end) {
                    if changes.len() > (limit - rows.len()).saturating_add(SCAN_SLACK) {
                        window = Some(change.0);
                        break;
                    }
                    changes.push(change);
                }
                (changes, layers.active.dead().clone(), window, layers.below())
            };
            let to = window.as_deref().or(end);
            let library = below
                .snapshot
                .range(&from, to)?
                .map(|row| row.map(|(key, value)| (key, Some(value))));
            let none = BTreeMap::new();
            let frozen = below
                .frozen
                .as_ref()
                .map(|frozen| (frozen.range(&from, to), frozen.dead()));
            let (frozen_rows, frozen_dead) = match frozen {
                Some((rows, dead)) => (Some(rows), dead),
                None => (None, &none),
            };
            let lower = Merge::new(frozen_rows.into_iter().flatten().map(Ok), frozen_dead, library);
            for row in Merge::new(changes.into_iter().map(Ok), &dead, lower) {
                if rows.len() >= limit {
                    return Ok(rows);
                }
                if let (key, Some(value)) = row? {
                    rows.push((key, value));
                }
            }
            match window {
                Some(next) if rows.len() < limit => from = next,
                _ => return Ok(rows),
            }
        }
    }
}

impl Layers {
    fn below(&self) -> Below {
        Below {
            frozen: self.frozen.clone(),
            snapshot: Arc::clone(&self.snapshot),
        }
    }
}

/// Applies one change to a layer. `base` gives the value under the layer.
pub(crate) fn apply_op(layer: &mut Layer, op: &Op, base: impl FnOnce(&[u8]) -> Option<Bytes>) {
    match op {
        Op::Put { key, value } => layer.put(key.clone(), value),
        Op::Patch { key, offset, data } => {
            let below = base(key);
            let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
            layer.patch(key, offset, data, below);
        }
        Op::Delete { key } => layer.delete(key.clone()),
        Op::DeleteRange { start, end } => {
            layer.delete_range(start.clone(), Some(end.clone()).filter(|end| !end.is_empty()));
        }
        Op::CreateVolume { volume, name } => layer.set_volume(*volume, Some(name.clone())),
        Op::DeleteVolume { volume } => layer.set_volume(*volume, None),
        Op::Write { .. } | Op::Direct { .. } | Op::Discard { .. } => {}
    }
}

type Row = Result<(Bytes, Option<Bytes>)>;

/// Two ascending sequences as one: the upper wins, and its deleted ranges hide the lower.
struct Merge<'a, U: Iterator<Item = Row>, L: Iterator<Item = Row>> {
    upper: Peekable<U>,
    dead: &'a BTreeMap<Bytes, Option<Bytes>>,
    lower: Peekable<L>,
}

impl<'a, U: Iterator<Item = Row>, L: Iterator<Item = Row>> Merge<'a, U, L> {
    fn new(upper: U, dead: &'a BTreeMap<Bytes, Option<Bytes>>, lower: L) -> Self {
        Self {
            upper: upper.peekable(),
            dead,
            lower: lower.peekable(),
        }
    }
}

impl<U: Iterator<Item = Row>, L: Iterator<Item = Row>> Iterator for Merge<'_, U, L> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            let (upper, lower) = match (self.upper.peek(), self.lower.peek()) {
                (_, Some(Err(_))) => return self.lower.next(),
                (_, None) | (Some(Err(_)), _) => return self.upper.next(),
                (upper, Some(Ok((lower, _)))) => (upper, lower),
            };
            match upper {
                Some(Ok((upper, _))) if upper < lower => return self.upper.next(),
                Some(Ok((upper, _))) if upper == lower => {
                    self.lower.next();
                    return self.upper.next();
                }
                _ if is_dead(self.dead, lower) => {
                    self.lower.next();
                }
                _ => return self.lower.next(),
            }
        }
    }
}
