//! Reading all tables of the objects, row by row, and what they say of each other.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use store::{Store, StoreError, VolumeId};

use super::{Fix, Looked, Problem};
use crate::{
    cluster::stored_deleted_pools,
    objects::{
        clones::CloneRecord,
        id::ObjectId,
        images::{ImageVolume, parse_record, volume_name},
        keys,
        scrub_records::{self, ScrubRecord},
    },
};

/// Tables of rows under onode numbers.
pub(super) const UNDER_ONODES: [u8; 6] = *b"XHMDBW";
/// All tables.
const KNOWN: &[u8] = b"OXHMDBWVUPERQSCIGN";

/// Whose number an onode number is.
#[derive(Debug, Clone)]
pub(super) enum Whose {
    /// A named object: its row's key.
    Named(Bytes),
    /// An image's data object: volume and number.
    Data(u64, u64),
    /// A clone of an object: that one's onode number.
    Clone(u64),
}

/// What is known by an onode number.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) whose: Whose,
    pub(super) pool: i64,
    pub(super) size: u64,
    pub(super) inline: bool,
    pub(super) has_omap: bool,
    /// Its record says that it has clones.
    pub(super) clones: bool,
    /// If it is a clone.
    pub(super) record: Option<CloneRecord>,
}

/// All that is remembered of the rows.
pub(super) struct Tables<'a> {
    pub(super) store: &'a Store,
    pub(super) problems: Vec<Problem>,
    pub(super) looked: Looked,
    /// Volumes of images, with their pools.
    pub(super) volumes: HashMap<VolumeId, (i64, ImageVolume)>,
    pub(super) owners: HashMap<u64, Owner>,
    /// Data objects whose entries say that there is an onode, with the entries' places: page key and offset.
    pub(super) extras: HashMap<(u64, u64), (Bytes, u64)>,
    /// Objects that have rows of clones.
    pub(super) with_clones: HashSet<u64>,
    /// What serves snapshots: pool, snapshot, object's onode number; the clone.
    pub(super) serving: HashMap<(i64, u64, u64), u64>,
    /// Slots in use, by pool and slot: whose, and which of its units.
    pub(super) slots: HashMap<(i64, u64), (u64, u16)>,
    /// Pools that the server was deleting when it ended: their objects are partly gone.
    pub(super) deleting: BTreeSet<i64>,
    pub(super) newest_onode: u64,
    pub(super) newest_version: u64,
    /// Something cannot be read, so nobody knows what belongs to it.
    uncertain: bool,
}

/// A number of eight bytes within a key.
pub(super) fn number(key: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?))
}

impl<'a> Tables<'a> {
    /// Reads everything that others refer to.
    pub(super) fn read(store: &'a Store) -> Result<Self, StoreError> {
        let mut this = Self {
            store,
            problems: Vec::new(),
            looked: Looked::default(),
            volumes: HashMap::new(),
            owners: HashMap::new(),
            extras: HashMap::new(),
            with_clones: HashSet::new(),
            serving: HashMap::new(),
            slots: HashMap::new(),
            deleting: stored_deleted_pools(store)
                .map_err(|error| StoreError::Corrupt(error.to_string().into()))?,
            newest_onode: 0,
            newest_version: 0,
            uncertain: false,
        };
        this.each(b'V', Self::image_volume)?;
        this.each(b'O', Self::named)?;
        this.each(b'P', Self::page)?;
        this.each(b'E', Self::extra)?;
        this.each(b'C', Self::clone_row)?;
        Ok(this)
    }

    /// Checks everything that refers to something.
    pub(super) fn check(mut self) -> Result<(Vec<Problem>, Looked), StoreError> {
        self.missing_extras();
        self.missing_clones();
        self.each(b'I', Self::serves)?;
        self.missing_serves();
        for table in UNDER_ONODES {
            self.each(table, Self::under_onode)?;
        }
        self.open_slots();
        self.each(b'U', Self::creator)?;
        self.each(b'G', Self::scrub)?;
        self.each(b'S', Self::slot_page)?;
        self.missing_slots()?;
        self.each(b'R', Self::replies)?;
        self.each(b'Q', Self::reply_data)?;
        self.counters()?;
        self.unknown_rows()?;
        if self.uncertain {
            let removing = |problem: &&mut Problem| problem.fixes.iter().any(Fix::removes);
            for problem in self.problems.iter_mut().filter(removing) {
                problem.fixes.clear();
            }
        }
        Ok((self.problems, self.looked))
    }

    fn each(
        &mut self,
        table: u8,
        f: impl Fn(&mut Self, &Bytes, &Bytes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.store.rows(keys::whole_table(table)) {
            let (key, value) = row?;
            self.looked.rows += 1;
            f(self, &key, &value)?;
        }
        Ok(())
    }

    /// Notes a problem.
    pub(super) fn wrong(&mut self, what: String, fixes: Vec<Fix>) {
        self.problems.push(Problem { what, fixes });
    }

    /// Notes what is damaged, and that something else may belong to it.
    pub(super) fn damaged(&mut self, what: String) {
        self.uncertain = true;
        self.wrong(what, Vec::new());
    }

    /// Notes a row that cannot be read.
    pub(super) fn unreadable(&mut self, what: &str, key: &[u8]) {
        self.damaged(format!("{what} cannot be read (row {})", key.escape_ascii()));
    }

    /// What an onode number's owner is called.
    pub(super) fn name_of(&self, onode: u64) -> String {
        match self.owners.get(&onode).map(|owner| &owner.whose) {
            Some(Whose::Named(key)) => match ObjectId::from_sort_key(&key[1..]) {
                Some(id) => format!("object {id}"),
                None => format!("object of row {}", key.escape_ascii()),
            },
            Some(Whose::Data(volume, index)) => format!("object {index} of volume {volume:#x}"),
            Some(Whose::Clone(head)) => format!("clone {onode} of {}", self.name_of(*head)),
            None => format!("onode {onode}"),
        }
    }

    /// Notes whose an onode number is.
    pub(super) fn own(&mut self, onode: u64, owner: Owner) {
        self.newest_onode = self.newest_onode.max(onode);
        if self.owners.contains_key(&onode) {
            let first = self.name_of(onode);
            let second = format!("{:?}", owner.whose);
            self.wrong(
                format!("{first} and another object ({second}) have one onode number"),
                Vec::new(),
            );
            return;
        }
        self.owners.insert(onode, owner);
    }

    fn image_volume(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        let size = value.as_ref().try_into().map(u32::from_le_bytes).ok();
        let record = parse_record(key).zip(size.filter(|size| size.is_power_of_two()));
        let Some(((pool, nspace, image), object_size)) = record else {
            self.unreadable("the record of an image's volume", key);
            return Ok(());
        };
        let name = volume_name(&ObjectId::new(pool, nspace, Bytes::new()), &image);
        self.looked.volumes += 1;
        match self.store.find_volume(&name) {
            Some(volume) => {
                let found = ImageVolume { volume, object_size };
                self.volumes.insert(volume, (pool, found));
            }
            None => self.damaged(format!(
                "image {}: its volume {name} is missing",
                image.escape_ascii()
            )),
        }
        Ok(())
    }

    fn creator(&mut self, key: &Bytes, _name: &Bytes) -> Result<(), StoreError> {
        let Some((pool, nspace, image)) = parse_record(key) else {
            self.unreadable("the record of an image's creator", key);
            return Ok(());
        };
        let header = ObjectId::new(pool, nspace, [b"rbd_header.", image.as_ref()].concat());
        if self.store.get(&keys::object(&header))?.is_none() {
            let what = format!("the creator of an image that is not there is recorded: {header}");
            self.wrong(what, vec![Fix::Delete(key.clone())]);
        }
        Ok(())
    }

    fn scrub(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        if scrub_records::group_of(key).is_none() || ScrubRecord::decode(value).is_none() {
            // Nothing else belongs to it, and the next scrub makes it anew.
            let what = format!(
                "the record of a scrub cannot be read (row {})",
                key.escape_ascii()
            );
            self.wrong(what, vec![Fix::Delete(key.clone())]);
        }
        Ok(())
    }

    fn unknown_rows(&mut self) -> Result<(), StoreError> {
        // The cluster's own rows begin with c/; theirs is another check.
        let known = |table: u8| KNOWN.contains(&table) || table == b'c';
        let mut found: Vec<Bytes> = Vec::new();
        for table in (0..0xff_u8).filter(|table| !known(*table)) {
            let (from, to) = keys::whole_table(table);
            found.extend(self.store.scan(&from..&to, 1)?.into_iter().map(|(key, _)| key));
        }
        for key in found {
            self.wrong(
                format!("row {} is of no known table", key.escape_ascii()),
                Vec::new(),
            );
        }
        Ok(())
    }
}

/// The pools that have rows.
pub(super) fn pools_with_rows(store: &Store) -> Result<BTreeSet<i64>, StoreError> {
    let mut pools = BTreeSet::new();
    for table in *b"OVUSIG" {
        let (mut from, to) = keys::whole_table(table);
        while let Some((key, _)) = store.scan(&from..&to, 1)?.first() {
            let Some(pool) = number(key, 1).map(u64::cast_signed) else {
                break;
            };
            pools.insert(pool);
            from = keys::pool_range(table, pool).1;
        }
    }
    Ok(pools)
}
