//! The metadata library (redb) behind the few calls that the store makes. Written to only by checkpoints.

use std::{fmt, io, path::Path, sync::Arc};

use bytes::Bytes;
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
};

use crate::{
    disk::{Access, Disk, DiskFile, read_exact},
    error::{Context, Result, StoreError},
    layer::Layer,
    regions,
    transaction::{Seq, VolumeId},
};

const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
const VOLUMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("volumes");
const SYSTEM: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("system");
const SUPERBLOCK: &str = "superblock";
/// Is there if the store was closed in order, and not opened since.
const CLOSED: &str = "closed";
/// Changes with the disk format. A store of another version is refused.
const FORMAT: u64 = 1;
/// The same, with volumes that may have checksums: who does not know of them must not write to it.
const FORMAT_WITH_SUMS: u64 = 2;

/// What ties the metadata, the journal and the volumes together. Stored with every checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Whether volumes may have checksums.
    pub(crate) sums: bool,
    /// Drawn anew at each opening; journal records of other epochs are stale.
    pub(crate) epoch: u64,
    /// Everything up to this transaction is in the metadata and in the volumes.
    pub(crate) checkpoint: Seq,
    /// The journal position where replay starts.
    pub(crate) journal_pos: u64,
    /// The journal's capacity.
    pub(crate) journal_bytes: u64,
    /// The next free volume id.
    pub(crate) next_volume: u64,
}

impl Superblock {
    fn encode(&self) -> Vec<u8> {
        let format = match self.sums {
            true => FORMAT_WITH_SUMS,
            false => FORMAT,
        };
        [
            format,
            self.epoch,
            self.checkpoint,
            self.journal_pos,
            self.journal_bytes,
            self.next_volume,
        ]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let &[format, epoch, checkpoint, journal_pos, journal_bytes, next_volume] = words else {
            return Err(StoreError::corrupt("the superblock has an unknown length"));
        };
        let [format, epoch, checkpoint, journal_pos, journal_bytes, next_volume] =
            [format, epoch, checkpoint, journal_pos, journal_bytes, next_volume].map(u64::from_le_bytes);
        if !(FORMAT..=FORMAT_WITH_SUMS).contains(&format) || !rest.is_empty() {
            return Err(StoreError::corrupt(format!(
                "disk format {format}, this program knows {FORMAT} to {FORMAT_WITH_SUMS}"
            )));
        }
        Ok(Self {
            sums: format == FORMAT_WITH_SUMS,
            epoch,
            checkpoint,
            journal_pos,
            journal_bytes,
            next_volume,
        })
    }
}

/// A view of the metadata as of one checkpoint.
pub(crate) struct Snapshot {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self
            .table
            .get(key)
            .map_err(failed)?
            .map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// Keys from `start` up to and without `end` (`None`: the last), ascending.
    pub(crate) fn range(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<(Bytes, Bytes)>> + use<>> {
        let rows = match end {
            Some(end) => self.table.range(start..end.max(start)),
            None => self.table.range(start..),
        };
        Ok(rows.map_err(failed)?.map(|row| {
            let (key, value) = row.map_err(failed)?;
            Ok((
                Bytes::copy_from_slice(key.value()),
                Bytes::copy_from_slice(value.value()),
            ))
        }))
    }
}

/// The library's file on the store's file layer. Who may open it is the store's lock to say.
struct Backend(Arc<dyn DiskFile>);

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact(&*self.0, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}

/// The open metadata database.
pub(crate) struct Kv {
    db: Database,
}

impl Kv {
    pub(crate) fn open(disk: &dyn Disk, path: &Path, cache_bytes: usize) -> Result<Self> {
        let file = disk.open(path, Access::Create);
        let file = file.context(|| format!("open {}", path.display()))?;
        // After a failed sync the cache may show what the disk does not have: what counts is the disk.
        file.drop_cache(0, u64::MAX);
        let db = Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(Backend(file))
            .map_err(failed)?;
        Ok(Self { db })
    }

    /// Checks all checksums. Returns false if what is free had to be counted anew.
    pub(crate) fn check(&mut self) -> Result<bool> {
        self.db.check_integrity().map_err(failed)
    }

    pub(crate) fn superblock(&self) -> Result<Option<Superblock>> {
        let tx = self.db.begin_read().map_err(failed)?;
        let table = match tx.open_table(SYSTEM) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        table
            .get(SUPERBLOCK)
            .map_err(failed)?
            .map(|bytes| Superblock::decode(bytes.value()))
            .transpose()
    }

    /// Whether the store was closed in order.
    pub(crate) fn was_closed(&self) -> Result<bool> {
        let tx = self.db.begin_read().map_err(failed)?;
        let table = tx.open_table(SYSTEM).map_err(failed)?;
        Ok(table.get(CLOSED).map_err(failed)?.is_some())
    }

    /// Notes that the store was closed in order, with the last changes.
    pub(crate) fn close(&self, layer: &Layer, superblock: &Superblock) -> Result<()> {
        self.commit_with(layer, superblock, true)
    }

    /// All volumes with their names.
    pub(crate) fn volumes(&self) -> Result<Vec<(VolumeId, Bytes)>> {
        let tx = self.db.begin_read().map_err(failed)?;
        let table = tx.open_table(VOLUMES).map_err(failed)?;
        let rows = table.iter().map_err(failed)?;
        rows.map(|row| {
            let (id, name) = row.map_err(failed)?;
            Ok((VolumeId(id.value()), Bytes::copy_from_slice(name.value())))
        })
        .collect()
    }

    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let tx = self.db.begin_read().map_err(failed)?;
        Ok(Arc::new(Snapshot {
            table: tx.open_table(META).map_err(failed)?,
        }))
    }

    /// Copies everything to a new file, as of the last commit. The copy's superblock says that it has no journal.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        let from = self.db.begin_read().map_err(failed)?;
        let superblock = {
            let table = from.open_table(SYSTEM).map_err(failed)?;
            let value = table.get(SUPERBLOCK).map_err(failed)?;
            let value = value.ok_or_else(|| StoreError::corrupt("no superblock"))?;
            Superblock {
                journal_pos: 0,
                journal_bytes: 0,
                ..Superblock::decode(value.value())?
            }
        };
        let to = Database::builder().create(path).map_err(failed)?;
        let mut tx = to.begin_write().map_err(failed)?;
        tx.set_durability(Durability::Immediate).map_err(failed)?;
        {
            let mut meta = tx.open_table(META).map_err(failed)?;
            for row in from.open_table(META).map_err(failed)?.iter().map_err(failed)? {
                let (key, value) = row.map_err(failed)?;
                meta.insert(key.value(), value.value()).map_err(failed)?;
            }
            // Files are those of another time when it is restored.
            meta.insert(regions::ROW, &regions::all_suspect()[..])
                .map_err(failed)?;
            let mut volumes = tx.open_table(VOLUMES).map_err(failed)?;
            for row in from.open_table(VOLUMES).map_err(failed)?.iter().map_err(failed)? {
                let (id, name) = row.map_err(failed)?;
                volumes.insert(id.value(), name.value()).map_err(failed)?;
            }
            let mut system = tx.open_table(SYSTEM).map_err(failed)?;
            system
                .insert(SUPERBLOCK, &superblock.encode()[..])
                .map_err(failed)?;
        }
        tx.commit().map_err(failed)
    }

    /// Applies a layer and the superblock in one durable commit.
    pub(crate) fn commit(&self, layer: &Layer, superblock: &Superblock) -> Result<()> {
        self.commit_with(layer, superblock, false)
    }

    fn commit_with(&self, layer: &Layer, superblock: &Superblock, closed: bool) -> Result<()> {
        let mut tx = self.db.begin_write().map_err(failed)?;
        tx.set_durability(Durability::Immediate).map_err(failed)?;
        // Without it, opening after a crash would walk the whole database.
        tx.set_quick_repair(true);
        {
            let mut meta = tx.open_table(META).map_err(failed)?;
            for (start, end) in layer.dead() {
                match end {
                    Some(end) => meta
                        .retain_in(&start[..]..&end[..], |_, _| false)
                        .map_err(failed)?,
                    None => meta.retain_in(&start[..].., |_, _| false).map_err(failed)?,
                }
            }
            layer.for_each(|key, value| {
                match value {
                    Some(value) => meta.insert(key, value).map(drop),
                    None => meta.remove(key).map(drop),
                }
                .map_err(failed)
            })?;
            let mut volumes = tx.open_table(VOLUMES).map_err(failed)?;
            for (id, name) in layer.volumes() {
                match name {
                    Some(name) => volumes.insert(id.0, &name[..]).map(drop),
                    None => volumes.remove(id.0).map(drop),
                }
                .map_err(failed)?;
            }
            let mut system = tx.open_table(SYSTEM).map_err(failed)?;
            system
                .insert(SUPERBLOCK, &superblock.encode()[..])
                .map_err(failed)?;
            match closed {
                true => system.insert(CLOSED, &[][..]).map(drop),
                false => system.remove(CLOSED).map(drop),
            }
            .map_err(failed)?;
        }
        tx.commit().map_err(failed)
    }
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    match &error {
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
            StoreError::NoSpace(Arc::from(error.to_string()))
        }
        redb::Error::Corrupted(text) => StoreError::corrupt(format!("metadata: {text}")),
        _ => StoreError::Meta(Arc::from(error.to_string())),
    }
}
