//! Opening a cluster: what a new one begins with, and what every start changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::SystemTime,
};

use bytes::Bytes;
use encoding::{
    features::Features,
    maps::{CrushMap, MgrMap, MonMap, OsdAddrs, OsdInfo, OsdMap, Release, osd_state, osdmap_flags},
    types::{EntityAddrVec, Utime, Uuid},
};
use msgr::cephx::{CryptoKey, EntityAuth};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{
    Cluster, ClusterError, Edit, MON_NAME, NoStats, PoolLayout, PoolRequest,
    auth::AuthDb,
    ciphers, config, erasure_pools,
    global_id::GlobalIds,
    health_mutes, keys, mgr_map,
    osd_maps::OsdMaps,
    pools,
    state_store::{Change, StateStore},
};

/// Where an OSD is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsdEndpoint {
    /// Where clients connect; the nonce must differ from that of any earlier start.
    pub addrs: EntityAddrVec,
}

/// Where the daemons of this process are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The identity that a new cluster is to have; random if none. An existing one keeps its own.
    pub fsid: Option<Uuid>,
    /// Name of the host, shown in the CRUSH tree.
    pub host: String,
    /// The monitor.
    pub mon: EntityAddrVec,
    /// The manager.
    pub mgr: EntityAddrVec,
    /// What the manager serves besides, by module: addresses for browsers.
    pub services: BTreeMap<String, String>,
    /// The OSDs by id.
    pub osds: BTreeMap<i32, OsdEndpoint>,
    /// The key that a new cluster gives to `client.admin`; random if none.
    pub admin_key: Option<CryptoKey>,
}

/// Monitor features that are on for good: all up to Pacific's (`FEATURE_*`, `mon_types.h`).
const MON_FEATURES: u64 = 0xff;
/// Placement groups of the pool that a new cluster has.
const DEFAULT_PG_NUM: u32 = 32;
/// Flags of a new cluster's OSD map, as Pacific sets them.
const FLAGS: u32 = osdmap_flags::SORTBITWISE
    | osdmap_flags::RECOVERY_DELETES
    | osdmap_flags::PURGED_SNAPDIRS
    | osdmap_flags::PGLOG_HARDLIMIT;

pub(super) fn open(store: Arc<dyn StateStore>, endpoints: &Endpoints) -> Result<Cluster, ClusterError> {
    let started = SystemTime::now();
    let now = Utime::from_system_time(started);
    let mut changes = Vec::new();
    let fsid = load_or(&*store, keys::FSID, "fsid", &mut changes, || {
        endpoints
            .fsid
            .unwrap_or_else(|| Uuid::from_random(rand::random()))
    })?;
    let created = load_or(&*store, keys::CREATED, "creation time", &mut changes, || now)?;
    let monmap = next_monmap(&*store, fsid, created, now, &endpoints.mon, &mut changes)?;
    let osd_maps = match OsdMaps::load(&*store)? {
        Some(maps) => maps,
        None => OsdMaps::create(first_osdmap(fsid, created, endpoints)?, &mut changes),
    };
    let mgr_epoch = match store.get(keys::MGR_EPOCH)? {
        Some(raw) => keys::load::<u32>("manager epoch", raw)?.saturating_add(1),
        None => 1,
    };
    changes.push(Change::put(keys::MGR_EPOCH, keys::stored(&mgr_epoch)));
    let former_mgr_clients = match store.get(keys::MGR_CLIENTS)? {
        Some(raw) => keys::load("clients of the manager", raw)?,
        None => Vec::new(),
    };
    store.commit(changes)?;

    let auth = AuthDb::open(
        &*store,
        started,
        ciphers::key_type(ciphers::of(&monmap).service_cipher),
    )?;
    if auth.is_empty() {
        auth.put(&*store, "client.admin", admin(endpoints.admin_key.clone()))?;
    }
    let global_ids = GlobalIds::new();
    let mgrmap = MgrMap {
        services: endpoints.services.clone(),
        modules: endpoints.services.keys().cloned().collect(),
        ..mgr_map::active(mgr_epoch, global_ids.next(&*store)?, endpoints.mgr.clone(), now)
    };
    let config = config::load(store.scan(keys::CONFIG)?)?;
    let mutes = health_mutes::load(&*store)?;
    let cluster = Cluster {
        store,
        fsid,
        created,
        mon_maps: ciphers::MonMaps::new(monmap),
        mgrmap: RwLock::new(Arc::new(mgrmap)),
        former_mgr_clients: Mutex::new(former_mgr_clients),
        host: endpoints.host.clone(),
        started,
        osd_maps,
        running_osds: endpoints.osds.keys().copied().collect(),
        writer: Mutex::default(),
        auth,
        global_ids,
        config: RwLock::new(config),
        overrides: RwLock::default(),
        config_changed: watch::Sender::new(0),
        health_mutes: RwLock::new(Arc::new(mutes)),
        stats: RwLock::new(Arc::new(NoStats)),
        auth_method: OnceLock::new(),
        sessions: AtomicU64::new(0),
    };
    cluster.change_osdmap(|edit| {
        mark_down(edit);
        Ok(())
    })?;
    cluster.change_osdmap(|edit| {
        mark_up(edit, endpoints, now);
        Ok(())
    })?;
    Ok(cluster)
}

/// The names of all pools, as stored: for who does not open the cluster.
pub(super) fn pool_names(store: &dyn StateStore) -> Result<BTreeMap<i64, String>, ClusterError> {
    let maps = OsdMaps::load(store)?;
    Ok(maps
        .map(|maps| maps.current().pool_names.clone())
        .unwrap_or_default())
}

/// A stored value; a new one is stored with `changes`.
fn load_or<T: encoding::Decode + encoding::Encode>(
    store: &dyn StateStore,
    key: &'static [u8],
    what: &'static str,
    changes: &mut Vec<Change>,
    new: impl FnOnce() -> T,
) -> Result<T, ClusterError> {
    if let Some(raw) = store.get(key)? {
        return keys::load(what, raw);
    }
    let value = new();
    changes.push(Change::put(Bytes::from_static(key), keys::stored(&value)));
    Ok(value)
}

/// The monitor map for these addresses: a new epoch if they have changed.
fn next_monmap(
    store: &dyn StateStore,
    fsid: Uuid,
    created: Utime,
    now: Utime,
    addrs: &EntityAddrVec,
    changes: &mut Vec<Change>,
) -> Result<MonMap, ClusterError> {
    let mut map = match store.get(keys::MONMAP)? {
        Some(raw) => keys::load("monitor map", raw)?,
        None => MonMap {
            fsid,
            created,
            min_mon_release: Release::PACIFIC,
            persistent_features: MON_FEATURES,
            ..MonMap::default()
        },
    };
    let known = map.mons.get(MON_NAME).is_some_and(|m| m.public_addrs == *addrs);
    if known && map.ciphers.is_some() {
        return Ok(map);
    }
    map.ciphers.get_or_insert_with(ciphers::defaults);
    map.epoch += 1;
    map.last_changed = now;
    map.add(MON_NAME, addrs.clone());
    changes.push(Change::put(keys::MONMAP, keys::stored(&map)));
    Ok(map)
}

fn first_osdmap(fsid: Uuid, created: Utime, endpoints: &Endpoints) -> Result<OsdMap, ClusterError> {
    let ids: Vec<i32> = endpoints.osds.keys().copied().collect();
    let mut map = OsdMap {
        fsid,
        epoch: 1,
        created,
        modified: created,
        flags: FLAGS,
        crush: CrushMap::simple(&ids, &endpoints.host),
        nearfull_ratio: 0.85,
        backfillfull_ratio: 0.9,
        full_ratio: 0.95,
        // Old clients are served on purpose; new ones choose the clone format by this.
        require_min_compat_client: Release::LUMINOUS,
        require_osd_release: Release::PACIFIC,
        ..OsdMap::default()
    };
    let request = PoolRequest {
        name: "rbd".to_owned(),
        pg_num: DEFAULT_PG_NUM,
        layout: PoolLayout::copies(1),
    };
    let pool = pools::add_pool(&mut map, &request, created)?;
    if let Some(pool) = map.pools.get_mut(&pool) {
        pool.application_metadata
            .insert("rbd".to_owned(), BTreeMap::new());
    }
    Ok(map)
}

/// Whatever OSDs were up when the last process ended are down. Clients send their requests again only where an
/// OSD went down in between: a new address alone is not enough for them.
fn mark_down(edit: &mut Edit) {
    edit.unchanged = true;
    for i in 0..edit.map.osd_state.len() {
        if edit.map.osd_state[i] & osd_state::UP != 0 {
            edit.unchanged = false;
            edit.mark_down(i);
        }
    }
}

/// The OSDs are up, in, and at these addresses from this epoch on. Those that are not listed are down.
fn mark_up(edit: &mut Edit, endpoints: &Endpoints, now: Utime) {
    let map = &mut edit.map;
    let epoch = map.epoch;
    let highest = endpoints.osds.keys().next_back().copied().unwrap_or(-1);
    if highest >= map.max_osd {
        map.set_max_osd(highest.saturating_add(1));
    }
    let ids: Vec<i32> = endpoints.osds.keys().copied().collect();
    let mut crush = CrushMap::simple(&ids, &endpoints.host);
    // The tree follows the OSDs; rules that were made for pools stay.
    for (place, rule) in map.crush.rules.iter().enumerate().skip(crush.rules.len()) {
        crush.rules.push(rule.clone());
        let id = i32::try_from(place).unwrap_or(i32::MAX);
        if let Some(name) = map.crush.rule_names.get(&id) {
            crush.rule_names.insert(id, name.clone());
        }
    }
    erasure_pools::ensure_default_profile(map);
    if map.crush != crush {
        map.crush = crush;
        map.crush_version += 1;
    }
    for (id, i) in (0..map.max_osd).zip(0..map.osd_state.len()) {
        let Some(endpoint) = endpoints.osds.get(&id) else {
            map.osd_state[i] &= !osd_state::UP;
            continue;
        };
        map.osd_state[i] |= osd_state::EXISTS | osd_state::UP;
        map.osd_weight[i] = OsdMap::IN;
        map.osd_addrs[i] = OsdAddrs {
            client: endpoint.addrs.clone(),
            cluster: endpoint.addrs.clone(),
            hb_back: endpoint.addrs.clone(),
            hb_front: endpoint.addrs.clone(),
        };
        map.osd_info[i] = OsdInfo {
            up_from: epoch,
            up_thru: epoch,
            ..OsdInfo::default()
        };
        map.osd_xinfo[i].features = Features::OURS.0;
        if map.osd_uuid[i] == Uuid::default() {
            map.osd_uuid[i] = Uuid::from_random(rand::random());
        }
    }
    map.last_up_change = now;
    map.last_in_change = now;
}

fn admin(key: Option<CryptoKey>) -> EntityAuth {
    let auth = EntityAuth {
        key: key.unwrap_or_else(|| CryptoKey::generate(SystemTime::now())),
        ..EntityAuth::default()
    };
    ["mds", "mgr", "mon", "osd"]
        .iter()
        .fold(auth, |auth, service| auth.with_caps(service, "allow *"))
}
