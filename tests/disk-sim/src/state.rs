//! What a disk holds, live and durable, and what a crash makes of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{pages::Pages, random::Random};

/// What a disk writes as a whole, in bytes.
pub(crate) const SECTOR: u64 = 512;

/// A change of a file that no sync has covered.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Counts the changes of all files.
    at: u64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Write(u64, Bytes),
    Zero(u64, u64),
    Len(u64),
}

/// A file's content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) pages: Pages,
    pub(crate) len: u64,
}

impl Content {
    fn apply(&mut self, kind: &Kind) {
        match kind {
            Kind::Write(offset, data) => {
                self.pages.write(*offset, data);
                self.len = self.len.max(offset + data.len() as u64);
            }
            Kind::Zero(offset, len) => self.pages.zero(*offset, *len),
            Kind::Len(len) => {
                if *len < self.len {
                    self.pages.zero(*len, self.len - len);
                }
                self.len = *len;
            }
        }
    }

    /// Applies some of a change's sectors.
    fn apply_torn(&mut self, kind: &Kind, random: &mut Random) {
        let (offset, len) = match kind {
            Kind::Write(offset, data) => (*offset, data.len() as u64),
            Kind::Zero(offset, len) => (*offset, *len),
            Kind::Len(_) if random.one_in(2) => return,
            Kind::Len(_) => return self.apply(kind),
        };
        let end = (offset + len).min(self.len.max(offset + len));
        let mut at = offset;
        // A hole may be much longer than anything that is there.
        let step = SECTOR.max((len / 4096).next_multiple_of(SECTOR));
        while at < end {
            let to = end.min((at / SECTOR + 1) * SECTOR + (step - SECTOR));
            if random.one_in(2) {
                match kind {
                    Kind::Write(_, data) => {
                        let part = data.slice((at - offset) as usize..(to - offset) as usize);
                        self.apply(&Kind::Write(at, part));
                    }
                    _ => self.apply(&Kind::Zero(at, to - at)),
                }
            }
            at = to;
        }
    }
}

/// A file: what reads see, what is durable, and what lies between.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) live: Content,
    durable: Content,
    pending: Vec<Change>,
    /// A sync failed: some of what reads see will never be durable.
    lost: bool,
}

impl Node {
    fn change(&mut self, at: u64, kind: Kind) {
        self.live.apply(&kind);
        self.pending.push(Change { at, kind });
    }

    pub(crate) fn write(&mut self, at: u64, offset: u64, data: &[u8]) {
        self.change(at, Kind::Write(offset, Bytes::copy_from_slice(data)));
    }

    pub(crate) fn zero(&mut self, at: u64, offset: u64, len: u64) {
        self.change(at, Kind::Zero(offset, len));
    }

    pub(crate) fn set_len(&mut self, at: u64, len: u64) {
        self.change(at, Kind::Len(len));
    }

    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            self.durable.apply(&change.kind);
        }
    }

    /// What a sync that fails leaves: some is durable, and the rest will never be, though reads show it.
    pub(crate) fn fail_sync(&mut self, random: &mut Random) {
        for change in self.pending.drain(..) {
            self.durable.apply_torn(&change.kind, random);
        }
        self.lost = true;
    }

    /// Makes a range durable, by whole sectors.
    pub(crate) fn sync_range(&mut self, offset: u64, len: u64) {
        let (start, end) = (offset / SECTOR * SECTOR, (offset + len).next_multiple_of(SECTOR));
        self.durable.pages.copy_range(&self.live.pages, start, end);
        self.durable.len = self.durable.len.max((offset + len).min(self.live.len));
        let pending = std::mem::take(&mut self.pending);
        for Change { at, kind } in pending {
            let (from, to) = match &kind {
                Kind::Write(offset, data) => (*offset, offset + data.len() as u64),
                Kind::Zero(offset, len) => (*offset, offset + len),
                Kind::Len(_) => (end, end),
            };
            for (s, e) in [(from, to.min(start)), (from.max(end), to)] {
                let kind = match &kind {
                    Kind::Write(offset, data) if s < e => {
                        Kind::Write(s, data.slice((s - offset) as usize..(e - offset) as usize))
                    }
                    Kind::Zero(..) if s < e => Kind::Zero(s, e - s),
                    _ => continue,
                };
                self.pending.push(Change { at, kind });
            }
            if let Kind::Len(_) = kind {
                self.pending.push(Change { at, kind });
            }
        }
    }

    /// Forgets what reads show and the disk does not have.
    pub(crate) fn drop_cache(&mut self) {
        if std::mem::take(&mut self.lost) {
            self.live = self.durable.clone();
            for change in &self.pending {
                self.live.apply(&change.kind);
            }
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Dir,
    File(u64),
}

/// A whole filesystem.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    /// Those that no sync has covered: from and to.
    renames: Vec<(PathBuf, PathBuf)>,
    next: u64,
    changes: u64,
}

impl State {
    /// The number of the next change.
    pub(crate) fn next_change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    pub(crate) fn create_file(&mut self, path: &Path) -> u64 {
        self.next += 1;
        self.nodes.insert(self.next, Node::default());
        self.names.insert(path.to_owned(), Entry::File(self.next));
        self.next
    }

    pub(crate) fn create_dir(&mut self, path: &Path) {
        for dir in path.ancestors() {
            self.names.insert(dir.to_owned(), Entry::Dir);
            self.durable_names.insert(dir.to_owned(), Entry::Dir);
        }
    }

    /// A root is durable, any other folder not yet.
    pub(crate) fn make_dir(&mut self, path: &Path) {
        self.names.insert(path.to_owned(), Entry::Dir);
        if path.parent().is_none() {
            self.durable_names.insert(path.to_owned(), Entry::Dir);
        }
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(entry) = self.names.remove(from) {
            self.names.insert(to.to_owned(), entry);
            self.renames.push((from.to_owned(), to.to_owned()));
        }
    }

    pub(crate) fn sync_dir(&mut self, dir: &Path) {
        self.renames.retain(|(from, _)| from.parent() != Some(dir));
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        self.durable_names.retain(|path, _| !inside(path));
        let names = self.names.iter().filter(|(path, _)| inside(path));
        self.durable_names
            .extend(names.map(|(path, entry)| (path.clone(), *entry)));
    }

    /// What a power loss may leave of it.
    pub(crate) fn crashed(&self, random: &mut Random) -> Self {
        let how = Survival::choose(self.changes, random);
        let mut names = BTreeMap::new();
        // Both names change, or none.
        let mut renamed = BTreeMap::new();
        for (from, to) in &self.renames {
            let kept = how.keeps_name(random);
            renamed.insert(from, kept);
            renamed.insert(to, kept);
        }
        let both = self.names.iter().chain(&self.durable_names);
        for path in both.map(|(path, _)| path) {
            let (live, durable) = (self.names.get(path), self.durable_names.get(path));
            let keeps = |random: &mut Random| match renamed.get(path) {
                Some(kept) => *kept,
                None => how.keeps_name(random),
            };
            let kept = if live != durable && keeps(random) {
                live
            } else {
                durable
            };
            kept.map(|entry| names.entry(path.clone()).or_insert(*entry));
        }
        // What is in a folder goes with it.
        let all = names.clone();
        let is_there = |dir: &Path| all.get(dir) == Some(&Entry::Dir);
        names.retain(|path, _| path.ancestors().skip(1).all(is_there));
        let mut nodes = BTreeMap::new();
        for entry in names.values() {
            if let Entry::File(id) = entry
                && let Some(node) = self.nodes.get(id)
            {
                let content = how.content(node, random);
                let node = Node {
                    live: content.clone(),
                    durable: content,
                    ..Node::default()
                };
                nodes.insert(*id, node);
            }
        }
        Self {
            nodes,
            durable_names: names.clone(),
            names,
            renames: Vec::new(),
            next: self.next,
            changes: self.changes,
        }
    }
}

/// What of the changes that no sync has covered is on the disk.
#[derive(Debug, Clone, Copy)]
enum Survival {
    Nothing,
    Everything,
    /// Some changes, as a whole.
    Some,
    /// Some sectors.
    Sectors,
    /// Everything up to one change, and some sectors of that.
    Until(u64),
    /// All changes of some files.
    SomeFiles,
}

impl Survival {
    fn choose(changes: u64, random: &mut Random) -> Self {
        match random.below(6) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 => Self::Some,
            3 => Self::Sectors,
            // The newest change is the one in whose midst the crash comes.
            4 => Self::Until((changes + 1).saturating_sub(random.below(8))),
            _ => Self::SomeFiles,
        }
    }

    fn keeps_name(self, random: &mut Random) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            _ => random.one_in(2),
        }
    }

    fn content(self, node: &Node, random: &mut Random) -> Content {
        let mut content = node.durable.clone();
        let whole_file = random.one_in(2);
        for change in &node.pending {
            match self {
                Self::Nothing => {}
                Self::Everything => content.apply(&change.kind),
                Self::Some if random.one_in(2) => content.apply(&change.kind),
                Self::Sectors => content.apply_torn(&change.kind, random),
                Self::Until(last) if change.at < last => content.apply(&change.kind),
                Self::Until(last) if change.at == last => content.apply_torn(&change.kind, random),
                Self::SomeFiles if whole_file => content.apply(&change.kind),
                _ => {}
            }
        }
        content
    }
}
