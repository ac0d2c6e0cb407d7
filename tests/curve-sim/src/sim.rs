//! The cluster: starts, kills and moves its parts.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use curve::proto::common::ChunkServerLocation;
use rand::{RngExt as _, seq::IndexedRandom as _};
use tokio::{net::TcpSocket, sync::Notify};

use crate::{
    chunkserver::ChunkServer,
    clock::Clock,
    config::SimConfig,
    copyset::Copyset,
    faults::Faults,
    mds::Mds,
    namespace::{Cleaning, Namespace},
    server::Server,
    store::{Store, StoreConfig, lock},
};

/// What all parts of a cluster share.
pub(crate) struct Shared {
    pub(crate) config: SimConfig,
    pub(crate) clock: Arc<Clock>,
    pub(crate) namespace: Mutex<Namespace>,
    pub(crate) store: Store,
    pub(crate) wake_cleaner: Notify,
    copysets: Vec<Copyset>,
    /// By id from 1.
    addresses: OnceLock<Vec<SocketAddr>>,
    up: Mutex<Vec<u32>>,
    violations: Mutex<Vec<String>>,
    /// Chunkservers that have to abort.
    poisoned: Mutex<Vec<u32>>,
}

impl Shared {
    pub(crate) fn copyset(&self, pool: u32, copyset: u32) -> Option<&Copyset> {
        if pool != self.config.logical_pool {
            return None;
        }
        self.copysets.get((copyset as usize).checked_sub(1)?)
    }

    pub(crate) fn members(&self, copyset: u32) -> Vec<u32> {
        let copyset = self.copyset(self.config.logical_pool, copyset);
        copyset.map(|copyset| copyset.members.clone()).unwrap_or_default()
    }

    pub(crate) fn address(&self, id: u32) -> SocketAddr {
        let addresses = self.addresses.get().map_or(&[][..], Vec::as_slice);
        let known = (id as usize).checked_sub(1).and_then(|at| addresses.get(at));
        known.copied().unwrap_or_else(|| ([0, 0, 0, 0], 0).into())
    }

    pub(crate) fn location(&self, id: u32) -> ChunkServerLocation {
        let address = self.address(id);
        ChunkServerLocation {
            chunk_server_id: Some(id),
            host_ip: Some(address.ip().to_string()),
            port: Some(address.port().into()),
            external_ip: Some(address.ip().to_string()),
        }
    }

    pub(crate) fn locations(&self) -> Vec<ChunkServerLocation> {
        (1..=self.chunkserver_count())
            .map(|id| self.location(id))
            .collect()
    }

    pub(crate) fn chunkserver_count(&self) -> u32 {
        u32::try_from(self.config.chunkserver_ports.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn is_up(&self, id: u32) -> bool {
        lock(&self.up).contains(&id)
    }

    pub(crate) fn violation(&self, what: String) {
        tracing::error!(what, "violation of the protocol");
        lock(&self.violations).push(what);
    }

    /// What makes real chunkservers abort, each member of the copyset, and again when they replay their logs.
    pub(crate) fn poison(&self, copyset: &Copyset, what: String) {
        self.violation(what);
        lock(&self.poisoned).extend(&copyset.members);
        for copyset in &self.copysets {
            copyset.set_leader(None);
        }
    }

    /// Elects a leader if a majority is up.
    fn elect(&self, copyset: &Copyset) {
        let up: Vec<u32> = copyset
            .members
            .iter()
            .copied()
            .filter(|id| self.is_up(*id))
            .collect();
        if copyset.leadership().leader.is_none()
            && up.len() * 2 > copyset.members.len()
            && lock(&self.poisoned).is_empty()
        {
            copyset.set_leader(up.choose(&mut rand::rng()).copied());
        }
    }
}

/// A cluster. Dropping it ends all its parts.
pub struct Sim {
    shared: Arc<Shared>,
    faults: Arc<Faults>,
    mds_addresses: Vec<SocketAddr>,
    mds: Mutex<Option<(usize, Server)>>,
    chunkservers: Mutex<HashMap<u32, Server>>,
    cleaner: tokio::task::JoinHandle<()>,
    /// They keep the ports of servers that do not run.
    _ports: Vec<TcpSocket>,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.cleaner.abort();
    }
}

impl Sim {
    /// Starts a cluster, with what its directory holds.
    ///
    /// # Errors
    /// As sockets and disk say.
    pub async fn start(config: SimConfig) -> io::Result<Self> {
        let clock = Arc::new(Clock::default());
        if let Some(directory) = &config.directory {
            std::fs::create_dir_all(directory)?;
        }
        let store = Store::open(StoreConfig {
            directory: config
                .directory
                .as_ref()
                .map(|directory| directory.join("chunks")),
            block_size: config.block_size as usize,
            chunk_size: config.chunk_size as usize,
        })?;
        let namespace = Namespace::open(config.clone(), clock.clone())?;
        let count = u32::try_from(config.chunkserver_ports.len()).map_err(io::Error::other)?;
        let copysets = (0..config.copysets).map(|number| {
            // All servers of a small cluster; three in turn of a larger one.
            let mut members: Vec<u32> = (0..count.min(3)).map(|n| (number + n) % count + 1).collect();
            members.sort_unstable();
            let leader = members[number as usize % members.len()];
            Copyset::new(members, leader)
        });
        let shared = Arc::new(Shared {
            clock,
            namespace: Mutex::new(namespace),
            store,
            wake_cleaner: Notify::new(),
            copysets: copysets.collect(),
            addresses: OnceLock::new(),
            up: Mutex::default(),
            violations: Mutex::default(),
            poisoned: Mutex::default(),
            config,
        });
        let (mds_addresses, mut ports) = free_addresses(&shared.config, &shared.config.mds_ports)?;
        let (addresses, more) = free_addresses(&shared.config, &shared.config.chunkserver_ports)?;
        ports.extend(more);
        shared.addresses.get_or_init(|| addresses);
        let cleaner = tokio::spawn(clean(shared.clone()));
        let sim = Self {
            mds_addresses,
            faults: Arc::default(),
            mds: Mutex::default(),
            chunkservers: Mutex::default(),
            cleaner,
            _ports: ports,
            shared,
        };
        sim.start_all(count).await?;
        Ok(sim)
    }

    async fn start_all(&self, count: u32) -> io::Result<()> {
        for id in 1..=count {
            self.start_chunkserver(id).await?;
        }
        self.start_mds(0).await
    }

    /// Addresses of all MDS; one of them listens.
    #[must_use]
    pub fn mds_addresses(&self) -> Vec<SocketAddr> {
        self.mds_addresses.clone()
    }

    /// Address of a chunkserver, by id from 1.
    #[must_use]
    pub fn chunkserver_address(&self, id: u32) -> SocketAddr {
        self.shared.address(id)
    }

    /// Where faults are set.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The cluster's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Looks into, or changes, the namespace behind its rules.
    pub fn with_namespace<T>(&self, look: impl FnOnce(&mut Namespace) -> T) -> T {
        look(&mut lock(&self.shared.namespace))
    }

    /// What clients did that no client must do.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        lock(&self.shared.violations).clone()
    }

    /// Chunks that are stored.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.shared.store.len()
    }

    /// Starts an MDS as leader.
    ///
    /// # Errors
    /// As the socket says.
    pub async fn start_mds(&self, index: usize) -> io::Result<()> {
        lock(&self.shared.namespace).new_leader();
        let service = Arc::new(Mds {
            shared: self.shared.clone(),
        });
        let server = Server::start(self.mds_addresses[index], service, self.faults.clone()).await?;
        *lock(&self.mds) = Some((index, server));
        Ok(())
    }

    /// Kills the leading MDS.
    pub async fn kill_mds(&self) {
        let killed = lock(&self.mds).take();
        if let Some((_, server)) = killed {
            server.kill().await;
        }
    }

    /// Kills the leading MDS; after an election the next one leads.
    ///
    /// # Errors
    /// As the socket says.
    pub async fn fail_over_mds(&self) -> io::Result<()> {
        let index = lock(&self.mds).as_ref().map_or(0, |(index, _)| *index);
        self.kill_mds().await;
        tokio::time::sleep(self.shared.config.mds_election).await;
        self.start_mds((index + 1) % self.mds_addresses.len()).await
    }

    /// Starts a chunkserver. Copysets that get their majority elect a leader.
    ///
    /// # Errors
    /// As the socket says.
    pub async fn start_chunkserver(&self, id: u32) -> io::Result<()> {
        let epochs = lock(&self.shared.namespace).epochs();
        let service = Arc::new(ChunkServer::new(self.shared.clone(), id, epochs));
        let server = Server::start(self.shared.address(id), service, self.faults.clone()).await?;
        lock(&self.chunkservers).insert(id, server);
        lock(&self.shared.up).push(id);
        for copyset in &self.shared.copysets {
            self.shared.elect(copyset);
        }
        Ok(())
    }

    /// Kills a chunkserver. Copysets it led elect another leader.
    pub async fn kill_chunkserver(&self, id: u32) {
        lock(&self.shared.up).retain(|up| *up != id);
        let killed = lock(&self.chunkservers).remove(&id);
        if let Some(server) = killed {
            server.kill().await;
        }
        for copyset in &self.shared.copysets {
            if copyset.leadership().leader == Some(id) {
                copyset.set_leader(None);
            }
        }
        let shared = self.shared.clone();
        tokio::spawn(async move {
            tokio::time::sleep(shared.config.election).await;
            shared.copysets.iter().for_each(|copyset| shared.elect(copyset));
        });
    }

    /// Whether a chunkserver was killed and not started again.
    #[must_use]
    pub fn chunkserver_is_down(&self, id: u32) -> bool {
        !self.shared.is_up(id)
    }

    /// Whether no MDS leads.
    #[must_use]
    pub fn mds_is_down(&self) -> bool {
        lock(&self.mds).is_none()
    }

    /// Who leads a copyset.
    #[must_use]
    pub fn leader(&self, copyset: u32) -> Option<u32> {
        let copyset = self.shared.copyset(self.shared.config.logical_pool, copyset);
        copyset.and_then(|copyset| copyset.leadership().leader)
    }

    /// Makes a chunkserver the leader of a copyset.
    pub fn set_leader(&self, copyset: u32, leader: u32) {
        if let Some(copyset) = self.shared.copyset(self.shared.config.logical_pool, copyset) {
            copyset.set_leader(Some(leader));
        }
    }

    /// Keeps a copyset from having a leader, or no longer.
    ///
    /// # Errors
    /// If there is no such copyset.
    pub fn hold(&self, copyset: u32, held: bool) -> Result<(), String> {
        let known = self.shared.copyset(self.shared.config.logical_pool, copyset);
        let known = known.ok_or_else(|| format!("no copyset {copyset}"))?;
        known.hold(held);
        self.shared.elect(known);
        Ok(())
    }

    /// The copyset of a byte of a volume that is not striped, if it is allocated.
    #[must_use]
    pub fn copyset_of(&self, path: &str, offset: u64) -> Option<u32> {
        let namespace = lock(&self.shared.namespace);
        let file = namespace.file(path).ok()?;
        let segment_size = u64::from(self.shared.config.segment_size);
        let start = offset / segment_size * segment_size;
        let mut segments = namespace.segments_of(file.id());
        let segment = segments.find(|segment| segment.start_offset == start)?;
        let chunk = (offset - start) / u64::from(segment.chunk_size);
        let chunk = segment.chunks.get(usize::try_from(chunk).ok()?)?;
        Some(chunk.copyset_id)
    }

    /// How many chunkservers there are, up or down; their ids are 1 to this.
    #[must_use]
    pub fn chunkserver_count(&self) -> u32 {
        self.shared.chunkserver_count()
    }

    /// Moves all leaders to other members that are up; for a moment there is none.
    pub async fn move_leaders(&self, without: Duration) {
        let mut moved = Vec::new();
        for copyset in &self.shared.copysets {
            if let Some(leader) = copyset.leadership().leader {
                copyset.set_leader(None);
                moved.push((copyset, leader));
            }
        }
        tokio::time::sleep(without).await;
        for (copyset, before) in moved {
            let others: Vec<u32> = copyset
                .members
                .iter()
                .copied()
                .filter(|id| *id != before && self.shared.is_up(*id))
                .collect();
            let to = others.choose(&mut rand::rng()).copied().unwrap_or(before);
            if copyset.leadership().leader.is_none() && self.shared.is_up(to) {
                copyset.set_leader(Some(to));
            }
        }
    }

    /// Moves the leader of one copyset in so many at random.
    pub fn shuffle_leaders(&self, one_in: u32) {
        for copyset in &self.shared.copysets {
            if rand::rng().random_ratio(1, one_in) {
                let up: Vec<u32> = copyset
                    .members
                    .iter()
                    .copied()
                    .filter(|id| self.shared.is_up(*id))
                    .collect();
                if up.len() * 2 > copyset.members.len() {
                    copyset.set_leader(up.choose(&mut rand::rng()).copied());
                }
            }
        }
    }
}

/// Addresses with ports that nobody has, where none is given. Below those that the system gives to clients: a killed server must find
/// its port free when it starts again. The sockets keep others who look for a port this way from taking one.
fn free_addresses(config: &SimConfig, ports: &[u16]) -> io::Result<(Vec<SocketAddr>, Vec<TcpSocket>)> {
    let mut held = Vec::new();
    let mut addresses = Vec::new();
    for port in ports {
        if *port != 0 {
            addresses.push(SocketAddr::from((config.address, *port)));
            continue;
        }
        let mut tries = 0;
        let socket = loop {
            let port = rand::rng().random_range(10_240..32_000);
            // Without this option, a port is refused that any other socket is bound to,
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(false)?;
            match socket.bind((config.address, port).into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 100 => tries += 1,
                bound => break bound.map(|()| socket)?,
            }
        };
        // and with it, the server can be bound to the same as this.
        socket.set_reuseaddr(true)?;
        addresses.push(socket.local_addr()?);
        held.push(socket);
    }
    Ok((addresses, held))
}

/// Deletes in the background what is not needed any more.
async fn clean(shared: Arc<Shared>) {
    loop {
        shared.wake_cleaner.notified().await;
        tokio::time::sleep(shared.config.clean_delay).await;
        let mut namespace = lock(&shared.namespace);
        let work = std::mem::take(&mut namespace.cleaning);
        for cleaning in work {
            let done = match cleaning {
                Cleaning::Chunks(chunks) => delete_chunks(&shared, &chunks),
                Cleaning::File(id) => delete_chunks(&shared, &namespace.remove_file(id)),
                Cleaning::Snapshot(file, seq) => {
                    let segments = namespace.segments_of(file);
                    let chunks: Vec<u64> = segments
                        .flat_map(|s| s.chunks.iter().map(|chunk| chunk.chunk_id))
                        .collect();
                    namespace.remove_snapshot(file, seq);
                    correct_versions(&shared, &chunks, seq + 1)
                }
            };
            if let Err(error) = done {
                tracing::error!(%error, "cleaning");
            }
        }
        namespace.save();
    }
}

fn delete_chunks(shared: &Shared, chunks: &[u64]) -> io::Result<()> {
    chunks.iter().try_for_each(|chunk| shared.store.delete(*chunk))
}

fn correct_versions(shared: &Shared, chunks: &[u64], sn: u64) -> io::Result<()> {
    for chunk in chunks.iter().filter_map(|chunk| shared.store.get(*chunk)) {
        lock(&chunk).delete_snapshot(sn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_port_of_a_killed_server_is_kept_for_it() {
        let sim = Sim::start(SimConfig::default()).await.expect("cluster");
        sim.kill_chunkserver(1).await;
        let other = TcpSocket::new_v4().expect("socket");
        other.set_reuseaddr(false).expect("set");
        let refused = other.bind(sim.chunkserver_address(1)).expect_err("taken");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        sim.start_chunkserver(1).await.expect("started");
    }
}
