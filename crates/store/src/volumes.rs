//! The set of volumes and their files.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};

use crate::{
    disk::{Disk, DiskFile},
    error::{Context, Result, StoreError},
    sums_file::SUFFIX,
    transaction::VolumeId,
    volume::Volume,
};

#[derive(Default)]
struct Index {
    by_id: HashMap<VolumeId, Arc<Volume>, RandomState>,
    by_name: HashMap<Box<str>, VolumeId>,
}

/// All volumes of a store.
pub(crate) struct Volumes {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    index: RwLock<Index>,
    next: AtomicU64,
    /// Counts file uses, to find the one that was not used for longest.
    clock: AtomicU64,
    open: Mutex<Vec<Arc<Volume>>>,
    max_open: usize,
    /// The store was closed in order the last time.
    closed: bool,
}

impl Volumes {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        next: u64,
        max_open: usize,
        closed: bool,
    ) -> Result<Self> {
        disk.create_dir(&dir)
            .context(|| format!("create {}", dir.display()))?;
        Ok(Self {
            disk,
            dir,
            index: RwLock::default(),
            next: AtomicU64::new(next),
            clock: AtomicU64::new(1),
            open: Mutex::default(),
            max_open,
            closed,
        })
    }

    /// The id that the next created volume gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// A volume object for a name, with a fresh id, not yet listed.
    pub(crate) fn prepare(&self, name: &str) -> Result<Arc<Volume>> {
        self.build(VolumeId(self.next.fetch_add(1, Relaxed)), name)
    }

    /// A volume object, not yet listed.
    pub(crate) fn build(&self, id: VolumeId, name: &str) -> Result<Arc<Volume>> {
        self.next.fetch_max(id.0 + 1, Relaxed);
        Ok(Arc::new(Volume::new(
            Arc::clone(&self.disk),
            id,
            name,
            self.dir.join(file_name(name, id)),
            !self.closed,
        )?))
    }

    pub(crate) fn list(&self, volume: &Arc<Volume>) {
        let mut index = self.index.write();
        index.by_name.insert(volume.name.clone(), volume.id);
        index.by_id.insert(volume.id, Arc::clone(volume));
    }

    pub(crate) fn unlist(&self, volume: &Volume) {
        let mut index = self.index.write();
        index.by_id.remove(&volume.id);
        if index.by_name.get(&volume.name) == Some(&volume.id) {
            index.by_name.remove(&volume.name);
        }
    }

    pub(crate) fn get(&self, id: VolumeId) -> Result<Arc<Volume>> {
        self.index
            .read()
            .by_id
            .get(&id)
            .cloned()
            .ok_or(StoreError::UnknownVolume(id))
    }

    pub(crate) fn find(&self, name: &str) -> Option<VolumeId> {
        self.index.read().by_name.get(name).copied()
    }

    pub(crate) fn names(&self) -> Vec<(String, VolumeId)> {
        let index = self.index.read();
        let mut names: Vec<_> = index
            .by_name
            .iter()
            .map(|(name, id)| (name.to_string(), *id))
            .collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn all(&self) -> Vec<Arc<Volume>> {
        self.index.read().by_id.values().cloned().collect()
    }

    /// The volume's file, if it was ever written to.
    pub(crate) fn file(&self, volume: &Arc<Volume>) -> Result<Option<Arc<dyn DiskFile>>> {
        volume.used_at.store(self.clock.fetch_add(1, Relaxed), Relaxed);
        match volume.file()? {
            Some((file, false)) => Ok(Some(file)),
            Some((file, true)) => {
                self.opened(volume);
                Ok(Some(file))
            }
            None => Ok(None),
        }
    }

    /// The volume's file, made if need be; `None` if the volume was deleted meanwhile.
    pub(crate) fn file_or_create(&self, volume: &Arc<Volume>) -> Result<Option<Arc<dyn DiskFile>>> {
        if !volume.lacks_file() {
            return self.file(volume);
        }
        volume.create_file()?;
        self.file(volume)
    }

    /// Notes an opened file and closes the ones unused for longest where there are too many.
    fn opened(&self, volume: &Arc<Volume>) {
        let mut open = self.open.lock();
        open.retain(|other| other.id != volume.id && other.is_open());
        open.push(Arc::clone(volume));
        if open.len() > self.max_open {
            open.sort_unstable_by_key(|volume| volume.used_at.load(Relaxed));
            // A few at a time, so that not every further open sorts.
            let surplus = open.len() - self.max_open * 7 / 8;
            for old in open.drain(..surplus).filter(|old| old.id != volume.id) {
                old.close_file();
            }
        }
    }

    /// Removes files of volumes that do not exist: of creations or deletions that a crash cut short.
    pub(crate) fn remove_orphans(&self) -> Result<()> {
        let what = || format!("list {}", self.dir.display());
        for name in self.disk.list(&self.dir).context(what)? {
            let Some(id) = name.to_str().and_then(parse_id) else {
                continue;
            };
            if self.get(id).is_err() {
                let path = self.dir.join(&name);
                tracing::info!(file = %path.display(), "removing the file of a volume that does not exist");
                self.disk
                    .remove(&path)
                    .context(|| format!("remove {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// The escaped name, shortened to what a filesystem takes, and the id, which makes it unique and never reused.
fn file_name(name: &str, id: VolumeId) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text.truncate(200);
    format!("{text}.{:016x}", id.0)
}

/// The volume that a file belongs to, by its name: that of its data, or that of its sums.
pub(crate) fn parse_id(file_name: &str) -> Option<VolumeId> {
    let name = file_name.strip_suffix(SUFFIX).unwrap_or(file_name);
    let (_, id) = name.rsplit_once('.')?;
    if id.len() != 16 {
        return None;
    }
    u64::from_str_radix(id, 16).ok().map(VolumeId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_escaped_and_carry_the_id() {
        let name = file_name("rbd/a b%.x", VolumeId(0x2a));
        assert_eq!(name, "rbd%2fa%20b%25.x.000000000000002a");
        assert_eq!(parse_id(&name), Some(VolumeId(42)));
        assert_eq!(parse_id(&format!("{name}.sums")), Some(VolumeId(42)));
        assert_eq!(parse_id("lost+found"), None);
        assert!(file_name(&"/".repeat(1000), VolumeId(1)).len() <= 255);
    }
}
