//! Who leads each copyset: all I/O of a chunk goes to its leader.

mod election;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use election::{Ballot, Suspicion};
use tokio::task::JoinSet;

use crate::{
    config::Config,
    error::{Error, Inconsistent, Result},
    mds::{Mds, Segment},
    proto::{chunk::GetLeaderRequest, common::ChunkServerLocation},
    rpc::Rpc,
};

/// Pause before the peers of a copyset without a leader are asked again.
const ELECTION_PAUSE: Duration = Duration::from_millis(100);
/// After so many rounds without a leader the peers are fetched again.
const ROUNDS_BEFORE_REFETCH: u32 = 3;

/// A raft group of chunkservers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CopysetId {
    /// Logical pool.
    pub pool: u32,
    /// In the pool.
    pub copyset: u32,
}

/// A member of a copyset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// How chunkservers call it.
    pub internal: SocketAddr,
    /// Where clients connect.
    pub external: SocketAddr,
}

impl Peer {
    /// From the MDS's description. Clients connect to the external address if there is one; both have the same port.
    ///
    /// # Errors
    /// [`Inconsistent::Address`].
    pub fn from_location(location: &ChunkServerLocation) -> Result<Self> {
        let host = location.host_ip.as_deref().unwrap_or_default();
        let external = location
            .external_ip
            .as_deref()
            .filter(|ip| !ip.is_empty())
            .unwrap_or(host);
        let port = location.port.unwrap_or(0);
        Ok(Self {
            internal: address(host, port)?,
            external: address(external, port)?,
        })
    }
}

fn address(ip: &str, port: u32) -> Result<SocketAddr> {
    let wrong = || Inconsistent::Address(format!("{ip}:{port}"));
    let ip = ip.parse::<IpAddr>().map_err(|_| wrong())?;
    let port = u16::try_from(port)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(wrong)?;
    Ok(SocketAddr::new(ip, port))
}

/// `ip:port:index`, as raft names its peers.
fn raft_address(text: &str) -> Result<SocketAddr> {
    let wrong = || Inconsistent::Address(text.to_owned());
    let (address, _index) = text.rsplit_once(':').ok_or_else(wrong)?;
    Ok(address.parse().map_err(|_| wrong())?)
}

/// A copyset's leader, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// Where to connect.
    pub address: SocketAddr,
    generation: u64,
}

#[derive(Default)]
struct Known {
    peers: Vec<Peer>,
    leader: Option<SocketAddr>,
    /// Grows with each search.
    generation: u64,
    suspicion: Suspicion,
    /// How many wait for a leader that serves them,
    unserved: usize,
    /// and since when there is always one.
    unserved_since: Option<Instant>,
}

#[derive(Default)]
struct Copyset {
    known: Mutex<Known>,
    /// One search at a time.
    searching: tokio::sync::Mutex<()>,
}

impl Copyset {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leader(&self) -> Option<Leader> {
        let known = self.known();
        let generation = known.generation;
        known.leader.map(|address| Leader { address, generation })
    }
}

/// Somebody waits for a leader that serves him, until this is dropped.
pub(crate) struct Unserved(Arc<Copyset>);

impl Unserved {
    fn new(copyset: Arc<Copyset>) -> Self {
        let mut known = copyset.known();
        known.unserved += 1;
        known.unserved_since.get_or_insert_with(Instant::now);
        drop(known);
        Self(copyset)
    }
}

impl Drop for Unserved {
    fn drop(&mut self) {
        let mut known = self.0.known();
        known.unserved -= 1;
        if known.unserved == 0 {
            known.unserved_since = None;
        }
    }
}

/// All copysets a client has met. Clones share them.
#[derive(Clone)]
pub struct Copysets {
    rpc: Rpc,
    mds: Mds,
    config: Arc<Config>,
    sets: Arc<Mutex<HashMap<CopysetId, Arc<Copyset>>>>,
}

impl Copysets {
    /// None is known yet.
    #[must_use]
    pub fn new(rpc: Rpc, mds: Mds, config: Arc<Config>) -> Self {
        Self {
            rpc,
            mds,
            config,
            sets: Arc::default(),
        }
    }

    /// Copysets that no leader has served for so long or longer while somebody waited, by id, with how long it has been.
    #[must_use]
    pub fn leaderless(&self, longer_than: Duration) -> Vec<(CopysetId, Duration)> {
        let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = |copyset: &Copyset| copyset.known().unserved_since.map(|since| since.elapsed());
        let mut found: Vec<_> = sets
            .iter()
            .filter_map(|(id, copyset)| waited(copyset).map(|time| (*id, time)))
            .filter(|(_, time)| *time >= longer_than)
            .collect();
        found.sort_unstable();
        found
    }

    fn copyset(&self, id: CopysetId) -> Arc<Copyset> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.entry(id).or_default().clone()
    }

    /// The leader. While there is none this waits, and while the MDS does not tell who the members are: the caller decides for how
    /// long.
    ///
    /// # Errors
    /// [`Inconsistent::Address`]; [`Error::Rpc`] for what a retry cannot mend.
    pub async fn leader(&self, id: CopysetId) -> Result<Leader> {
        let copyset = self.copyset(id);
        if let Some(leader) = copyset.leader() {
            return Ok(leader);
        }
        let _one_at_a_time = copyset.searching.lock().await;
        let _unserved = Unserved::new(copyset.clone());
        let mut round = 0;
        loop {
            if let Some(leader) = copyset.leader() {
                return Ok(leader);
            }
            if copyset.known().peers.is_empty() || round % ROUNDS_BEFORE_REFETCH == ROUNDS_BEFORE_REFETCH - 1
            {
                match self.fetch_peers(id.pool, &[id.copyset]).await {
                    // Whatever keeps the MDS from telling, I/O waits for it, as it does without a leader: the peers that were known are
                    // asked again.
                    Err(error @ Error::Topology { .. }) => {
                        tracing::warn!(?id, %error, "peers of a copyset not told, trying again");
                    }
                    fetched => fetched?,
                }
            }
            if let Some(address) = self.ask_peers(id, &copyset).await? {
                let mut known = copyset.known();
                known.generation += 1;
                known.leader = Some(address);
                known.suspicion = Suspicion::None;
                tracing::debug!(?id, %address, "leader");
                continue;
            }
            round += 1;
            tokio::time::sleep(ELECTION_PAUSE).await;
        }
    }

    /// Notes that somebody waits for this copyset.
    pub(crate) fn unserved(&self, id: CopysetId) -> Unserved {
        Unserved::new(self.copyset(id))
    }

    /// The leader did not serve a request: it is looked for again, unless that has happened since. `unreachable`: not even
    /// a connection could be made.
    pub fn suspect(&self, id: CopysetId, leader: Leader, unreachable: bool) {
        let copyset = self.copyset(id);
        let mut known = copyset.known();
        if known.generation == leader.generation && known.leader == Some(leader.address) {
            known.leader = None;
            known.suspicion = if unreachable {
                Suspicion::Unreachable(leader.address)
            } else {
                Suspicion::NotServing(leader.address)
            };
        }
    }

    /// Fetches the peers of all copysets of a segment that are not known, with one call. Those of which the MDS tells nothing are
    /// left to [`Copysets::leader`].
    ///
    /// # Errors
    /// [`Inconsistent::Address`]; [`Error::Rpc`] for what a retry cannot mend.
    pub async fn prefetch(&self, segment: &Segment) -> Result<()> {
        let mut unknown: Vec<u32> = segment.chunks.iter().map(|chunk| chunk.copyset).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let pool = segment.pool;
        unknown.retain(|copyset| {
            self.copyset(CopysetId {
                pool,
                copyset: *copyset,
            })
            .known()
            .peers
            .is_empty()
        });
        if unknown.is_empty() {
            return Ok(());
        }
        match self.fetch_peers(pool, &unknown).await {
            Err(error @ Error::Topology { .. }) => {
                tracing::debug!(pool, ?unknown, %error, "peers not fetched ahead");
                Ok(())
            }
            fetched => fetched,
        }
    }

    async fn fetch_peers(&self, pool: u32, copysets: &[u32]) -> Result<()> {
        for info in self.mds.copyset_servers(pool, copysets).await? {
            let peers: Result<Vec<_>> = info.cs_locs.iter().map(Peer::from_location).collect();
            let peers = peers?;
            let copyset = info.copyset_id.unwrap_or(0);
            self.copyset(CopysetId { pool, copyset }).known().peers = peers;
        }
        Ok(())
    }

    async fn ask_peers(&self, id: CopysetId, copyset: &Copyset) -> Result<Option<SocketAddr>> {
        let (peers, suspicion) = {
            let known = copyset.known();
            (known.peers.clone(), known.suspicion)
        };
        let request = GetLeaderRequest {
            logic_pool_id: id.pool,
            copyset_id: id.copyset,
            peer: None,
        };
        let mut asked = JoinSet::new();
        for peer in &peers {
            let (rpc, request, limit, peer) = (
                self.rpc.clone(),
                request.clone(),
                self.config.leader_timeout,
                *peer,
            );
            asked.spawn(async move { (peer, rpc.request(peer.external, &request, limit).await) });
        }
        let mut ballot = Ballot::new(suspicion);
        while let Some(answer) = asked.join_next().await {
            let Ok((peer, Ok(reply))) = answer else { continue };
            let named = reply.leader.and_then(|leader| leader.address).unwrap_or_default();
            let Ok(named) = raft_address(&named) else { continue };
            let Some(named) = self.connectable(id, &peers, named).await else {
                continue;
            };
            if ballot.vote(peer.external, named) {
                break;
            }
        }
        Ok(ballot.result())
    }

    /// Where to connect to reach a peer that raft names. One that is not in the list has joined since it was fetched.
    async fn connectable(&self, id: CopysetId, peers: &[Peer], named: SocketAddr) -> Option<SocketAddr> {
        let known = peers
            .iter()
            .find(|peer| peer.internal == named || peer.external == named);
        if let Some(peer) = known {
            return Some(peer.external);
        }
        let server = self
            .mds
            .chunkserver_at(&named.ip().to_string(), named.port())
            .await
            .ok()?;
        // Not fatal: the leader itself is known.
        if let Err(error) = self.fetch_peers(id.pool, &[id.copyset]).await {
            tracing::debug!(?id, %error, "peers not fetched");
        }
        let host = server.host_ip.unwrap_or_default();
        let external = server.external_ip.filter(|ip| !ip.is_empty()).unwrap_or(host);
        address(&external, server.port.unwrap_or(0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(host: &str, external: Option<&str>, port: u32) -> ChunkServerLocation {
        ChunkServerLocation {
            chunk_server_id: Some(1),
            host_ip: Some(host.into()),
            port: Some(port),
            external_ip: external.map(Into::into),
        }
    }

    #[test]
    fn clients_connect_to_the_external_address_if_there_is_one() {
        let peer = Peer::from_location(&location("10.0.0.1", Some("192.0.2.1"), 8200)).expect("peer");
        assert_eq!(peer.internal, "10.0.0.1:8200".parse().expect("address"));
        assert_eq!(peer.external, "192.0.2.1:8200".parse().expect("address"));
        for none in [None, Some("")] {
            let peer = Peer::from_location(&location("10.0.0.1", none, 8200)).expect("peer");
            assert_eq!(peer.external, peer.internal);
        }
        assert!(Peer::from_location(&location("chunkserver1", None, 8200)).is_err());
        assert!(Peer::from_location(&location("10.0.0.1", None, 65_536)).is_err());
    }

    #[test]
    fn raft_names_peers_by_address_and_index() {
        assert_eq!(
            raft_address("127.0.0.1:8200:0").expect("address"),
            "127.0.0.1:8200".parse().expect("address")
        );
        for bad in ["", "127.0.0.1:8200", "127.0.0.1", "a:b:c", ":0:0:0:0"] {
            assert!(raft_address(bad).is_err(), "{bad}");
        }
    }
}
