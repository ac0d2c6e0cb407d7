//! The OSD map through its epochs: the newest one whole, the last ones as increments, and their encodings.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use encoding::{
    codec::Encode,
    features::Features,
    maps::{OsdMap, OsdMapIncremental, significant_features},
};
use parking_lot::{Mutex, RwLock};
use store::Held;
use tokio::sync::watch;

use super::{
    Cluster, ClusterError, Entrance, keys,
    state_store::{Change, StateStore},
};

/// How many increments are kept. A peer whose map is older is given the newest whole one.
const KEPT: usize = 500;
/// How many increments one message carries at most (`osd_map_message_max`).
const PER_MESSAGE: usize = 40;
/// How many encodings are kept.
const ENCODINGS: usize = 2048;

/// What a peer needs to get from its map to a newer one: increments, or the newest whole map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapsSince {
    /// A whole map, by its epoch.
    pub full: BTreeMap<u32, Bytes>,
    /// Increments, by the epoch they lead to.
    pub incremental: BTreeMap<u32, Bytes>,
    /// The oldest epoch that an increment leads to.
    pub oldest: u32,
    /// The newest epoch there is.
    pub newest: u32,
}

impl MapsSince {
    /// The epoch that the receiver has afterwards; none if there is nothing to send.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        let last = |maps: &BTreeMap<u32, Bytes>| maps.keys().next_back().copied();
        last(&self.full).max(last(&self.incremental))
    }
}

/// By epoch, whether it is a whole map, the number of the entrance, and the features that matter.
type Encodings = BTreeMap<(u32, bool, u16, Features), Bytes>;

pub(super) struct OsdMaps {
    current: watch::Sender<Arc<OsdMap>>,
    increments: RwLock<BTreeMap<u32, Arc<OsdMapIncremental>>>,
    encodings: Mutex<Encodings>,
}

impl OsdMaps {
    fn new(map: OsdMap, increments: BTreeMap<u32, Arc<OsdMapIncremental>>) -> Self {
        Self {
            current: watch::Sender::new(Arc::new(map)),
            increments: RwLock::new(increments),
            encodings: Mutex::default(),
        }
    }

    /// Loads what is stored; none if nothing is.
    pub(super) fn load(store: &dyn StateStore) -> Result<Option<Self>, ClusterError> {
        let Some(raw) = store.get(keys::OSDMAP)? else {
            return Ok(None);
        };
        let map: OsdMap = keys::load("OSD map", raw)?;
        let mut increments = BTreeMap::new();
        for (key, raw) in store.scan(keys::INCREMENTALS)? {
            let epoch = keys::number_in(&key, keys::INCREMENTALS).and_then(|n| u32::try_from(n).ok());
            if let Some(epoch) = epoch.filter(|e| *e <= map.epoch) {
                increments.insert(epoch, Arc::new(keys::load("incremental OSD map", raw)?));
            }
        }
        Ok(Some(Self::new(map, increments)))
    }

    /// Stores the first map of a new cluster.
    pub(super) fn create(map: OsdMap, also: &mut Vec<Change>) -> Self {
        also.push(Change::put(keys::OSDMAP, keys::stored(&map)));
        Self::new(map, BTreeMap::new())
    }

    pub(super) fn current(&self) -> Arc<OsdMap> {
        self.current.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<OsdMap>> {
        self.current.subscribe()
    }

    /// Stores the next map together with `also`, then tells of it. The caller serialises.
    pub(super) fn publish(
        &self,
        store: &dyn StateStore,
        next: OsdMap,
        mut also: Vec<Change>,
    ) -> Result<(), ClusterError> {
        let increment = OsdMapIncremental::diff(&self.current(), &next);
        let oldest_kept = u64::from(next.epoch).saturating_sub(KEPT as u64 - 1);
        also.push(Change::put(keys::OSDMAP, keys::stored(&next)));
        let key = keys::numbered(keys::INCREMENTALS, next.epoch.into());
        also.push(Change::Put(key, keys::stored(&increment)));
        let increments = self.increments.read();
        let epochs = increments.keys().copied().map(u64::from);
        let dropped = epochs.take_while(|e| *e < oldest_kept);
        also.extend(dropped.map(|e| Change::Delete(keys::numbered(keys::INCREMENTALS, e))));
        drop(increments);
        // No lock is held meanwhile: sessions go on reading.
        store.commit(also)?;
        let mut increments = self.increments.write();
        increments.retain(|e, _| u64::from(*e) >= oldest_kept);
        increments.insert(next.epoch, Arc::new(increment));
        drop(increments);
        self.current.send_replace(Arc::new(next));
        Ok(())
    }

    /// The encoding for a peer, from `encode` if it is not kept.
    fn encoded(
        &self,
        epoch: u32,
        full: bool,
        entrance: &Entrance,
        features: Features,
        encode: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let key = (epoch, full, entrance.number(), significant_features(features));
        if let Some(bytes) = self.encodings.lock().get(&key) {
            return bytes.clone();
        }
        let bytes = encode();
        let mut encodings = self.encodings.lock();
        encodings.insert(key, bytes.clone());
        while encodings.len() > ENCODINGS {
            encodings.pop_first();
        }
        bytes
    }
}

/// What maps take.
impl Cluster {
    /// What OSD maps hold in memory, by the names of Ceph's pools: themselves, roughly, as long as they are stored; and what is kept of them
    /// encoded.
    #[must_use]
    pub fn map_memory(&self) -> [(&'static str, Held); 2] {
        let map = keys::stored(&*self.osd_maps.current()).len();
        let increments: Vec<_> = self.osd_maps.increments.read().values().cloned().collect();
        let bytes = increments.iter().map(|one| keys::stored(&**one).len());
        let maps = Held::new(1 + increments.len(), map + bytes.sum::<usize>());
        let encodings = self.osd_maps.encodings.lock();
        let encoded = Held::new(encodings.len(), encodings.values().map(Bytes::len).sum());
        [("osdmap", maps), ("osd_mapbl", encoded)]
    }
}

/// OSD maps for peers.
impl Cluster {
    /// The oldest epoch that an increment leads to.
    #[must_use]
    pub fn oldest_osdmap(&self) -> u32 {
        let increments = self.osd_maps.increments.read();
        let oldest = increments.keys().next().copied();
        oldest.unwrap_or_else(|| self.osdmap().epoch)
    }

    /// What a peer needs whose next map is to be of epoch `start` (0: whatever is newest), encoded for it, with
    /// addresses of the entrance that it came in by. A peer that is far behind is given a part; ask again from the [`MapsSince::last`] on.
    #[must_use]
    pub fn maps_since(&self, start: u32, features: Features, entrance: &Entrance) -> MapsSince {
        let current = self.osd_maps.current();
        let increments = self.osd_maps.increments.read();
        let mut out = MapsSince {
            oldest: increments.keys().next().copied().unwrap_or(current.epoch),
            newest: current.epoch,
            ..MapsSince::default()
        };
        if start > current.epoch {
            return out;
        }
        if start == 0 || !increments.contains_key(&start) {
            drop(increments);
            out.full
                .insert(current.epoch, self.full_map(&current, features, entrance));
            return out;
        }
        for (epoch, increment) in increments.range(start..=current.epoch).take(PER_MESSAGE) {
            let bytes = self.osd_maps.encoded(*epoch, false, entrance, features, || {
                let seen = entrance.incremental(increment);
                let translated = seen.translated_for(features);
                translated.as_ref().unwrap_or(&seen).to_bytes(features)
            });
            out.incremental.insert(*epoch, bytes);
        }
        out
    }

    /// A whole map, encoded for a peer.
    #[must_use]
    pub fn full_map(&self, map: &OsdMap, features: Features, entrance: &Entrance) -> Bytes {
        self.osd_maps.encoded(map.epoch, true, entrance, features, || {
            let seen = entrance.osdmap(map);
            let translated = seen.translated_for(features);
            translated.as_ref().unwrap_or(&seen).to_bytes(features)
        })
    }
}
