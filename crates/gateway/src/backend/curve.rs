//! Volumes of a CurveBS cluster as the store's devices.
//!
//! The client lives on a runtime of its own: the store's threads wait for it, and so may threads of the runtime that serves
//! connections.

use std::{
    collections::HashMap,
    future::Future,
    io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use curve::{
    Buffers, Client, Config, CreateVolume, Deletion, Error, Identity, OpenOptions, Volume, error::Invalid,
    proto::namespace::StatusCode,
};
use parking_lot::{Mutex, RwLock};
use store::{DEVICE_UNIT, Device, DeviceSpace, Devices, ReadDone, WriteDone};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};

use super::{
    health::{Health, watch},
    names::{Place, directories_of, file_of, pool_of},
    owners::{client_of, give, make_directories, receiver},
};
use crate::{
    cluster::{BackendCheck, Cluster},
    config::CurveSettings,
};

/// Volumes are made and grow in multiples of this, in bytes.
const GROWTH: u64 = 1 << 30;
/// Largest number behind a name that is taken already.
const MAX_NUMBER: u32 = 99;
/// Where the cluster keeps what was deleted.
const RECYCLE_BIN: &str = "/RecycleBin";

/// The devices of a cluster. Clones share them.
#[derive(Clone)]
pub struct CurveDevices {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    settings: CurveSettings,
    handle: Handle,
    /// Taken when this is dropped, which may happen in a place where a runtime must not be.
    runtime: Option<Runtime>,
    devices: Mutex<HashMap<String, Weak<CurveDevice>>>,
    cluster: OnceLock<Weak<Cluster>>,
    health: Arc<Health>,
    /// The CurveBS cluster's own id.
    identity: OnceLock<String>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl CurveDevices {
    /// A client of the cluster, which must answer.
    ///
    /// # Errors
    /// If no MDS answers, or the owner is refused.
    pub fn connect(settings: &CurveSettings) -> io::Result<Self> {
        let identity = match &settings.password {
            Some(password) => Identity::root(&settings.owner, password),
            None => Identity::owner(&settings.owner),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("curve")
            .enable_all()
            .build()?;
        let client = Client::new(Config::new(settings.mds.clone(), identity))?;
        let handle = runtime.handle().clone();
        let health = Arc::new(Health::default());
        let shared = Shared {
            client,
            settings: settings.clone(),
            handle,
            runtime: Some(runtime),
            devices: Mutex::default(),
            cluster: OnceLock::new(),
            health,
            identity: OnceLock::new(),
        };
        let this = Self {
            shared: Arc::new(shared),
        };
        let capacity = this.wait(async { this.shared.client.mds().capacity().await });
        this.shared.health.measured(capacity.map_err(|error| {
            tracing::error!(%error, "the CurveBS cluster does not answer");
            error
        })?);
        let identity = this.wait(async { this.shared.client.mds().cluster_id().await })?;
        this.shared.identity.get_or_init(|| identity);
        this.shared.handle.spawn(watch(
            this.shared.client.clone(),
            Arc::downgrade(&this.shared.health),
        ));
        Ok(this)
    }

    /// Lets names of pools be known.
    pub fn set_cluster(&self, cluster: &Arc<Cluster>) {
        let _ = self.shared.cluster.set(Arc::downgrade(cluster));
    }

    /// What is wrong with the cluster.
    pub(super) fn checks(&self) -> Vec<BackendCheck> {
        let leaderless = self.shared.client.chunks().copysets().leaderless(SLOW);
        self.shared.health.checks(Instant::now(), &leaderless)
    }

    /// Tries the owner, and tells what the cluster holds.
    ///
    /// # Errors
    /// If the owner is refused.
    pub fn look_root(&self) -> io::Result<String> {
        let space = self.shared.health.space();
        let known = self.wait(async {
            let mds = self.shared.client.mds();
            // Root is asked for what only root may see; others for what they would make.
            match self.shared.settings.password {
                Some(_) => mds.list("/").await.map(drop),
                None => match mds.file(&self.directory("pool-1.slots", Some("rbd"))).await {
                    Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => Ok(()),
                    other => other.map(drop),
                },
            }
        });
        known?;
        Ok(format!(
            "{} of {} GiB available",
            space.available >> 30,
            space.total >> 30
        ))
    }

    /// What is at a path: the length of a volume, and its place as it is recorded. `owner`: whose it is, if not the gateway's own; the
    /// root owner sees for himself.
    ///
    /// # Errors
    /// If there is none, it is striped across segments, or the owner is refused.
    pub fn look(&self, path: &str, owner: Option<&str>) -> io::Result<(u64, String)> {
        let client = client_of(&self.shared.client, &self.shared.settings, owner);
        let file = self.wait(async { client.mds().file(path).await })?;
        if file.geometry.is_none() {
            return Err(Error::from(Invalid::NotAVolume(path.to_owned())).into());
        }
        let owner = Some(file.owner.as_str()).filter(|owner| *owner != self.shared.settings.owner);
        Ok((file.length, Place { owner, path }.to_string()))
    }

    /// Path and owner of a recorded place.
    #[must_use]
    pub fn described(&self, place: &str) -> (String, String) {
        let place = Place::parse(place);
        let owner = place.owner.unwrap_or(&self.shared.settings.owner);
        (place.path.to_owned(), owner.to_owned())
    }

    /// The directory of what has no owner of its own.
    fn directory(&self, name: &str, pool: Option<&str>) -> String {
        let settings = &self.shared.settings;
        let mut all = directories_of(name, pool, &settings.mapping, &settings.owner);
        all.pop().map(|directory| directory.path).unwrap_or_default()
    }

    /// The length of the volume at a recorded place, in bytes; `None` if there is none.
    ///
    /// # Errors
    /// If the cluster does not tell.
    pub fn length(&self, place: &str) -> io::Result<Option<u64>> {
        self.device(place).length_there()
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        wait(&self.shared.handle, work)
    }

    fn device(&self, place: &str) -> Arc<CurveDevice> {
        let mut devices = self.shared.devices.lock();
        if let Some(device) = devices.get(place).and_then(Weak::upgrade) {
            return device;
        }
        let device = Arc::new_cyclic(|this| CurveDevice {
            this: Weak::clone(this),
            client: client_of(
                &self.shared.client,
                &self.shared.settings,
                Place::parse(place).owner,
            ),
            shared: Arc::clone(&self.shared),
            owner: Place::parse(place).owner.map(str::to_owned),
            place: Place::parse(place).path.to_owned(),
            length: AtomicU64::new(0),
            block: AtomicU64::new(DEVICE_UNIT),
            segment: AtomicU64::new(0),
            volume: RwLock::new(None),
            opening: tokio::sync::Mutex::new(()),
        });
        devices.retain(|_, device| device.strong_count() > 0);
        devices.insert(place.to_owned(), Arc::downgrade(&device));
        device
    }
}

/// Waits on a thread that may wait, or on one of a runtime that serves others.
fn wait<T>(handle: &Handle, work: impl Future<Output = T>) -> T {
    match Handle::try_current() {
        Ok(here) if here.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(|| handle.block_on(work))
        }
        _ => handle.block_on(work),
    }
}

impl Devices for CurveDevices {
    fn identity(&self) -> Option<String> {
        self.shared.identity.get().cloned()
    }

    /// A path that nobody uses: with a number behind the name if need be. The directory is made.
    fn place(&self, name: &str, creator: Option<&str>) -> io::Result<String> {
        let cluster = self.shared.cluster.get().and_then(Weak::upgrade);
        let map = cluster.map(|cluster| cluster.osdmap());
        let pool = pool_of(name).and_then(|id| map.as_ref()?.pool_names.get(&id).cloned());
        let settings = &self.shared.settings;
        let owner = creator.and_then(|creator| settings.mapping.owner(creator));
        let owner = owner.filter(|owner| *owner != settings.owner);
        let directories = directories_of(
            name,
            pool.as_deref(),
            &settings.mapping,
            owner.unwrap_or(&settings.owner),
        );
        let directory = directories.last().map_or("", |directory| &directory.path);
        let file = file_of(name);
        let client = client_of(&self.shared.client, settings, owner);
        self.wait(async {
            let mds = client.mds();
            make_directories(mds, settings, &directories, owner).await?;
            for number in 1..=MAX_NUMBER {
                let path = match number {
                    1 => format!("{directory}/{file}"),
                    n => format!("{directory}/{file}~{n}"),
                };
                match mds.file(&path).await {
                    Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => {
                        return Ok(Place { owner, path: &path }.to_string());
                    }
                    Ok(_) => tracing::warn!(path, "there is such a volume already"),
                    Err(error) if error.mds_status() == Some(StatusCode::OwnerAuthFail) => {
                        tracing::warn!(path, "there is such a volume already, of another owner");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(io::ErrorKind::AlreadyExists.into())
        })
    }

    fn open(&self, place: &str) -> Arc<dyn Device> {
        self.device(place)
    }

    /// None is available while a write waits for some: a chunkserver's disk may be full where others are not.
    fn space(&self) -> DeviceSpace {
        let mut space = self.shared.health.space();
        if self.shared.client.chunks().without_space() > 0 {
            space.available = 0;
        }
        space
    }

    fn close(&self) {
        let devices: Vec<_> = self
            .shared
            .devices
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        self.wait(async {
            for device in devices {
                if let Err(error) = device.shut().await {
                    tracing::warn!(%error, place = device.place, "a volume was not closed in order");
                }
            }
        });
    }
}

/// A volume, made and opened when it is needed.
struct CurveDevice {
    /// Itself, for what goes on without its caller.
    this: Weak<Self>,
    shared: Arc<Shared>,
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
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        wait(&self.shared.handle, work)
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
        if let Some(owner) = receiver(&self.shared.settings, self.owner.as_deref()) {
            let given = give(self.client.mds(), &self.place, &self.shared.settings.owner, owner);
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
        let settings = &self.shared.settings;
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
        let _timed = self.shared.health.started(&self.place, Instant::now());
        let volume = self.volume().await?.ok_or(io::ErrorKind::NotFound)?;
        let data = pieces.into_iter().collect::<Buffers>();
        Ok(volume.write(offset, data).await?)
    }

    /// Waits for what is under way, and takes the record away.
    async fn shut(&self) -> io::Result<()> {
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
    fn length_there(&self) -> io::Result<Option<u64>> {
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
        if !self.shared.settings.purge {
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
        let _timed = self.shared.health.started(&self.place, Instant::now());
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
        let timed = self.shared.health.started(&self.place, Instant::now());
        let told = move |read: io::Result<Bytes>| {
            drop(timed);
            done(read);
        };
        if let Some(volume) = self.opened()
            && offset.saturating_add(len as u64) <= volume.len()
        {
            let told =
                |read: Result<Buffers, Error>| told(read.map(Buffers::into_bytes).map_err(io::Error::from));
            return volume.start_read(&self.shared.handle, offset, len, told);
        }
        let this = self.this.upgrade();
        self.shared.handle.spawn(async move {
            told(match this {
                Some(this) => this.read(offset, len).await,
                None => Err(io::ErrorKind::NotFound.into()),
            });
        });
    }

    fn start_write(&self, offset: u64, pieces: Vec<Bytes>, done: WriteDone) {
        if let Some(volume) = self.opened() {
            let timed = self.shared.health.started(&self.place, Instant::now());
            let data = pieces.into_iter().collect::<Buffers>();
            return volume.start_write(&self.shared.handle, offset, data, |written| {
                drop(timed);
                done(written.map_err(io::Error::from));
            });
        }
        let this = self.this.upgrade();
        self.shared.handle.spawn(async move {
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
        let size = self.wait(async { self.shared.client.mds().allocated_size(&self.place).await });
        match size {
            Ok((bytes, _)) => Ok(bytes),
            Err(error) if error.mds_status() == Some(StatusCode::FileNotExists) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// How long an operation on a volume may take before it is reported.
pub(super) const SLOW: Duration = Duration::from_secs(10);
