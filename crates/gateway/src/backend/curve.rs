//! Volumes of a CurveBS cluster as the store's devices.
//!
//! The client lives on a runtime of its own: the store's threads wait for it, and so may threads of the runtime that serves
//! connections.

use std::{
    collections::HashMap,
    future::Future,
    io,
    sync::{Arc, OnceLock, Weak},
    time::Instant,
};

use curve::{Error, error::Invalid, proto::namespace::StatusCode};
use parking_lot::Mutex;
use store::{Device, DeviceSpace, Devices};

use super::{
    device::CurveDevice,
    health::{SLOW, watch},
    link::Link,
    names::{Place, directories_of, file_of, pool_of},
    owners::{client_of, make_directories},
};
use crate::{
    cluster::{BackendCheck, Cluster},
    config::CurveSettings,
};

/// Largest number behind a name that is taken already.
const MAX_NUMBER: u32 = 99;

/// The devices of a cluster. Clones share them.
#[derive(Clone)]
pub struct CurveDevices {
    shared: Arc<Shared>,
}

struct Shared {
    link: Arc<Link>,
    devices: Mutex<HashMap<String, Weak<CurveDevice>>>,
    cluster: OnceLock<Weak<Cluster>>,
    /// The CurveBS cluster's own id.
    identity: OnceLock<String>,
}

impl CurveDevices {
    /// A client of the cluster, which must answer.
    ///
    /// # Errors
    /// If no MDS answers, or the owner is refused.
    pub fn connect(settings: &CurveSettings) -> io::Result<Self> {
        let shared = Shared {
            link: Arc::new(Link::new(settings)?),
            devices: Mutex::default(),
            cluster: OnceLock::new(),
            identity: OnceLock::new(),
        };
        let this = Self {
            shared: Arc::new(shared),
        };
        let capacity = this.wait(async { this.shared.link.client.mds().capacity().await });
        this.shared.link.health.measured(capacity.map_err(|error| {
            tracing::error!(%error, "the CurveBS cluster does not answer");
            error
        })?);
        let identity = this.wait(async { this.shared.link.client.mds().cluster_id().await })?;
        this.shared.identity.get_or_init(|| identity);
        this.shared.link.handle.spawn(watch(
            this.shared.link.client.clone(),
            Arc::downgrade(&this.shared.link.health),
        ));
        Ok(this)
    }

    /// Lets names of pools be known.
    pub fn set_cluster(&self, cluster: &Arc<Cluster>) {
        let _ = self.shared.cluster.set(Arc::downgrade(cluster));
    }

    /// What is wrong with the cluster.
    pub(super) fn checks(&self) -> Vec<BackendCheck> {
        let leaderless = self.shared.link.client.chunks().copysets().leaderless(SLOW);
        self.shared.link.health.checks(Instant::now(), &leaderless)
    }

    /// Tries the owner, and tells what the cluster holds.
    ///
    /// # Errors
    /// If the owner is refused.
    pub fn look_root(&self) -> io::Result<String> {
        let space = self.shared.link.health.space();
        let known = self.wait(async {
            let mds = self.shared.link.client.mds();
            // Root is asked for what only root may see; others for what they would make.
            match self.shared.link.settings.password {
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
        let client = client_of(&self.shared.link.client, &self.shared.link.settings, owner);
        let file = self.wait(async { client.mds().file(path).await })?;
        if file.geometry.is_none() {
            return Err(Error::from(Invalid::NotAVolume(path.to_owned())).into());
        }
        let owner = Some(file.owner.as_str()).filter(|owner| *owner != self.shared.link.settings.owner);
        Ok((file.length, Place { owner, path }.to_string()))
    }

    /// Path and owner of a recorded place.
    #[must_use]
    pub fn described(&self, place: &str) -> (String, String) {
        let place = Place::parse(place);
        let owner = place.owner.unwrap_or(&self.shared.link.settings.owner);
        (place.path.to_owned(), owner.to_owned())
    }

    /// The directory of what has no owner of its own.
    fn directory(&self, name: &str, pool: Option<&str>) -> String {
        let settings = &self.shared.link.settings;
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
        self.shared.link.wait(work)
    }

    fn device(&self, place: &str) -> Arc<CurveDevice> {
        let mut devices = self.shared.devices.lock();
        if let Some(device) = devices.get(place).and_then(Weak::upgrade) {
            return device;
        }
        let device = CurveDevice::new(Arc::clone(&self.shared.link), Place::parse(place));
        devices.retain(|_, device| device.strong_count() > 0);
        devices.insert(place.to_owned(), Arc::downgrade(&device));
        device
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
        let settings = &self.shared.link.settings;
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
        let client = client_of(&self.shared.link.client, settings, owner);
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
        let mut space = self.shared.link.health.space();
        if self.shared.link.client.chunks().without_space() > 0 {
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
                    tracing::warn!(%error, place = device.place(), "a volume was not closed in order");
                }
            }
        });
    }
}
