//! What a store must hold after each transaction, and random transactions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use disk_sim::{Pages, Random, placed};
use rbdgate_store::{Store, StoreError, Transaction, VolumeId};

/// Bytes of a volume that are used.
pub(crate) const VOLUME: u64 = 384 << 10;
/// Writes of this length and more are direct.
pub(crate) const DIRECT: u64 = 16 << 10;
/// Bytes of a block that has a checksum.
pub(crate) const BLOCK: u64 = 4096;
/// Where direct writes are under way is recorded by regions of this size.
pub(crate) const REGION: u64 = 16 << 10;
/// The key that says which transaction is the newest.
pub(crate) const LAST: &[u8] = b"last";

/// Why a store was not found as it should be.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// It did not answer.
    Store(StoreError),
    /// It holds something else.
    Content(String),
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Content(text) => f.write_str(text),
        }
    }
}

/// What a store holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    volumes: BTreeMap<String, Pages>,
    /// What the last transaction did to volumes, for who has to find out what went wrong: kind, volume, start, end.
    changes: Vec<(&'static str, String, u64, u64)>,
}

/// A write that goes to its volume before the journal.
#[derive(Debug, Clone)]
struct Direct {
    volume: String,
    offset: u64,
    data: Vec<u8>,
}

/// A submitted transaction.
#[derive(Debug)]
struct Submitted {
    seq: u64,
    /// What the store holds after it.
    state: State,
    directs: Vec<Direct>,
}

/// What was submitted since the store was opened, and what it held then.
#[derive(Debug, Default)]
pub(crate) struct History {
    base: State,
    /// The number of the last transaction in `base`.
    first: u64,
    submitted: Vec<Submitted>,
    /// Blocks that rotted, by volume and number, and whether they may have been taken for right since: what is written in part, or
    /// lies where a direct write was under way, cannot be told from what a crash left.
    rotten: BTreeMap<(String, u64), bool>,
}

fn key(random: &mut Random) -> Vec<u8> {
    format!("key-{:02}", random.below(40)).into_bytes()
}

/// Bytes that stand nowhere else.
fn content(random: &mut Random, len: u64) -> Vec<u8> {
    let mut own = Random::new(random.number());
    let mut data = Vec::with_capacity(len as usize + 8);
    while data.len() < len as usize {
        data.extend_from_slice(&own.number().to_le_bytes());
    }
    data.truncate(len as usize);
    data
}

impl History {
    /// The number of the newest transaction.
    pub(crate) fn newest(&self) -> u64 {
        self.first + self.submitted.len() as u64
    }

    /// What the store holds after transaction `n`.
    fn state(&self, n: u64) -> &State {
        match n.checked_sub(self.first + 1) {
            Some(at) => &self.submitted[at as usize].state,
            None => &self.base,
        }
    }

    /// The newest transaction that is durable if the store says that `seq` is.
    pub(crate) fn durable(&self, seq: u64) -> u64 {
        self.first + self.submitted.iter().take_while(|tx| tx.seq <= seq).count() as u64
    }

    /// Submits a random transaction.
    pub(crate) fn submit(&mut self, store: &Store, random: &mut Random) -> Result<(), StoreError> {
        let n = self.newest() + 1;
        let mut state = self.state(n - 1).clone();
        state.changes.clear();
        let mut tx = Transaction::new();
        let mut writes = Vec::new();
        for _ in 0..=random.below(4) {
            match random.below(12) {
                0..4 => state.change_keys(&mut tx, random),
                4..9 => state.write(&mut tx, store, &mut writes, random)?,
                9..11 => state.discard(&mut tx, store, random)?,
                _ if random.one_in(4) => {
                    let name = volume_name(random);
                    if let Some(id) = store.find_volume(&name) {
                        // What is behind it in the transaction must not use the volume.
                        tx.delete_volume(id);
                        state.volumes.remove(&name);
                        state.changes.push(("delete", name, 0, VOLUME));
                        break;
                    }
                }
                _ => {}
            }
        }
        tx.put(LAST, n.to_le_bytes().to_vec());
        let all: usize = writes.iter().map(|write| write.data.len()).sum();
        // Where the journal does not take it all, nearly all of it is written before.
        let least = if all as u64 > store.most_journaled() {
            4096
        } else {
            DIRECT
        };
        writes.retain(|write| write.data.len() as u64 >= least);
        let directs = writes;
        let seq = store.submit(tx)?;
        self.submitted.push(Submitted { seq, state, directs });
        Ok(())
    }

    /// Checks what a store holds that was opened after a crash. Returns the newest transaction that is there, and what the
    /// store holds, which has parts of direct writes that were never acknowledged.
    pub(crate) fn check(&self, store: &Store, acknowledged: u64) -> Result<(u64, State), Wrong> {
        let last = store.get(LAST)?.unwrap_or_default();
        let n = last.as_ref().try_into().map_or(0, u64::from_le_bytes);
        if !(acknowledged.max(self.first)..=self.newest()).contains(&n) {
            return Err(Wrong::Content(format!(
                "transaction {n} is the last, {acknowledged} of {} was acknowledged",
                self.newest()
            )));
        }
        let mut state = self.state(n).clone();
        state.check_keys(store, n)?;
        for (name, id) in store.volume_names() {
            let (mut found, unreadable) = read(store, id)?;
            let mut wanted = vec![0; VOLUME as usize];
            if let Some(pages) = state.volumes.get(&name) {
                pages.read(0, &mut wanted);
            }
            for block in unreadable {
                if self.rot_at(n, &name, block).is_none() {
                    return Err(Wrong::Content(format!(
                        "{name} cannot be read at {} after transaction {n}; it was changed by{}",
                        block * BLOCK,
                        self.changes_of(&name, block * BLOCK)
                    )));
                }
                let bytes = (block * BLOCK) as usize..((block + 1) * BLOCK) as usize;
                found[bytes.clone()].copy_from_slice(&wanted[bytes]);
            }
            if found[..] == wanted[..] {
                continue;
            }
            self.excuse(n, &name, &found, &wanted).map_err(Wrong::Content)?;
            state.volumes.entry(name).or_default().write(0, &found);
        }
        for name in state.volumes.keys() {
            if store.find_volume(name).is_none() {
                return Err(Wrong::Content(format!("{name} is missing")));
            }
        }
        Ok((n, state))
    }

    /// Whether each byte is what it should be, or what a direct write under way made of it. Not whole sectors: older data
    /// from the journal may have been written over a part of one again.
    fn excuse(&self, n: u64, name: &str, found: &[u8], wanted: &[u8]) -> Result<(), String> {
        let under_way = &self.submitted[(n - self.first) as usize..];
        let directs: Vec<_> = under_way
            .iter()
            .flat_map(|tx| &tx.directs)
            .filter(|direct| direct.volume == name)
            .collect();
        let wrong = (0..found.len())
            .filter(|at| found[*at] != wanted[*at])
            .find(|at| {
                let written = directs.iter().any(|direct| direct.byte(*at) == Some(found[*at]));
                !written && self.rot_at(n, name, *at as u64 / BLOCK) != Some(true)
            });
        match wrong {
            Some(at) => Err(format!(
                "{name} is wrong at {at} after transaction {n}; it was changed by{}",
                self.changes_of(name, at as u64)
            )),
            None => Ok(()),
        }
    }

    fn changes_of(&self, name: &str, at: u64) -> String {
        let mut text = String::new();
        for (n, tx) in (self.first + 1..).zip(&self.submitted) {
            for (kind, volume, start, end) in &tx.state.changes {
                if volume == name && (*start..*end).contains(&at) {
                    text.push_str(&format!("\n  {n} (seq {}): {kind} {start}..{end}", tx.seq));
                }
            }
        }
        text
    }

    /// Notes that a block is not what was written any more.
    #[allow(dead_code, reason = "the fuzzer, which has this model too, lets nothing rot")]
    pub(crate) fn rots(&mut self, name: &str, block: u64) {
        self.rotten.insert((name.to_owned(), block), false);
    }

    /// Whether a block is rotten after transaction `n`, and if so, whether it may have been taken for right.
    fn rot_at(&self, n: u64, name: &str, block: u64) -> Option<bool> {
        let mut taken = *self.rotten.get(&(name.to_owned(), block))?;
        let (start, end) = (block * BLOCK, (block + 1) * BLOCK);
        let region = (start / REGION * REGION, end.next_multiple_of(REGION));
        let mut gone = false;
        for (at, tx) in (self.first + 1..).zip(&self.submitted) {
            for (_, volume, from, to) in &tx.state.changes {
                if volume == name && *from < end && start < *to {
                    gone |= *from <= start && end <= *to && at <= n;
                    taken |= !(*from <= start && end <= *to);
                }
            }
            taken |= tx.directs.iter().any(|direct| {
                let to = direct.offset + direct.data.len() as u64;
                direct.volume == name && direct.offset < region.1 && region.0 < to
            });
        }
        (!gone).then_some(taken)
    }

    /// Starts again from what a store holds.
    pub(crate) fn restart(&mut self, n: u64, state: State) {
        let rotten = self.rotten.keys().filter_map(|(name, block)| {
            let taken = self.rot_at(n, name, *block)?;
            Some(((name.clone(), *block), taken))
        });
        *self = Self {
            rotten: rotten.collect(),
            base: state,
            first: n,
            submitted: Vec::new(),
        };
    }
}

impl Direct {
    /// The byte that it puts at a place.
    fn byte(&self, at: usize) -> Option<u8> {
        let at = at.checked_sub(self.offset as usize)?;
        self.data.get(at).copied()
    }
}

/// Reads a volume. Returns the blocks that cannot be read, too.
fn read(store: &Store, id: VolumeId) -> Result<(Vec<u8>, BTreeSet<u64>), StoreError> {
    match store.read(id, 0, VOLUME as usize) {
        Err(StoreError::Checksum { .. }) => {}
        found => return Ok((found?.into(), BTreeSet::new())),
    }
    let (mut found, mut unreadable) = (Vec::new(), BTreeSet::new());
    for block in 0..VOLUME / BLOCK {
        match store.read(id, block * BLOCK, BLOCK as usize) {
            Err(StoreError::Checksum { offset, .. }) if offset == block * BLOCK => {
                unreadable.insert(block);
                found.resize(found.len() + BLOCK as usize, 0);
            }
            read => found.extend_from_slice(&read?),
        }
    }
    Ok((found, unreadable))
}

fn volume_name(random: &mut Random) -> String {
    format!("pool/{}", random.below(3))
}

/// A place in a volume, now and then at the border of a block.
fn range(random: &mut Random, longest: u64) -> (u64, u64) {
    let unit = if random.one_in(2) { 4096 } else { 1 };
    let len = (random.below(longest) + 1).next_multiple_of(unit);
    (random.below(VOLUME - len) / unit * unit, len)
}

impl State {
    fn change_keys(&mut self, tx: &mut Transaction, random: &mut Random) {
        let key = key(random);
        match random.below(8) {
            0..3 => {
                let len = random.below(60);
                let value = content(random, len);
                tx.put(key.clone(), value.clone());
                self.keys.insert(key, value);
            }
            3..6 => {
                let (offset, len) = (random.below(300), random.below(40));
                let data = content(random, len);
                tx.patch(key.clone(), offset, data.clone());
                let value = self.keys.entry(key).or_default();
                let end = offset as usize + data.len();
                value.resize(value.len().max(end), 0);
                value[offset as usize..end].copy_from_slice(&data);
            }
            6 => {
                tx.delete(key.clone());
                self.keys.remove(&key);
            }
            _ => {
                let end = [&key[..], b"9"].concat();
                tx.delete_range(key.clone(), end.clone());
                self.keys.retain(|other, _| *other < key || *other >= end);
            }
        }
    }

    fn write(
        &mut self,
        tx: &mut Transaction,
        store: &Store,
        writes: &mut Vec<Direct>,
        random: &mut Random,
    ) -> Result<(), StoreError> {
        let volume = volume_name(random);
        let longest = if random.one_in(3) { 3 * DIRECT } else { 6000 };
        let (offset, len) = range(random, longest);
        let data = content(random, len);
        // Where it is aligned, the journal may have it behind its records.
        let behind = usize::from(random.one_in(4));
        tx.write(store.volume(&volume)?, offset, placed(&data, behind));
        let pages = self.volumes.entry(volume.clone()).or_default();
        pages.write(offset, &data);
        self.changes.push(("write", volume.clone(), offset, offset + len));
        writes.push(Direct { volume, offset, data });
        Ok(())
    }

    fn discard(
        &mut self,
        tx: &mut Transaction,
        store: &Store,
        random: &mut Random,
    ) -> Result<(), StoreError> {
        let volume = volume_name(random);
        let (offset, len) = range(random, 3 * DIRECT);
        tx.discard(store.volume(&volume)?, offset, len);
        self.changes
            .push(("discard", volume.clone(), offset, offset + len));
        self.volumes.entry(volume).or_default().zero(offset, len);
        Ok(())
    }

    fn check_keys(&self, store: &Store, n: u64) -> Result<(), Wrong> {
        let rows = store.scan(&b""[..]..&b""[..], usize::MAX)?;
        let found: BTreeMap<Vec<u8>, Vec<u8>> = rows
            .into_iter()
            .filter(|(key, _)| key != LAST)
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        if found == self.keys {
            return Ok(());
        }
        let wrong = self
            .keys
            .iter()
            .find(|(key, value)| found.get(*key) != Some(value));
        let more = found.keys().find(|key| !self.keys.contains_key(*key));
        Err(Wrong::Content(format!(
            "keys are wrong after transaction {n}: {:?}, {:?}",
            wrong.map(|(key, _)| key.escape_ascii().to_string()),
            more.map(|key| key.escape_ascii().to_string())
        )))
    }
}
