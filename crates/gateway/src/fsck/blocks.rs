//! Blocks of objects and of clones, and the slots that they are in.

use bytes::Bytes;

use super::{Fix, tables::Tables};
use crate::objects::{clones::CloneRecord, kept::Kept, keys, slots::SLOT_SIZE};

impl Tables<'_> {
    /// Where a block is.
    pub(super) fn block(&mut self, key: &Bytes, value: &Bytes, onode: u64) {
        let block = key.get(9..13).and_then(|block| block.try_into().ok());
        let (Some(block), Some(kept), 13) = (block.map(u32::from_be_bytes), Kept::decode(value), key.len())
        else {
            self.unreadable("a block of an object", key);
            return;
        };
        let Some(owner) = self.owners.get(&onode) else {
            return;
        };
        // A whole slot may have more than the clone keeps: before there were units all of the block was kept.
        let whole = value.len() == size_of::<u64>();
        if owner.record.is_none() && !whole {
            self.unreadable("a block of an object", key);
            return;
        }
        let within = u64::from(block) * SLOT_SIZE < owner.size && !owner.inline;
        let data = matches!(owner.whose, super::tables::Whose::Data(..));
        let of_use = match &owner.record {
            Some(clone) => clone.kept_units(block.into()),
            None => u16::MAX,
        };
        let (pool, used) = (owner.pool, kept.units() & of_use);
        if !within || used == 0 || data {
            let what = format!(
                "{} has a block {block} that it has no use for",
                self.name_of(onode)
            );
            self.wrong(what, vec![Fix::Delete(key.clone())]);
            return;
        }
        let named = match whole {
            true => kept,
            false => {
                let used = kept.only(used);
                if used != kept {
                    let what = format!(
                        "{} has units of block {block} that it has no use for",
                        self.name_of(onode)
                    );
                    self.wrong(what, vec![Fix::Put(key.clone(), used.encode())]);
                }
                used
            }
        };
        for run in named.runs() {
            self.use_slot(pool, run.slot(), onode, run.places());
        }
    }

    /// Notes who uses units of a slot: nobody else may, and nobody twice.
    fn use_slot(&mut self, pool: i64, slot: u64, onode: u64, places: u16) {
        let (other, used) = self.slots.entry((pool, slot)).or_insert((onode, 0));
        let other = *other;
        if other == onode && *used & places == 0 {
            *used |= places;
            return;
        }
        let what = format!(
            "{} and {} have one slot ({slot} of pool {pool}) for their data: one of them has the other's",
            self.name_of(onode),
            self.name_of(other)
        );
        self.wrong(what, Vec::new());
    }

    /// The slots that clones are going to fill: nobody else's, and what is to be filled is not in use.
    pub(super) fn open_slots(&mut self) {
        let is_wrong = |pool: i64, onode: u64, clone: &CloneRecord| {
            clone.open.is_some_and(|open| {
                let used = self.slots.get(&(pool, open.slot));
                used.is_none_or(|(whose, places)| *whose != onode || places >> open.used != 0)
            })
        };
        let wrong: Vec<(u64, CloneRecord)> = self
            .owners
            .iter()
            .filter_map(|(onode, owner)| Some((*onode, owner.pool, owner.record.clone()?)))
            .filter(|(onode, pool, clone)| is_wrong(*pool, *onode, clone))
            .map(|(onode, _, clone)| (onode, clone))
            .collect();
        for (onode, mut clone) in wrong {
            clone.open = None;
            let fixes = match self.owners.get(&onode).map(|owner| &owner.whose) {
                Some(super::tables::Whose::Clone(head)) => {
                    vec![Fix::Put(keys::clone(*head, clone.id), clone.encode())]
                }
                _ => Vec::new(),
            };
            let what = format!(
                "{} is about to fill a slot that is not its own",
                self.name_of(onode)
            );
            self.wrong(what, fixes);
        }
    }
}
