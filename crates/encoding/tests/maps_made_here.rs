//! Maps that are made here, not decoded: what follows from what, and that Ceph's own tools read them.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail")]

use std::{io::Write, process::Command};

use bytes::{Bytes, BytesMut};
use rbdgate_encoding::{
    Decode, Encode, Feature, Features,
    maps::{
        ApplyError, BucketWeights, CrushMap, MonMap, OsdAddrs, OsdMap, OsdMapIncremental, PgPool, Release,
        SnapIntervals, osd_state, osdmap_flags, pool_flags,
    },
    types::{EntityAddr, EntityAddrVec, Pg, Utime, Uuid},
};

/// Without OSDMAP_ENC and whatever came after.
const ARGONAUT: Features = Features(0x0007_ffff);
const HAMMER: Features = Features(0x0083_ffff_ffff_ffff);
const FSID: Uuid = Uuid(*b"0123456789abcdef");

fn addrs(port: u16) -> EntityAddrVec {
    let socket = |port| ([127, 0, 0, 1], port).into();
    EntityAddrVec(vec![
        EntityAddr::v2(socket(port), 77),
        EntityAddr::v1(socket(port + 1), 77),
    ])
}

fn time(sec: u32) -> Utime {
    Utime { sec, nsec: 5 }
}

fn up(map: &mut OsdMap, osd: usize) {
    let all = addrs(6800);
    map.osd_state[osd] = osd_state::EXISTS | osd_state::UP;
    map.osd_weight[osd] = OsdMap::IN;
    map.osd_addrs[osd] = OsdAddrs {
        client: all.clone(),
        cluster: all.clone(),
        hb_back: all.clone(),
        hb_front: all,
    };
    map.osd_info[osd].up_from = map.epoch;
    map.osd_uuid[osd] = Uuid([osd as u8 + 1; 16]);
}

/// A cluster as a gateway makes it: one OSD, one pool.
fn cluster() -> OsdMap {
    let mut map = OsdMap {
        fsid: FSID,
        epoch: 1,
        created: time(1),
        modified: time(2),
        flags: osdmap_flags::SORTBITWISE
            | osdmap_flags::RECOVERY_DELETES
            | osdmap_flags::PURGED_SNAPDIRS
            | osdmap_flags::PGLOG_HARDLIMIT,
        crush: CrushMap::simple(&[0], "gateway"),
        require_osd_release: Release::PACIFIC,
        require_min_compat_client: Release::HAMMER,
        nearfull_ratio: 0.85,
        backfillfull_ratio: 0.9,
        full_ratio: 0.95,
        ..OsdMap::default()
    };
    map.set_max_osd(1);
    up(&mut map, 0);
    let mut pool = PgPool::replicated(32, 1, 0);
    pool.last_change = 1;
    map.pools.insert(1, pool);
    map.pool_names.insert(1, "rbd".to_owned());
    map.pool_max = 1;
    map
}

fn next(old: &OsdMap) -> OsdMap {
    let mut new = old.clone();
    new.epoch += 1;
    new.modified = time(new.epoch + 10);
    new.new_removed_snaps.clear();
    new.new_purged_snaps.clear();
    new
}

/// The difference is told in changes, survives the wire and leads to the new map.
fn assert_expressible(old: &OsdMap, new: &OsdMap) -> OsdMapIncremental {
    let inc = OsdMapIncremental::diff(old, new);
    assert!(inc.full_map.is_none(), "fell back to a whole map");
    let mut bytes = BytesMut::new();
    inc.encode_for(&mut bytes, Features::OURS, new);
    let read = OsdMapIncremental::from_bytes(&bytes.freeze()).unwrap();
    assert_eq!(read.full_crc, new.crc(Features::OURS));
    let mut map = old.clone();
    map.apply(&read).unwrap();
    assert_eq!(map, *new);
    inc
}

#[test]
fn an_epoch_without_changes_says_nothing() {
    let old = cluster();
    let inc = assert_expressible(&old, &next(&old));
    assert_eq!(inc, OsdMapIncremental::new(FSID, 2, time(12)));
}

#[test]
fn a_pool_is_made_changed_and_removed() {
    let old = cluster();
    let mut new = next(&old);
    let mut pool = PgPool::replicated(8, 1, 0);
    pool.last_change = 2;
    new.pools.insert(2, pool);
    new.pool_names.insert(2, "two".to_owned());
    new.pool_max = 2;
    let inc = assert_expressible(&old, &new);
    assert_eq!(inc.new_pools.len(), 1);

    let old = new;
    let mut new = next(&old);
    let pool = new.pools.get_mut(&2).unwrap();
    pool.flags |= pool_flags::FULL;
    pool.last_change = 3;
    new.pools.remove(&1);
    new.pool_names.remove(&1);
    let inc = assert_expressible(&old, &new);
    assert_eq!(inc.old_pools.len(), 1);
}

#[test]
fn removed_snapshots_are_queued_until_they_are_purged() {
    let old = cluster();
    let mut new = next(&old);
    let snaps: SnapIntervals = [4, 5, 9].into_iter().collect();
    new.new_removed_snaps.insert(1, snaps.clone());
    new.removed_snaps_queue.insert(1, snaps.clone());
    assert_expressible(&old, &new);
    let old = new;
    let mut new = next(&old);
    new.new_purged_snaps.insert(1, snaps);
    new.removed_snaps_queue.clear();
    assert_expressible(&old, &new);
}

#[test]
fn clients_are_shut_out_and_let_in() {
    let old = cluster();
    let mut new = next(&old);
    let client = EntityAddr::v1(([10, 0, 0, 1], 0).into(), 4242);
    new.blocklist.insert(client, time(99));
    new.range_blocklist
        .insert(EntityAddr::v1(([10, 1, 0, 0], 0).into(), 16), time(98));
    assert_expressible(&old, &new);
    let old = new;
    let mut new = next(&old);
    new.blocklist.clear();
    new.range_blocklist.clear();
    let inc = assert_expressible(&old, &new);
    assert_eq!(inc.old_blocklist, [client]);
}

#[test]
fn osds_join_go_down_move_and_leave() {
    let old = cluster();
    let mut new = next(&old);
    new.set_max_osd(2);
    up(&mut new, 1);
    new.crush = CrushMap::simple(&[0, 1], "gateway");
    new.crush_version += 1;
    new.last_up_change = time(50);
    assert_expressible(&old, &new);

    let old = new;
    let mut new = next(&old);
    new.osd_state[1] &= !osd_state::UP;
    new.osd_info[1].down_at = new.epoch;
    new.osd_xinfo[1].down_stamp = new.modified;
    new.osd_weight[1] = 0;
    new.osd_state[1] |= osd_state::AUTOOUT;
    assert_expressible(&old, &new);

    let old = new;
    let mut new = next(&old);
    up(&mut new, 1);
    new.osd_addrs[1].client = addrs(7000);
    new.osd_info[1].up_thru = 3;
    new.osd_primary_affinity = vec![OsdMap::IN, 0x8000];
    assert_expressible(&old, &new);

    let old = new;
    let mut new = next(&old);
    new.set_max_osd(1);
    new.crush = CrushMap::simple(&[0], "gateway");
    new.crush_version += 1;
    assert_expressible(&old, &new);
}

#[test]
fn flags_releases_ratios_and_placement_change() {
    let old = cluster();
    let mut new = next(&old);
    new.flags |= osdmap_flags::PAUSEWR;
    new.require_min_compat_client = Release::MIMIC;
    new.full_ratio = 0.97;
    new.pg_temp.insert(Pg { pool: 1, seed: 3 }, vec![0]);
    new.primary_temp.insert(Pg { pool: 1, seed: 3 }, 0);
    new.pg_upmap_items.insert(Pg { pool: 1, seed: 4 }, vec![(0, 0)]);
    new.erasure_code_profiles
        .insert("default".to_owned(), [("k".to_owned(), "2".to_owned())].into());
    assert_expressible(&old, &new);
    let old = new;
    let mut new = next(&old);
    new.flags &= !osdmap_flags::PAUSEWR;
    new.pg_temp.clear();
    new.primary_temp.clear();
    new.pg_upmap_items.clear();
    new.erasure_code_profiles.clear();
    assert_expressible(&old, &new);
}

#[test]
fn what_changes_cannot_express_is_sent_as_a_whole_map() {
    let old = cluster();
    let mut new = next(&old);
    new.created = time(7);
    let inc = OsdMapIncremental::diff(&old, &new);
    let mut map = old.clone();
    map.apply(&OsdMapIncremental::from_bytes(&inc.to_bytes(Features::OURS)).unwrap())
        .unwrap();
    assert_eq!(map, new);
}

#[test]
fn a_change_of_another_cluster_or_epoch_or_of_an_unknown_osd_is_refused() {
    let map = cluster();
    let refused = |inc: &OsdMapIncremental| map.clone().apply(inc).unwrap_err();
    let inc = OsdMapIncremental::new(FSID, 3, time(1));
    assert_eq!(refused(&inc), ApplyError::WrongEpoch { has: 1, makes: 3 });
    let inc = OsdMapIncremental::new(Uuid::default(), 2, time(1));
    assert!(matches!(refused(&inc), ApplyError::OtherCluster { .. }));
    let mut inc = OsdMapIncremental::new(FSID, 2, time(1));
    inc.new_weight.insert(5, 0);
    assert_eq!(refused(&inc), ApplyError::NoSuchOsd(5));
    inc.new_weight = [(-1, 0)].into();
    assert_eq!(refused(&inc), ApplyError::NoSuchOsd(-1));
}

/// A map in which everything is set that some peer can be told.
fn full_map() -> OsdMap {
    let mut map = cluster();
    let pool = map.pools.get_mut(&1).unwrap();
    pool.removed_snaps = [3, 4].into_iter().collect();
    map.pg_temp.insert(Pg { pool: 1, seed: 3 }, vec![0]);
    map.primary_temp.insert(Pg { pool: 1, seed: 3 }, 0);
    map.osd_primary_affinity = vec![0x8000];
    map.erasure_code_profiles
        .insert("default".to_owned(), [("k".to_owned(), "2".to_owned())].into());
    map.pg_upmap_items.insert(Pg { pool: 1, seed: 4 }, vec![(0, 0)]);
    map.blocklist
        .insert(EntityAddr::v1(([10, 0, 0, 1], 0).into(), 4242), time(99));
    map.crush_version = 7;
    map
}

/// What is left of a map in the classic form; `short` is without PGID64.
fn as_classic(map: &OsdMap, short: bool) -> OsdMap {
    let legacy = |addrs: &EntityAddrVec| EntityAddrVec(vec![addrs.as_legacy()]);
    let mut left = OsdMap {
        fsid: map.fsid,
        epoch: map.epoch,
        created: map.created,
        modified: map.modified,
        pool_names: map.pool_names.clone(),
        pool_max: map.pool_max,
        flags: map.flags,
        crush: CrushMap::from_bytes(&map.crush.to_bytes(Features::NONE)).unwrap(),
        pg_temp: map.pg_temp.clone(),
        ..OsdMap::default()
    };
    let pool_word = if short { Features::NONE } else { ARGONAUT };
    let pools = map.pools.iter();
    left.pools = pools
        .map(|(id, p)| (*id, PgPool::from_bytes(&p.to_bytes(pool_word)).unwrap()))
        .collect();
    left.set_max_osd(map.max_osd);
    left.osd_state.clone_from(&map.osd_state);
    left.osd_weight.clone_from(&map.osd_weight);
    for (left, addrs) in left.osd_addrs.iter_mut().zip(&map.osd_addrs) {
        left.client = legacy(&addrs.client);
        if !short {
            left.cluster = legacy(&addrs.cluster);
            left.hb_back = legacy(&addrs.hb_back);
            left.hb_front = legacy(&addrs.hb_front);
        }
    }
    if !short {
        left.osd_info.clone_from(&map.osd_info);
        left.osd_uuid.clone_from(&map.osd_uuid);
        left.osd_xinfo.clone_from(&map.osd_xinfo);
        left.blocklist.clone_from(&map.blocklist);
    }
    left
}

#[test]
fn the_classic_form_says_what_such_a_peer_knows_and_nothing_else() {
    let map = full_map();
    for (features, short) in [
        (Features::NONE, true),
        (ARGONAUT.without(Feature::PGID64.word()), true),
        (ARGONAUT, false),
        (Features(0x4a04_2a42), false),
        (Features(0x0007_ffff_ffff), false),
    ] {
        let bytes = map.to_bytes(features);
        assert_eq!(
            OsdMap::from_bytes(&bytes).unwrap(),
            as_classic(&map, short),
            "{features}"
        );
        for n in 0..bytes.len() {
            assert!(
                OsdMap::from_bytes(&bytes.slice(..n)).is_err(),
                "{features} cut to {n}"
            );
        }
        // What was left is written to the same bytes.
        assert_eq!(as_classic(&map, short).to_bytes(features), bytes, "{features}");
    }
}

#[test]
fn changes_in_the_classic_form_lead_to_the_map_in_the_classic_form() {
    for (features, short) in [(Features::NONE, true), (ARGONAUT, false)] {
        let old = cluster();
        let mut new = next(&old);
        let mut pool = PgPool::replicated(8, 1, 0);
        pool.last_change = 2;
        new.pools.insert(2, pool);
        new.pool_names.insert(2, "two".to_owned());
        new.pool_max = 2;
        new.flags |= osdmap_flags::PAUSEWR;
        new.pg_temp.insert(Pg { pool: 1, seed: 3 }, vec![0]);
        new.crush = CrushMap::simple(&[0], "other");
        new.crush_version += 1;
        new.osd_state[0] &= !osd_state::UP;
        new.osd_xinfo[0].down_stamp = new.modified;
        let bytes = OsdMapIncremental::diff(&old, &new).to_bytes(features);
        for n in 0..bytes.len() {
            assert!(
                OsdMapIncremental::from_bytes(&bytes.slice(..n)).is_err(),
                "cut to {n}"
            );
        }
        let inc = OsdMapIncremental::from_bytes(&bytes).unwrap();
        let mut map = as_classic(&old, short);
        map.apply(&inc).unwrap();
        // The form has no place for it: counted by whoever applies a change.
        map.crush_version = 1;
        map.osd_info[0] = as_classic(&new, short).osd_info[0];
        assert_eq!(map, as_classic(&new, short), "{features}");

        let mut later = next(&new);
        later.pools.remove(&1);
        later.pool_names.remove(&1);
        later.pg_temp.clear();
        let inc = OsdMapIncremental::diff(&new, &later).to_bytes(features);
        map.apply(&OsdMapIncremental::from_bytes(&inc).unwrap()).unwrap();
        assert_eq!(map, as_classic(&later, short), "{features}");
    }
}

#[test]
fn clients_before_hammer_are_given_lists_in_place_of_straw2_buckets() {
    let mut map = cluster();
    map.crush = CrushMap::simple(&[0, 1, 2], "host");
    assert_eq!(map.translated_for(HAMMER), None);
    let translated = map
        .translated_for(Features(HAMMER.0 & !Feature::CRUSH_V4.word().0))
        .unwrap();
    let host = translated.crush.bucket(-2).unwrap();
    let one = OsdMap::IN;
    assert_eq!(
        host.weights,
        BucketWeights::List(vec![(one, one), (one, 2 * one), (one, 3 * one)])
    );
    assert_eq!(host.items, [0, 1, 2]);
    let mut inc = OsdMapIncremental::new(FSID, 2, time(1));
    assert_eq!(inc.translated_for(ARGONAUT), None);
    inc.crush = Some(map.crush);
    let inc = inc.translated_for(ARGONAUT).unwrap();
    assert_eq!(inc.crush, Some(translated.crush));
}

/// What `tool` prints of `bytes` in a file; none, and a note, if it is not installed.
fn printed_by(tool: &str, args: &[&str], name: &str, bytes: &Bytes) -> Option<String> {
    let path = std::env::temp_dir().join(format!("rbdgate-{}-{name}", std::process::id()));
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    let out = Command::new(tool)
        .arg(args[0])
        .arg(&path)
        .args(&args[1..])
        .output();
    std::fs::remove_file(&path).unwrap();
    let Ok(out) = out else {
        eprintln!("skipped: {tool} is not installed");
        return None;
    };
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert!(out.status.success(), "{tool}: {}", text(&out.stderr));
    Some(text(&out.stdout) + &text(&out.stderr))
}

#[test]
fn cephs_own_tools_read_our_maps_for_every_generation() {
    let mut map = cluster();
    map.blocklist
        .insert(EntityAddr::v1(([10, 0, 0, 1], 0).into(), 4242), time(99));
    let mut mons = MonMap {
        fsid: FSID,
        epoch: 3,
        min_mon_release: Release::PACIFIC,
        ..MonMap::default()
    };
    mons.add("a", addrs(3300));
    let words = [
        ARGONAUT,
        HAMMER,
        Features(0x2f01_8fb8_6aa4_2ada),
        Features::OURS,
        Features::ALL,
    ];
    for (i, features) in words.into_iter().enumerate() {
        let map = map.translated_for(features).unwrap_or_else(|| map.clone());
        let name = |kind: &str| format!("{kind}-{i}");
        let bytes = map.to_bytes(features);
        if let Some(text) = printed_by("osdmaptool", &["--print"], &name("osdmap"), &bytes) {
            for part in [
                "pool 1 'rbd' replicated size 1",
                "pg_num 32",
                "osd.0 up   in",
                "10.0.0.1:0/4242",
            ] {
                assert!(text.contains(part), "{features}: no {part:?} in {text}");
            }
        }
        let bytes = mons.to_bytes(features);
        if let Some(text) = printed_by("monmaptool", &["--print"], &name("monmap"), &bytes) {
            assert!(
                text.contains("0: ") && text.contains("127.0.0.1:3301/77"),
                "{features}: {text}"
            );
        }
        let bytes = map.crush.to_bytes(features);
        if let Some(text) = printed_by("crushtool", &["-d"], &name("crush"), &bytes) {
            for part in [
                if features == ARGONAUT {
                    "alg list"
                } else {
                    "alg straw2"
                },
                "step choose firstn 0 type osd",
                "tunable chooseleaf_vary_r 1",
            ] {
                assert!(text.contains(part), "{features}: no {part:?} in {text}");
            }
        }
        if let Some(text) = printed_by(
            "osdmaptool",
            &["--test-map-pgs"],
            &name("pgs"),
            &map.to_bytes(features),
        ) {
            assert!(text.contains("size 1\t32"), "{features}: {text}");
        }
    }
}
