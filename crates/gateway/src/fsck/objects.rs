//! Objects, their clones, and the rows under their onode numbers.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use store::StoreError;

use super::{
    Fix,
    tables::{Owner, Tables, Whose, number},
};
use crate::objects::{
    INLINE_MAX,
    clones::CloneRecord,
    id::ObjectId,
    keys,
    onode::{Entry, Onode, PAGE_ENTRIES, Placement},
};

/// Bytes of a page of recorded replies, and of one of them (`osd::reply_log`).
const REPLY_PAGE: usize = 256 * REPLY;
const REPLY: usize = 32;

impl Tables<'_> {
    pub(super) fn named(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        self.looked.objects += 1;
        let id = ObjectId::from_sort_key(&key[1..]);
        let state = Onode::decode(value, Placement::Slots);
        let Some((id, state, onode)) = id
            .zip(state)
            .and_then(|(id, state)| state.onode.map(|onode| (id, state, onode)))
        else {
            self.unreadable("an object", key);
            return Ok(());
        };
        if keys::object(&id) != *key {
            self.unreadable("an object with a hash that is not its name's", key);
            return Ok(());
        }
        self.newest_version = self.newest_version.max(state.version);
        self.own(
            onode,
            Owner {
                whose: Whose::Named(key.clone()),
                pool: id.pool,
                size: state.size,
                inline: state.inline,
                has_omap: state.has_omap,
                clones: state.clones,
                record: None,
            },
        );
        if state.whiteout && !state.clones {
            let what = format!("{} is not there, and has no clones", self.name_of(onode));
            self.wrong(what, vec![Fix::Delete(key.clone())]);
        }
        Ok(())
    }

    /// A page of data objects' entries.
    pub(super) fn page(&mut self, key: &Bytes, page: &Bytes) -> Result<(), StoreError> {
        let volume = number(key, 1);
        let first = key
            .get(9..13)
            .and_then(|page| page.try_into().ok())
            .map(|page| u64::from(u32::from_be_bytes(page)) * PAGE_ENTRIES);
        let whole =
            page.len().is_multiple_of(Entry::LEN) && page.len() as u64 <= PAGE_ENTRIES * Entry::LEN as u64;
        let (Some(volume), Some(first), true) = (volume, first, whole && key.len() == 13) else {
            self.unreadable("a page of image objects", key);
            return Ok(());
        };
        let known = self.volumes.get(&store::VolumeId(volume));
        let Some(object_size) = known.map(|(_, found)| found.object_size) else {
            let what = format!("there is a page of objects of volume {volume:#x}, which is no image's");
            self.wrong(what, vec![Fix::Delete(key.clone())]);
            return Ok(());
        };
        for slot in 0..page.len() / Entry::LEN {
            let entry = Entry::from_page(page, slot);
            let index = first + slot as u64;
            if !entry.is_sound() || entry.size() > object_size {
                self.damaged(format!(
                    "the entry of object {index} of volume {volume:#x} is damaged"
                ));
                continue;
            }
            if entry.recorded() {
                self.looked.objects += 1;
                self.newest_version = self.newest_version.max(entry.state(Placement::Slots).version);
            }
            if entry.extra() {
                let place = (key.clone(), (slot * Entry::LEN) as u64);
                self.extras.insert((volume, index), place);
            }
        }
        Ok(())
    }

    /// The onode of a data object.
    pub(super) fn extra(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        let state = Onode::decode(value, Placement::Slots);
        let (Some(volume), Some(index), Some(state)) = (number(key, 1), number(key, 9), state) else {
            self.unreadable("the onode of an image's object", key);
            return Ok(());
        };
        let Some(place) = self.extras.remove(&(volume, index)) else {
            let what = format!("object {index} of volume {volume:#x} has an onode that nothing refers to");
            self.wrong(what, vec![Fix::Delete(key.clone())]);
            return Ok(());
        };
        // Those that are left at the end have no onode.
        drop(place);
        let (Some(onode), Some((pool, _))) = (state.onode, self.volumes.get(&store::VolumeId(volume))) else {
            return Ok(());
        };
        let owner = Owner {
            whose: Whose::Data(volume, index),
            pool: *pool,
            size: state.size,
            inline: false,
            has_omap: state.has_omap,
            clones: state.clones,
            record: None,
        };
        self.own(onode, owner);
        Ok(())
    }

    pub(super) fn missing_extras(&mut self) {
        for ((volume, index), (key, at)) in std::mem::take(&mut self.extras) {
            let of = self.volumes.get(&store::VolumeId(volume));
            if of.is_some_and(|(pool, _)| self.deleting.contains(pool)) {
                continue;
            }
            let page = self.store.get(&key).ok().flatten().unwrap_or_default();
            let entry = Entry::from_page(&page, at as usize / Entry::LEN);
            let state = entry.state(Placement::Slots);
            let mended = match state.whiteout {
                // Only its clones were left of it, and nobody knows which.
                true => Entry::default(),
                false => Entry::of(&state, false),
            };
            self.wrong(
                format!(
                    "object {index} of volume {volume:#x}: its onode is missing, and its attributes with it; its data is not"
                ),
                vec![Fix::Patch(key, at, Bytes::copy_from_slice(&mended.encode()))],
            );
        }
    }

    pub(super) fn clone_row(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        self.looked.clones += 1;
        let (Some(head), Some(clone)) = (number(key, 1), CloneRecord::decode(key, value)) else {
            self.unreadable("a clone", key);
            return Ok(());
        };
        let Some(owner) = self.owners.get(&head).filter(|owner| owner.record.is_none()) else {
            let what = format!("clone {} is of onode {head}, which is no object's", clone.id);
            self.wrong(what, vec![Fix::Delete(key.clone())]);
            return Ok(());
        };
        let pool = owner.pool;
        if !owner.clones {
            let what = format!(
                "{} has a clone {} that it does not know of",
                self.name_of(head),
                clone.id
            );
            self.wrong(what, vec![Fix::Delete(key.clone())]);
            return Ok(());
        }
        self.with_clones.insert(head);
        if clone.snaps.is_empty() || clone.overlap.iter().any(|(_, end)| end > clone.state.size) {
            let what = format!("clone {} of {} is damaged", clone.id, self.name_of(head));
            self.wrong(what, Vec::new());
        }
        for snap in &clone.snaps {
            self.serving.insert((pool, *snap, head), clone.id);
        }
        if let Some(onode) = clone.state.onode {
            let owner = Owner {
                whose: Whose::Clone(head),
                pool,
                size: clone.state.size,
                inline: clone.state.inline,
                has_omap: clone.state.has_omap,
                clones: false,
                record: Some(clone),
            };
            self.own(onode, owner);
        }
        Ok(())
    }

    /// Objects whose records say that they have clones, and that have none.
    pub(super) fn missing_clones(&mut self) {
        let without: Vec<u64> = self
            .owners
            .iter()
            .filter(|(onode, owner)| owner.clones && !self.with_clones.contains(onode))
            .map(|(onode, _)| *onode)
            .collect();
        for onode in without {
            let key = match self.owners.get(&onode).map(|owner| &owner.whose) {
                Some(Whose::Named(key)) => key.clone(),
                Some(Whose::Data(volume, index)) => keys::extra(*volume, *index),
                _ => continue,
            };
            let stored = self.store.get(&key).ok().flatten().unwrap_or_default();
            let fixes = match Onode::decode(&stored, Placement::Slots) {
                Some(mut state) => {
                    state.clones = false;
                    vec![Fix::Put(key, Onode::encode(&state, onode))]
                }
                None => Vec::new(),
            };
            let what = format!("{}: its clones are missing", self.name_of(onode));
            self.wrong(what, fixes);
        }
    }

    /// A row of the index from snapshots to clones.
    pub(super) fn serves(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        let parts = number(key, 1).zip(number(key, 9)).zip(number(key, 17));
        let Some(((pool, snap), onode)) = parts else {
            self.unreadable("a row of the index of snapshots", key);
            return Ok(());
        };
        let clone = (value.len() >= 8).then(|| value.clone().get_u64_le());
        let found = self.serving.get(&(pool.cast_signed(), snap, onode)).copied();
        if found.is_none() && self.deleting.contains(&pool.cast_signed()) {
            return Ok(());
        }
        if found.is_none() {
            let what = format!(
                "snapshot {snap} of pool {} refers to a clone of {} that is not there",
                pool.cast_signed(),
                self.name_of(onode)
            );
            self.wrong(what, vec![Fix::Delete(key.clone())]);
        } else if clone == found {
            self.serving.remove(&(pool.cast_signed(), snap, onode));
        }
        Ok(())
    }

    /// Clones that the index does not know: they would never be trimmed.
    pub(super) fn missing_serves(&mut self) {
        for ((pool, snap, onode), clone) in std::mem::take(&mut self.serving) {
            let what = format!(
                "clone {clone} of {} is missing in the index of snapshot {snap}",
                self.name_of(onode)
            );
            let id = self.owners.get(&onode).map(|owner| owner.whose.clone());
            let id = id.and_then(|whose| self.sort_key(&whose));
            let fixes = id.map(|id| {
                let mut value = BytesMut::new();
                value.put_u64_le(clone);
                value.put_slice(&id);
                Fix::Put(keys::snap(pool, snap, onode), value.freeze())
            });
            self.wrong(what, fixes.into_iter().collect());
        }
    }

    /// The sort key of an object, as the index has it. An image's object is found by the image's record.
    fn sort_key(&self, whose: &Whose) -> Option<Bytes> {
        match whose {
            Whose::Named(key) => Some(key.slice(1..)),
            Whose::Data(volume, index) => {
                let id = self.data_object(store::VolumeId(*volume), *index)?;
                let mut key = BytesMut::new();
                id.put_sort_key(&mut key);
                Some(key.freeze())
            }
            Whose::Clone(_) => None,
        }
    }

    /// A row under an onode number.
    pub(super) fn under_onode(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        let Some(onode) = number(key, 1) else {
            self.unreadable("a row of an object", key);
            return Ok(());
        };
        let gone = || vec![Fix::Delete(key.clone())];
        let what = match key.first() {
            Some(b'X') => "an attribute",
            Some(b'H') => "an omap header",
            Some(b'M') => "an omap entry",
            Some(b'D') => "data",
            Some(b'B') => "a block",
            _ => "a watch",
        };
        let Some(owner) = self.owners.get(&onode) else {
            self.wrong(
                format!("{what} is left of onode {onode}, which is no object's"),
                gone(),
            );
            return Ok(());
        };
        let wrong = match key.first() {
            Some(b'H' | b'M') if !owner.has_omap => Some(gone()),
            Some(b'D') if !owner.inline => Some(gone()),
            Some(b'D') if value.len() as u64 > INLINE_MAX => Some(Vec::new()),
            Some(b'W') if owner.record.is_some() => Some(gone()),
            _ => None,
        };
        if let Some(fixes) = wrong {
            self.wrong(
                format!("{} has {what} that it should not have", self.name_of(onode)),
                fixes,
            );
        }
        if key.first() == Some(&b'B') {
            self.block(key, value, onode);
        }
        Ok(())
    }

    pub(super) fn replies(&mut self, key: &Bytes, page: &Bytes) -> Result<(), StoreError> {
        if key.len() != 13 || page.len() > REPLY_PAGE || !page.len().is_multiple_of(REPLY) {
            let what = format!(
                "a page of recorded replies is damaged (row {})",
                key.escape_ascii()
            );
            self.wrong(what, vec![Fix::Delete(key.clone())]);
        }
        Ok(())
    }

    pub(super) fn reply_data(&mut self, key: &Bytes, _data: &Bytes) -> Result<(), StoreError> {
        if key.len() != 17 {
            let what = format!("a recorded reply is damaged (row {})", key.escape_ascii());
            self.wrong(what, vec![Fix::Delete(key.clone())]);
        }
        Ok(())
    }

    /// Counters must be ahead of what was given out.
    pub(super) fn counters(&mut self) -> Result<(), StoreError> {
        for (name, newest) in [("onode", self.newest_onode), ("version", self.newest_version)] {
            let key = keys::counter(name);
            let stored = self.store.get(&key)?;
            // A number is given out only when the next one is recorded.
            let next = stored.map_or(Some(1), |value| {
                value.as_ref().try_into().ok().map(u64::from_le_bytes)
            });
            if next.is_none_or(|next| next <= newest) {
                let ahead = (newest + 1).to_le_bytes();
                self.wrong(
                    format!("the counter of {name}s is behind {newest}, which is in use"),
                    vec![Fix::Put(key, Bytes::copy_from_slice(&ahead))],
                );
            }
        }
        Ok(())
    }
}
