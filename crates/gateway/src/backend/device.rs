//! A CurveBS volume as a device of the store.

use std::{
    future::Future,
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use curve::{
    Buffers, Client, CreateVolume, Deletion, Error, OpenOptions, Volume, proto::namespace::StatusCode,
};
use parking_lot::RwLock;
use store::{DEVICE_UNIT, Device, ReadDone, WriteDone};

use super::{
    link::Link,
    names::Place,
    owners::{client_of, give, receiver},
};

/// Volumes are made and grow in multiples of this, in bytes.
const GROWTH: u64 = 1 << 30;
/// Where the cluster keeps what was deleted.
const RECYCLE_BIN: &str = "/RecycleBin";

/// A volume, made and opened when it is needed.
pub(super) struct CurveDevice {
    /// Itself, for what goes on without its caller.
    this: Weak<Self>,
    link: Arc<Link>,
    /// Works on behalf of whoever may use the volume.
    client: Client,
    /// Whose it is, if not the gateway's own.
    owner: Option<String>,
    /// Its path.
    place: String,
    /// As far as known; 0 before it is opened.
    length: AtomicU64,
    block: AtomicU64,
    segment: AtomicU64,
    volume: RwLock<Option<Volume>>,
    /// Held while it is made, opened, or made longer.
    opening: tokio::sync::Mutex<()>,
}

impl CurveDevice {
    /// The volume at a place; nothing is asked of the cluster yet.
    pub(super) fn new(link: Arc<Link>, place: Place<'_>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            client: client_of(&link.client, &link.settings, place.owner),
            link,
            owner: place.owner.map(str::to_owned),
            place: place.path.to_owned(),
            length: AtomicU64::new(0),
            block: AtomicU64::new(DEVICE_UNIT),
            segment: AtomicU64::new(0),
            volume: RwLock::new(None),
            opening: tokio::sync::Mutex::new(()),
        })
    }

    /// Its path in the cluster.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.link.wait(work)
    }

    /// The volume if it is open.
    fn opened(&self) -> Option<Volume> {
        self.volume.read().clone()
    }

    /// The open volume; `None` if there is none in the cluster.
    async fn volume(&self) -> io::Result<Option<Volume>> {
        if let Some(volume) = self.opened() {
            return Ok(Some(volume));
        }
        let _opening = self.opening.lock().await;
        self.open().await
    }

    /// Opens the volume as its only writer.
    async fn open(&self) -> io::Result<Option<Volume>> {
        if let Some(volume) = self.opened() {
            return Ok(Some(volume));
        }
        if let Some(owner) = receiver(&self.link.settings, self.owner.as_deref()) {
            let given = give(self.client.mds(), &self.place, &self.link.settings.owner, owner);
            match given.await {
                Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => return Ok(None),
                given => given?,
            }
        }
        let volume = match self.client.open(&self.place, OpenOptions::fenced()).await {
            Ok(volume) => volume,
            Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let geometry = volume.geometry();
        let block = u64::from(geometry.block_size);
        if !DEVICE_UNIT.is_multiple_of(block) {
            return Err(io::Error::other(format!(
                "{}: blocks of {block} bytes",
                self.place
            )));
        }
        self.block.store(block, Relaxed);
        if geometry.segments_are_ranges() {
            self.segment.store(geometry.segment_size.into(), Relaxed);
        }
        tracing::info!(
            place = self.place,
            length = volume.len(),
            epoch = volume.epoch(),
            "volume opened"
        );
        *self.volume.write() = Some(volume.clone());
        self.length.store(volume.len(), Relaxed);
        Ok(Some(volume))
    }

    async fn make_room(&self, end: u64) -> io::Result<()> {
        let _opening = self.opening.lock().await;
        let wanted = end.next_multiple_of(GROWTH);
        if let Some(volume) = self.open().await? {
            if volume.len() < end {
                volume.extend(wanted).await?;
            }
            self.length.store(volume.len(), Relaxed);
            return Ok(());
        }
        let settings = &self.link.settings;
        let create = CreateVolume {
            length: wanted.max(settings.smallest_gib << 30),
            poolset: settings.poolset.clone(),
            ..Default::default()
        };
        let created = self.client.mds().create_volume(&self.place, &create).await;
        created.map_err(|error| match error.mds_status() {
            Some(StatusCode::FileLengthNotSupported) => io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{error}: the cluster does not make volumes of {} GiB; see smallest-gib, mds.curvefs.maxFileLength and the \
                     poolset's space",
                    create.length >> 30
                ),
            ),
            _ => error.into(),
        })?;
        match self.open().await? {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let within = match self.volume().await? {
            None => Bytes::new(),
            Some(volume) => {
                let there = volume.len().saturating_sub(offset).min(len as u64) as usize;
                match there {
                    0 => Bytes::new(),
                    _ => volume.read(offset, there).await?.into_bytes(),
                }
            }
        };
        if within.len() == len {
            return Ok(within);
        }
        let mut all = BytesMut::zeroed(len);
        all[..within.len()].copy_from_slice(&within);
        Ok(all.freeze())
    }

    async fn write(&self, offset: u64, pieces: Vec<Bytes>) -> io::Result<()> {
        let _timed = self.link.health.started(&self.place, Instant::now());
        let volume = self.volume().await?.ok_or(io::ErrorKind::NotFound)?;
        let data = pieces.into_iter().collect::<Buffers>();
        Ok(volume.write(offset, data).await?)
    }

    /// Waits for what is under way, and takes the record away.
    pub(super) async fn shut(&self) -> io::Result<()> {
        let _opening = self.opening.lock().await;
        let volume = self.volume.write().take();
        self.length.store(0, Relaxed);
        match volume {
            // One that was taken over by somebody else has nothing to be closed.
            Some(volume) if volume.failure().is_none() => Ok(volume.close().await?),
            _ => Ok(()),
        }
    }

    /// Its length in the cluster, without opening it.
    pub(super) fn length_there(&self) -> io::Result<Option<u64>> {
        match self.wait(async { self.client.mds().file(&self.place).await }) {
            Ok(file) => Ok(Some(file.length)),
            Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(&self) -> io::Result<()> {
        self.shut().await?;
        let mds = self.client.mds();
        let file = match mds.file(&self.place).await {
            Ok(file) => file,
            Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        mds.delete(&self.place, Deletion::Recycle).await?;
        tracing::info!(
            place = self.place,
            id = file.id,
            "volume moved to the recycle bin"
        );
        if !self.link.settings.purge {
            return Ok(());
        }
        let deleted = mds.list(RECYCLE_BIN).await?;
        for file in deleted.into_iter().filter(|deleted| deleted.id == file.id) {
            let path = format!("{RECYCLE_BIN}/{}", file.name);
            mds.delete(&path, Deletion::Force).await?;
            tracing::info!(path, "volume removed for good");
        }
        Ok(())
    }

    /// Does `work`, and has its time looked at.
    fn timed<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let _timed = self.link.health.started(&self.place, Instant::now());
        self.wait(work)
    }
}

impl Device for CurveDevice {
    fn block(&self) -> u64 {
        self.block.load(Relaxed)
    }

    fn reserve(&self, end: u64) -> io::Result<()> {
        if end <= self.length.load(Relaxed) {
            return Ok(());
        }
        self.timed(self.make_room(end))
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.timed(self.read(offset, len))
    }

    fn write_at(&self, offset: u64, pieces: Vec<Bytes>) -> io::Result<()> {
        self.wait(self.write(offset, pieces))
    }

    fn start_read(&self, offset: u64, len: usize, done: ReadDone) {
        let timed = self.link.health.started(&self.place, Instant::now());
        let told = move |read: io::Result<Bytes>| {
            drop(timed);
            done(read);
        };
        if let Some(volume) = self.opened()
            && offset.saturating_add(len as u64) <= volume.len()
        {
            let told =
                |read: Result<Buffers, Error>| told(read.map(Buffers::into_bytes).map_err(io::Error::from));
            return volume.start_read(&self.link.handle, offset, len, told);
        }
        let this = self.this.upgrade();
        self.link.handle.spawn(async move {
            told(match this {
                Some(this) => this.read(offset, len).await,
                None => Err(io::ErrorKind::NotFound.into()),
            });
        });
    }

    fn start_write(&self, offset: u64, pieces: Vec<Bytes>, done: WriteDone) {
        if let Some(volume) = self.opened() {
            let timed = self.link.health.started(&self.place, Instant::now());
            let data = pieces.into_iter().collect::<Buffers>();
            return volume.start_write(&self.link.handle, offset, data, |written| {
                drop(timed);
                done(written.map_err(io::Error::from));
            });
        }
        let this = self.this.upgrade();
        self.link.handle.spawn(async move {
            done(match this {
                Some(this) => this.write(offset, pieces).await,
                None => Err(io::ErrorKind::NotFound.into()),
            });
        });
    }

    fn segment(&self) -> u64 {
        self.segment.load(Relaxed)
    }

    fn give_back(&self, offset: u64) -> io::Result<()> {
        self.wait(async {
            let Some(volume) = self.volume().await? else {
                return Ok(());
            };
            let len = self.segment.load(Relaxed);
            if offset + len > volume.len() {
                return Ok(());
            }
            Ok(volume.discard(offset, len).await?)
        })
    }

    fn is_zero(&self, offset: u64, len: u64) -> io::Result<bool> {
        let known = self.wait(async {
            match self.volume().await? {
                None => Ok(true),
                Some(volume) if offset >= volume.len() => Ok(true),
                Some(volume) => Ok::<_, io::Error>(!volume.is_allocated(offset).await?),
            }
        })?;
        // A range does not go beyond the segment of its first byte: both are aligned.
        Ok(known || self.read_at(offset, len as usize)?.iter().all(|byte| *byte == 0))
    }

    fn delete(&self) -> io::Result<()> {
        self.wait(self.remove())
    }

    fn allocated(&self) -> io::Result<u64> {
        let size = self.wait(async { self.client.mds().allocated_size(&self.place).await });
        match size {
            Ok((bytes, _)) => Ok(bytes),
            Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
