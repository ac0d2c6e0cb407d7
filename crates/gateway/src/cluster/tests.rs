//! Behaviours of the cluster's state.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use encoding::{
    Decode,
    features::Features,
    maps::{OsdMap, OsdMapIncremental, SnapIntervals, pool_flags},
    types::{EntityAddr, EntityAddrVec},
};
use msgr::cephx::KeyServer;

use super::{
    Entrance,
    state_store::{MemoryState, StateStore},
    *,
};

fn addrs(port: u16, nonce: u32) -> EntityAddrVec {
    EntityAddrVec(vec![EntityAddr::v2(
        SocketAddr::from(([127, 0, 0, 1], port)),
        nonce,
    )])
}

/// Where the daemons of a test are.
pub(crate) fn endpoints(nonce: u32) -> Endpoints {
    Endpoints {
        services: std::collections::BTreeMap::new(),
        fsid: Some("c0ffee00-0000-4000-8000-000000000001".parse().unwrap()),
        host: "vm".to_owned(),
        mon: addrs(3300, 0),
        mgr: addrs(6810, nonce),
        osds: BTreeMap::from([(
            0,
            OsdEndpoint {
                addrs: addrs(6800, nonce),
            },
        )]),
        admin_key: None,
    }
}

/// A new cluster in memory.
pub(crate) fn cluster() -> Arc<Cluster> {
    Cluster::open(Arc::new(MemoryState::default()), &endpoints(1)).unwrap()
}

#[test]
fn a_new_cluster_has_an_osd_the_pool_rbd_and_an_administrator() {
    let c = cluster();
    let map = c.osdmap();
    assert!(map.is_up(0));
    let pool = &map.pools[&map.pool_by_name("rbd").unwrap()];
    assert_eq!((pool.pg_num, pool.size), (32, 1));
    assert!(pool.application_metadata.contains_key("rbd"));
    let admin = c.entity("client.admin").unwrap();
    assert_eq!(admin.caps_text("osd").as_deref(), Some("allow *"));
    assert_eq!(c.monmap().epoch, 1);
}

#[test]
fn a_restart_keeps_everything_and_tells_the_new_addresses_in_new_epochs() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
    let c = Cluster::open(store.clone(), &endpoints(1)).unwrap();
    let pool = c
        .create_pool(&PoolRequest {
            name: "volumes".into(),
            pg_num: 8,
            layout: PoolLayout::copies(3),
        })
        .unwrap();
    c.add_entity("client.x", None, &[("mon".into(), "allow r".into())])
        .unwrap();
    c.set_config("client", "rbd_cache", Some("false")).unwrap();
    let (epoch, key, id) = (
        c.osdmap().epoch,
        c.entity("client.x").unwrap().key,
        c.next_global_id().unwrap(),
    );
    drop(c);

    let c = Cluster::open(store, &endpoints(2)).unwrap();
    let map = c.osdmap();
    assert_eq!(map.epoch, epoch + 2, "down, then up elsewhere");
    assert_eq!(map.pool_by_name("volumes"), Some(pool));
    assert_eq!(map.osd_addrs[0].client, addrs(6800, 2));
    assert_eq!(c.entity("client.x").unwrap().key, key);
    assert_eq!(c.config_of("client.admin")["rbd_cache"], "false");
    assert!(c.next_global_id().unwrap() > id);
    assert_eq!((c.monmap().epoch, c.mgrmap().epoch), (1, 2));
}

#[test]
fn increments_lead_from_any_kept_epoch_to_the_newest_map() {
    let c = cluster();
    let first = c.maps_since(0, Features::OURS, &Entrance::USUAL);
    let mut map = OsdMap::from_bytes(first.full.values().next().unwrap()).unwrap();
    let pool = c
        .create_pool(&PoolRequest {
            name: "a".into(),
            pg_num: 8,
            layout: PoolLayout::copies(1),
        })
        .unwrap();
    c.create_snap(pool).unwrap();
    c.blocklist_add(parse_address("10.0.0.1:0/7").unwrap(), Duration::from_secs(60))
        .unwrap();
    c.delete_pool(pool).unwrap();
    let since = c.maps_since(map.epoch + 1, Features::OURS, &Entrance::USUAL);
    assert!(since.full.is_empty());
    for raw in since.incremental.values() {
        map.apply(&OsdMapIncremental::from_bytes(raw).unwrap()).unwrap();
    }
    let newest = c.maps_since(0, Features::OURS, &Entrance::USUAL);
    assert_eq!(map, OsdMap::from_bytes(&newest.full[&map.epoch]).unwrap());
    assert_eq!(
        c.maps_since(map.epoch + 1, Features::OURS, &Entrance::USUAL)
            .last(),
        None
    );
}

#[test]
fn pools_follow_the_rules() {
    let c = cluster();
    let request = |name: &str| PoolRequest {
        name: name.into(),
        pg_num: 8,
        layout: PoolLayout::copies(1),
    };
    let a = c.create_pool(&request("a")).unwrap();
    assert!(matches!(
        c.create_pool(&request("a")),
        Err(ClusterError::Exists(_))
    ));
    assert!(c.create_pool(&request("")).is_err());
    assert!(
        c.create_pool(&PoolRequest {
            pg_num: 0,
            ..request("b")
        })
        .is_err()
    );
    c.rename_pool(a, "c").unwrap();
    assert!(c.rename_pool(a, "rbd").is_err());
    c.set_application(a, "rbd", None).unwrap();
    let epoch = c.osdmap().epoch;
    c.set_application(a, "rbd", None).unwrap();
    assert_eq!(c.osdmap().epoch, epoch, "nothing changed");
    c.set_pool_full(a, true, true).unwrap();
    c.delete_pool(a).unwrap();
    assert!(matches!(c.delete_pool(a), Err(ClusterError::NoSuchPool(_))));
    assert_ne!(c.create_pool(&request("c")).unwrap(), a, "ids are not used again");
}

#[test]
fn snapshot_ids_grow_and_removed_ones_wait_until_they_are_purged() {
    let c = cluster();
    let pool = c.osdmap().pool_by_name("rbd").unwrap();
    assert!(matches!(c.remove_snap(pool, 1), Err(ClusterError::SnapMode(_))));
    assert_eq!(
        (c.create_snap(pool).unwrap(), c.create_snap(pool).unwrap()),
        (2, 3)
    );
    assert!(matches!(c.remove_snap(pool, 9), Err(ClusterError::NoSuchSnap(9))));
    c.remove_snap(pool, 2).unwrap();
    let map = c.osdmap();
    let two = SnapIntervals::from_iter([2]);
    assert_eq!(
        (&map.new_removed_snaps[&pool], &map.removed_snaps_queue[&pool]),
        (&two, &two)
    );
    assert_eq!(map.pools[&pool].snap_seq, 4);
    c.remove_snap(pool, 2).unwrap();
    assert_eq!(c.osdmap().epoch, map.epoch, "removed already");
    assert_eq!(c.create_snap(pool).unwrap(), 5);
    c.snaps_purged(pool, [2, 77]).unwrap();
    let map = c.osdmap();
    assert_eq!(map.new_purged_snaps[&pool], two);
    assert!(map.removed_snaps_queue.is_empty() && map.new_removed_snaps.is_empty());
    c.remove_snap(pool, 2).unwrap();
    assert_eq!(c.osdmap().epoch, map.epoch, "removed for good");
}

#[test]
fn blocklist_entries_expire() {
    let c = cluster();
    let addr = parse_address("v1:10.0.0.1:0/7").unwrap();
    c.blocklist_add(addr, Duration::from_secs(100)).unwrap();
    assert!(c.osdmap().is_blocklisted(&addr));
    c.tick(SystemTime::now() + Duration::from_secs(50)).unwrap();
    assert!(c.osdmap().is_blocklisted(&addr));
    c.tick(SystemTime::now() + Duration::from_secs(101)).unwrap();
    assert!(!c.osdmap().is_blocklisted(&addr));
    assert!(!c.blocklist_rm(addr).unwrap());
}

#[test]
fn entities_have_valid_caps_and_are_made_once() {
    let c = cluster();
    let caps = |text: &str| vec![("osd".to_owned(), text.to_owned())];
    assert!(c.add_entity("client.x", None, &caps("nonsense")).is_err());
    c.add_entity("client.x", None, &caps("profile rbd")).unwrap();
    assert!(matches!(
        c.add_entity("client.x", None, &[]),
        Err(ClusterError::Exists(_))
    ));
    c.set_caps("client.x", &caps("allow r")).unwrap();
    assert_eq!(c.entity("client.x").unwrap().caps_text("osd").unwrap(), "allow r");
    assert!(c.remove_entity("client.x").unwrap() && !c.remove_entity("client.x").unwrap());
}

/// Measures the same for every pool.
struct Fixed(PoolUsage);

impl ClusterStats for Fixed {
    fn space(&self) -> Space {
        Space::default()
    }
    fn pool(&self, _: i64) -> PoolUsage {
        self.0
    }
    fn rates(&self, _: i64) -> Rates {
        Rates::default()
    }
    fn latency(&self, _: i32) -> Latency {
        Latency::default()
    }
}

#[test]
fn a_pool_is_full_while_its_quota_is_used_up_whatever_the_disk_says() {
    let c = cluster();
    let pool = c.osdmap().pool_by_name("rbd").unwrap();
    let flags = || c.osdmap().pools[&pool].flags & (pool_flags::FULL | pool_flags::FULL_QUOTA);
    c.set_stats(Arc::new(Fixed(PoolUsage {
        objects: 10,
        ..PoolUsage::default()
    })));
    c.set_quota(pool, PoolQuota::Objects(10)).unwrap();
    c.tick(SystemTime::now()).unwrap();
    c.set_pool_full(pool, false, false).unwrap();
    assert_eq!(flags(), pool_flags::FULL | pool_flags::FULL_QUOTA);
    c.set_quota(pool, PoolQuota::Objects(0)).unwrap();
    c.tick(SystemTime::now()).unwrap();
    assert_eq!(flags(), 0);
    c.set_pool_full(pool, true, false).unwrap();
    c.tick(SystemTime::now()).unwrap();
    assert_eq!(flags(), pool_flags::FULL, "the disk's mark is not the quota's");
    c.set_pool_full(pool, false, false).unwrap();
    assert_eq!(flags(), 0);
}
