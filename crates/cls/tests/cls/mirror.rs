use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{
        EntityInst, MirrorImage, MirrorImageMap, MirrorImageMode, MirrorImageSiteStatus, MirrorImageState,
        MirrorImageStatus, MirrorImageStatusState, MirrorMode, MirrorPeer, MirrorPeerDirection,
    },
    types::{AddrType, Utime},
};

use crate::memory::{Nothing, Object, s};

fn enabled() -> Object {
    let mut o = Object::absent();
    o.call("rbd.mirror_uuid_set", s("own")).unwrap();
    o.call("rbd.mirror_mode_set", MirrorMode::POOL).unwrap();
    o
}

#[test]
fn a_pool_that_was_never_mirrored_has_no_mode() {
    let mut o = Object::absent();
    assert_eq!(o.call("rbd.mirror_mode_get", Nothing), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.mirror_uuid_get", Nothing), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.mirror_image_get", s("i")), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.mirror_image_remove", s("i")), Err(Errno::ENOENT));
    assert_eq!(
        o.get("rbd.mirror_peer_list", Nothing),
        Ok(Vec::<MirrorPeer>::new())
    );
}

#[test]
fn mirroring_needs_an_id_and_ends_without_peers() {
    let mut o = Object::absent();
    assert_eq!(
        o.call("rbd.mirror_mode_set", MirrorMode::IMAGE),
        Err(Errno::EINVAL)
    );
    let mut o = enabled();
    assert_eq!(o.key("mirror_uuid").unwrap(), "own", "stored without a length");
    assert_eq!(o.get("rbd.mirror_uuid_get", Nothing), Ok(s("own")));
    assert_eq!(o.get("rbd.mirror_mode_get", Nothing), Ok(MirrorMode::POOL));
    assert_eq!(o.call("rbd.mirror_uuid_set", s("new")), Err(Errno::EINVAL));
    assert_eq!(o.call("rbd.mirror_mode_set", MirrorMode(9)), Err(Errno::EINVAL));
    assert_eq!(
        o.call("rbd.mirror_remote_namespace_set", s("ns")),
        Err(Errno::EINVAL)
    );
    o.call("rbd.mirror_peer_add", peer("1", "site")).unwrap();
    assert_eq!(
        o.call("rbd.mirror_mode_set", MirrorMode::DISABLED),
        Err(Errno::EBUSY)
    );
    o.call("rbd.mirror_peer_remove", s("1")).unwrap();
    o.call("rbd.mirror_mode_set", MirrorMode::DISABLED).unwrap();
    assert!(o.omap.is_empty());
    o.call("rbd.mirror_remote_namespace_set", s("ns")).unwrap();
    assert_eq!(o.get("rbd.mirror_remote_namespace_get", Nothing), Ok(s("ns")));
}

fn peer(uuid: &str, site: &str) -> MirrorPeer {
    MirrorPeer {
        uuid: s(uuid),
        site_name: s(site),
        client_name: s("client.x"),
        ..MirrorPeer::default()
    }
}

#[test]
fn peers_are_valid_and_differ() {
    let mut o = enabled();
    let add = |o: &mut Object, peer| o.call("rbd.mirror_peer_add", peer);
    add(&mut o, peer("1", "a")).unwrap();
    assert_eq!(add(&mut o, peer("1", "b")), Err(Errno::ESTALE));
    assert_eq!(add(&mut o, peer("2", "a")), Err(Errno::EEXIST));
    assert_eq!(add(&mut o, peer("own", "b")), Err(Errno::EINVAL));
    assert_eq!(add(&mut o, peer("2", "")), Err(Errno::EINVAL));
    add(&mut o, peer("2", "b")).unwrap();
    assert_eq!(
        o.call("rbd.mirror_peer_set_cluster", (s("2"), s("a"))),
        Err(Errno::EEXIST)
    );
    assert_eq!(
        o.call("rbd.mirror_peer_set_cluster", (s("3"), s("c"))),
        Err(Errno::ENOENT)
    );
    o.call("rbd.mirror_peer_set_cluster", (s("2"), s("c"))).unwrap();
    o.call("rbd.mirror_peer_set_client", (s("2"), s("client.y")))
        .unwrap();
    o.call("rbd.mirror_peer_set_direction", (s("2"), MirrorPeerDirection::RX))
        .unwrap();
    let peers: Vec<MirrorPeer> = o.get("rbd.mirror_peer_list", Nothing).unwrap();
    let changed = &peers[1];
    assert_eq!(
        (&changed.site_name[..], &changed.client_name[..]),
        (&b"c"[..], &b"client.y"[..])
    );
    assert_eq!(changed.mirror_peer_direction, MirrorPeerDirection::RX);
    assert_eq!(add(&mut Object::empty(), peer("1", "a")), Err(Errno::EINVAL));
}

#[test]
fn a_ping_makes_or_completes_a_peer() {
    let mut o = enabled();
    let ping = |o: &mut Object, site, uuid| {
        o.call(
            "rbd.mirror_peer_ping",
            ((s(site), s(uuid)), MirrorPeerDirection::TX),
        )
    };
    ping(&mut o, "a", "ua").unwrap();
    let peers: Vec<MirrorPeer> = o.get("rbd.mirror_peer_list", Nothing).unwrap();
    assert_eq!(
        (peers.len(), peers[0].mirror_peer_direction),
        (1, MirrorPeerDirection::TX)
    );
    assert_eq!((peers[0].uuid.len(), peers[0].last_seen), (36, o.now));

    let receiving = MirrorPeer {
        mirror_peer_direction: MirrorPeerDirection::RX,
        ..peer("1", "b")
    };
    o.call("rbd.mirror_peer_add", receiving).unwrap();
    ping(&mut o, "b", "ub").unwrap();
    let peers: Vec<MirrorPeer> = o.get("rbd.mirror_peer_list", Nothing).unwrap();
    let b = peers.iter().find(|p| p.site_name == "b").unwrap();
    assert_eq!((peers.len(), &b.mirror_uuid[..]), (2, &b"ub"[..]));
    assert_eq!(b.mirror_peer_direction, MirrorPeerDirection::RX_TX);
    // The same site under another name.
    ping(&mut o, "c", "ub").unwrap();
    let peers: Vec<MirrorPeer> = o.get("rbd.mirror_peer_list", Nothing).unwrap();
    assert!(peers.iter().any(|p| p.site_name == "c" && p.mirror_uuid == "ub"));
    assert_eq!(ping(&mut o, "", "u"), Err(Errno::EINVAL));
}

fn mirrored(global: &str, state: MirrorImageState) -> MirrorImage {
    MirrorImage {
        global_image_id: s(global),
        state,
        mode: MirrorImageMode::SNAPSHOT,
    }
}

fn set_image(o: &mut Object, id: &str, global: &str, state: MirrorImageState) -> Result<Bytes, Errno> {
    o.call("rbd.mirror_image_set", (s(id), mirrored(global, state)))
}

#[test]
fn a_mirrored_image_is_found_by_either_id_and_goes_when_disabling() {
    let mut o = Object::absent();
    let (on, off) = (MirrorImageState::ENABLED, MirrorImageState::DISABLING);
    assert_eq!(set_image(&mut o, "i", "g", off), Err(Errno::ENOENT));
    set_image(&mut o, "i", "g", on).unwrap();
    assert_eq!(set_image(&mut o, "j", "g", on), Err(Errno::EEXIST));
    assert_eq!(set_image(&mut o, "i", "h", on), Err(Errno::EINVAL));
    assert_eq!(o.get("rbd.mirror_image_get", s("i")), Ok(mirrored("g", on)));
    assert_eq!(o.get("rbd.mirror_image_get_image_id", s("g")), Ok(s("i")));
    let list: BTreeMap<Bytes, Bytes> = o.get("rbd.mirror_image_list", (s(""), 5_u64)).unwrap();
    assert_eq!(list, BTreeMap::from([(s("i"), s("g"))]));
    assert_eq!(o.call("rbd.mirror_image_remove", s("i")), Err(Errno::EBUSY));
    set_image(&mut o, "i", "g", off).unwrap();
    o.call("rbd.mirror_image_remove", s("i")).unwrap();
    assert!(o.omap.is_empty());
}

fn status(uuid: &str, state: MirrorImageStatusState) -> MirrorImageSiteStatus {
    MirrorImageSiteStatus {
        mirror_uuid: s(uuid),
        state,
        description: s("text"),
        ..MirrorImageSiteStatus::default()
    }
}

type Summary = BTreeMap<MirrorImageStatusState, i32>;

#[test]
fn a_status_is_up_while_its_daemon_watches() {
    let mut o = Object::absent();
    set_image(&mut o, "i", "g", MirrorImageState::ENABLED).unwrap();
    let replaying = MirrorImageStatusState::REPLAYING;
    o.call(
        "rbd.mirror_image_status_set",
        (s("unknown"), status("", replaying)),
    )
    .unwrap();
    assert_eq!(
        o.call("rbd.mirror_image_status_get", s("unknown")),
        Err(Errno::ENOENT)
    );
    o.call("rbd.mirror_image_status_set", (s("g"), status("", replaying)))
        .unwrap();
    o.call("rbd.mirror_image_status_set", (s("g"), status("site", replaying)))
        .unwrap();
    assert!(o.key("remote_status_global_g_site").is_some());

    let get = |o: &mut Object| -> MirrorImageStatus { o.get("rbd.mirror_image_status_get", s("g")).unwrap() };
    let sites = get(&mut o).sites;
    assert_eq!(
        (sites.len(), sites[0].up, sites[0].last_update),
        (2, false, o.now)
    );
    assert_eq!(
        o.call("rbd.mirror_image_instance_get", s("g")),
        Err(Errno::ESTALE)
    );
    let summary: Summary = o.get("rbd.mirror_image_status_get_summary", Nothing).unwrap();
    assert_eq!(summary, Summary::from([(MirrorImageStatusState::UNKNOWN, 1)]));

    // The daemon may watch over the other protocol.
    let (name, mut addr) = o.client;
    addr.kind = AddrType::LEGACY;
    o.watchers = vec![(name, addr)];
    assert!(get(&mut o).sites.iter().all(|s| s.up));
    let summary: Summary = o.get("rbd.mirror_image_status_get_summary", Nothing).unwrap();
    assert_eq!(summary, Summary::from([(replaying, 1)]));
    let instance: EntityInst = o.get("rbd.mirror_image_instance_get", s("g")).unwrap();
    assert_eq!((instance.name, instance.addr.kind), (name, AddrType::ANY));
    let all: BTreeMap<Bytes, EntityInst> = o.get("rbd.mirror_image_instance_list", (s(""), 9_u64)).unwrap();
    assert_eq!(all, BTreeMap::from([(s("i"), instance)]));
    type List = (BTreeMap<Bytes, MirrorImage>, BTreeMap<Bytes, MirrorImageStatus>);
    let (images, statuses): List = o.get("rbd.mirror_image_status_list", (s(""), 9_u64)).unwrap();
    assert_eq!((images.len(), statuses.len()), (1, 1));

    o.call("rbd.mirror_image_status_remove_down", Nothing).unwrap();
    assert_eq!(get(&mut o).sites.len(), 2);
    o.watchers.clear();
    o.call("rbd.mirror_image_status_remove_down", Nothing).unwrap();
    assert_eq!(o.call("rbd.mirror_image_status_get", s("g")), Err(Errno::ENOENT));
}

#[test]
fn the_summary_takes_the_worst_site_and_counts_silent_ones() {
    let mut o = Object::absent();
    set_image(&mut o, "i", "g", MirrorImageState::ENABLED).unwrap();
    o.watchers = vec![o.client];
    let (stopped, error) = (MirrorImageStatusState::STOPPED, MirrorImageStatusState::ERROR);
    o.call("rbd.mirror_image_status_set", (s("g"), status("a", stopped)))
        .unwrap();
    let sending = |uuid| MirrorPeer {
        mirror_peer_direction: MirrorPeerDirection::TX,
        mirror_uuid: s(uuid),
        ..peer(uuid, uuid)
    };
    let summary = |o: &mut Object, peers: Vec<MirrorPeer>| -> Vec<MirrorImageStatusState> {
        let states: Summary = o.get("rbd.mirror_image_status_get_summary", peers).unwrap();
        states.into_keys().collect()
    };
    assert_eq!(summary(&mut o, vec![sending("a")]), [stopped]);
    let silent = vec![sending("a"), sending("b")];
    assert_eq!(summary(&mut o, silent.clone()), [MirrorImageStatusState::UNKNOWN]);
    o.call("rbd.mirror_image_status_set", (s("g"), status("b", error)))
        .unwrap();
    assert_eq!(summary(&mut o, silent), [error]);
}

#[test]
fn daemons_and_their_images_are_listed() {
    let mut o = Object::absent();
    for id in ["1", "2", "3", "4"] {
        o.call("rbd.mirror_instances_add", s(id)).unwrap();
    }
    o.call("rbd.mirror_instances_remove", s("2")).unwrap();
    assert_eq!(
        o.get("rbd.mirror_instances_list", Nothing),
        Ok(vec![s("1"), s("3"), s("4")])
    );
    let map = MirrorImageMap {
        instance_id: s("1"),
        mapped_time: Utime::default(),
        data: s("d"),
    };
    o.call("rbd.mirror_image_map_update", (s("g"), map.clone()))
        .unwrap();
    let all: BTreeMap<Bytes, MirrorImageMap> = o.get("rbd.mirror_image_map_list", (s(""), 9_u64)).unwrap();
    assert_eq!(all, BTreeMap::from([(s("g"), map)]));
    o.call("rbd.mirror_image_map_remove", s("g")).unwrap();
    assert!(o.key("image_map_g").is_none());
}
