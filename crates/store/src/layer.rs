//! Metadata changes in memory that lie over the metadata library.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use bytes::Bytes;

use crate::transaction::VolumeId;

/// What a layer holds for a key.
#[derive(Debug, Clone)]
enum Slot {
    Value(Bytes),
    /// A value that is changed in place by patches.
    Page(Vec<u8>),
    Deleted,
}

impl Slot {
    fn value(&self) -> Option<Bytes> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Page(page) => Some(Bytes::copy_from_slice(page)),
            Self::Deleted => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Value(value) => value.len(),
            Self::Page(page) => page.len(),
            Self::Deleted => 0,
        }
    }
}

/// What a layer says of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Value(Bytes),
    Deleted,
    /// The layer below decides.
    Below,
}

/// A set of changes: single keys, and ranges in which everything below is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    slots: BTreeMap<Bytes, Slot>,
    /// Disjoint deleted ranges, start to end; `None` is the end of the key space.
    dead: BTreeMap<Bytes, Option<Bytes>>,
    /// Created (name) and deleted (`None`) volumes.
    volumes: BTreeMap<VolumeId, Option<Bytes>>,
    bytes: usize,
}

/// What a changed key costs in memory beside its bytes.
const SLOT_COST: usize = 100;

impl Layer {
    /// Memory held, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys that it says something of.
    pub(crate) fn keys(&self) -> usize {
        self.slots.len() + self.dead.len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Found {
        match self.slots.get(key) {
            Some(slot) => slot.value().map_or(Found::Deleted, Found::Value),
            None if self.is_dead(key) => Found::Deleted,
            None => Found::Below,
        }
    }

    /// Whether the layer decides alone what the key's value is.
    pub(crate) fn decides(&self, key: &[u8]) -> bool {
        self.slots.contains_key(key) || self.is_dead(key)
    }

    /// Sets a value. Takes a copy: what it is a part of may be much larger, and would be held until the checkpoint.
    pub(crate) fn put(&mut self, key: Bytes, value: &[u8]) {
        self.set(key, Slot::Value(Bytes::copy_from_slice(value)));
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.set(key, Slot::Deleted);
    }

    /// Overwrites a part of a value; `below` is what lies under this layer.
    pub(crate) fn patch(&mut self, key: &[u8], offset: usize, data: &[u8], below: Option<Bytes>) {
        let mut page = match self.slots.get_mut(key) {
            Some(Slot::Page(page)) => {
                self.bytes += (offset + data.len()).saturating_sub(page.len());
                apply_patch(page, offset, data);
                return;
            }
            Some(Slot::Value(value)) => Vec::from(value.clone()),
            Some(Slot::Deleted) => Vec::new(),
            None if is_dead(&self.dead, key) => Vec::new(),
            None => below.map(Vec::from).unwrap_or_default(),
        };
        apply_patch(&mut page, offset, data);
        self.set(Bytes::copy_from_slice(key), Slot::Page(page));
    }

    pub(crate) fn delete_range(&mut self, start: Bytes, end: Option<Bytes>) {
        if end.as_ref().is_some_and(|end| *end <= start) {
            return;
        }
        let to = end.as_deref().map_or(Unbounded, Excluded);
        let inside: Vec<Bytes> = self
            .slots
            .range::<[u8], _>((Included(&start[..]), to))
            .map(|(key, _)| key.clone())
            .collect();
        for key in inside {
            if let Some(slot) = self.slots.remove(&key) {
                self.bytes = self.bytes.saturating_sub(key.len() + slot.len() + SLOT_COST);
            }
        }
        self.bury(start, end);
    }

    /// Lays newer changes over these.
    pub(crate) fn merge(&mut self, newer: Self) {
        // What was put into a deleted range came after its deletion.
        for (start, end) in newer.dead {
            self.delete_range(start, end);
        }
        for (key, slot) in newer.slots {
            self.set(key, slot);
        }
        for (id, name) in newer.volumes {
            self.set_volume(id, name);
        }
    }

    pub(crate) fn set_volume(&mut self, id: VolumeId, name: Option<Bytes>) {
        self.bytes += SLOT_COST;
        self.volumes.insert(id, name);
    }

    /// Changed keys from `start` up to and without `end` (`None`: the last) with their values, ascending.
    pub(crate) fn range<'a>(
        &'a self,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + 'a {
        // The map panics on a start behind the end, which `max` rules out.
        let to = end.map_or(Unbounded, |end| Excluded(end.max(start)));
        self.slots
            .range::<[u8], _>((Included(start), to))
            .map(|(key, slot)| (key.clone(), slot.value()))
    }

    /// The deleted ranges, start to end; `None` is the end of the key space.
    pub(crate) fn dead(&self) -> &BTreeMap<Bytes, Option<Bytes>> {
        &self.dead
    }

    pub(crate) fn volumes(&self) -> impl Iterator<Item = (VolumeId, Option<&Bytes>)> {
        self.volumes.iter().map(|(id, name)| (*id, name.as_ref()))
    }

    /// Calls `f` with every changed key and its bytes, ascending.
    pub(crate) fn for_each<E>(
        &self,
        mut f: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (key, slot) in &self.slots {
            let value = match slot {
                Slot::Value(value) => Some(&value[..]),
                Slot::Page(page) => Some(&page[..]),
                Slot::Deleted => None,
            };
            f(key, value)?;
        }
        Ok(())
    }

    fn set(&mut self, key: Bytes, slot: Slot) {
        let (key_len, len) = (key.len(), slot.len());
        match self.slots.insert(key, slot) {
            Some(old) => self.bytes = (self.bytes + len).saturating_sub(old.len()),
            None => self.bytes += key_len + len + SLOT_COST,
        }
    }

    fn is_dead(&self, key: &[u8]) -> bool {
        is_dead(&self.dead, key)
    }

    fn bury(&mut self, mut start: Bytes, mut end: Option<Bytes>) {
        self.bytes += start.len() + SLOT_COST;
        if let Some((s, e)) = self
            .dead
            .range::<[u8], _>((Unbounded, Included(&start[..])))
            .next_back()
            && e.as_ref().is_none_or(|e| *e >= start)
        {
            start = s.clone();
        }
        while let Some((s, e)) = self
            .dead
            .range::<[u8], _>((Included(&start[..]), Unbounded))
            .next()
        {
            if end.as_ref().is_some_and(|end| s > end) {
                break;
            }
            end = match (end, e) {
                (Some(end), Some(e)) => Some(end.max(e.clone())),
                _ => None,
            };
            let s = s.clone();
            self.dead.remove(&s);
        }
        self.dead.insert(start, end);
    }
}

/// Whether `key` lies in one of the disjoint ranges.
pub(crate) fn is_dead(dead: &BTreeMap<Bytes, Option<Bytes>>, key: &[u8]) -> bool {
    dead.range::<[u8], _>((Unbounded, Included(key)))
        .next_back()
        .is_some_and(|(_, end)| end.as_ref().is_none_or(|end| key < &end[..]))
}

fn apply_patch(page: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if page.len() < end {
        page.resize(end, 0);
    }
    if let Some(target) = page.get_mut(offset..end) {
        target.copy_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn deleted_ranges_merge_and_hide_what_is_below_until_put_again() {
        let mut layer = Layer::default();
        layer.delete_range(key("b"), Some(key("d")));
        layer.delete_range(key("d"), Some(key("f")));
        layer.delete_range(key("x"), None);
        assert_eq!(layer.dead().len(), 2);
        assert_eq!(layer.get(b"e"), Found::Deleted);
        assert_eq!(layer.get(b"f"), Found::Below);
        assert_eq!(layer.get(b"zz"), Found::Deleted);
        layer.put(key("e"), b"1");
        assert_eq!(layer.get(b"e"), Found::Value(key("1")));
        layer.delete_range(key("a"), None);
        assert_eq!(layer.dead().len(), 1);
        assert_eq!(layer.get(b"e"), Found::Deleted);
    }

    #[test]
    fn a_patch_extends_with_zeros_and_takes_the_value_below() {
        let mut layer = Layer::default();
        layer.patch(b"a", 4, b"xy", Some(key("123")));
        assert_eq!(layer.get(b"a"), Found::Value(Bytes::from_static(b"123\0xy")));
        layer.patch(b"a", 0, b"9", None);
        assert_eq!(layer.get(b"a"), Found::Value(Bytes::from_static(b"923\0xy")));
        layer.delete(key("a"));
        layer.patch(b"a", 1, b"z", Some(key("unseen")));
        assert_eq!(layer.get(b"a"), Found::Value(Bytes::from_static(b"\0z")));
    }
}
