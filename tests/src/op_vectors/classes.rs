//! Calls of class methods made by chance, the same for each seed: what a method takes is written down in letters, and filled with
//! values from a small choice, so that calls meet what others left.

use bytes::{BufMut, BytesMut};
use encoding::cls::bit_vector::BitVector;
use encoding::types::OsdOp;
use encoding::{Encode, Features, Put};

use super::Script;
use super::build::{Flagged, create, delete, stat, write_full};
use crate::data::Random;

/// Methods that work on objects of a kind: class, method, and what it takes.
///
/// `q` a number of 64 bits, `i` one with a sign, `d` one of 32 bits, `h` one that 16.2 knows as a mode of mirroring; `b` a byte, `c` one that 16.2 knows
/// as a state of mirroring, `z` a flag, `o` an order; `f` features, `s` a string, `y` a number as a string, `B` bytes, `r` bytes without their length, `t` a
/// time, `T` none, `m` a map of strings, `e` of extents, `V` an object map, `N` the namespace of a snapshot; `<21...>` a struct of version 2 that who knows
/// version 1 can read, `[...]` a list, `?` what may lack, with a byte that says so, `!` what may lack with all behind it.
type Methods = &'static [(&'static str, &'static str, &'static str)];

const HEADER: Methods = &[
    ("rbd", "create", "qofs!i"),
    ("rbd", "create", "qofs!i"),
    ("rbd", "get_features", "q!z"),
    ("rbd", "set_features", "ff"),
    ("rbd", "get_size", "q"),
    ("rbd", "set_size", "q"),
    ("rbd", "get_snapcontext", ""),
    ("rbd", "get_object_prefix", ""),
    ("rbd", "get_data_pool", ""),
    ("rbd", "get_snapshot_name", "q"),
    ("rbd", "get_snapshot_timestamp", "q"),
    ("rbd", "snapshot_get", "q"),
    ("rbd", "snapshot_add", "sq!N"),
    ("rbd", "snapshot_add", "sq!N"),
    ("rbd", "snapshot_remove", "q"),
    ("rbd", "snapshot_rename", "qs"),
    ("rbd", "snapshot_trash_add", "q"),
    ("rbd", "get_all_features", ""),
    ("rbd", "get_parent", "q"),
    ("rbd", "set_parent", "isqq"),
    ("rbd", "remove_parent", ""),
    ("rbd", "parent_get", ""),
    ("rbd", "parent_overlap_get", "q"),
    ("rbd", "parent_attach", "<11issq>qz"),
    ("rbd", "parent_detach", ""),
    ("rbd", "set_protection_status", "qb"),
    ("rbd", "get_protection_status", "q"),
    ("rbd", "get_stripe_unit_count", ""),
    ("rbd", "set_stripe_unit_count", "qq"),
    ("rbd", "get_create_timestamp", ""),
    ("rbd", "get_access_timestamp", ""),
    ("rbd", "get_modify_timestamp", ""),
    ("rbd", "set_access_timestamp", ""),
    ("rbd", "set_modify_timestamp", ""),
    ("rbd", "get_flags", "q"),
    ("rbd", "set_flags", "ff!q"),
    ("rbd", "op_features_get", ""),
    ("rbd", "op_features_set", "ff"),
    ("rbd", "metadata_list", "sq"),
    ("rbd", "metadata_set", "m"),
    ("rbd", "metadata_remove", "s"),
    ("rbd", "metadata_get", "s"),
    ("rbd", "snapshot_get_limit", ""),
    ("rbd", "snapshot_set_limit", "q"),
    ("rbd", "child_attach", "q<11iss>"),
    ("rbd", "child_detach", "q<11iss>"),
    ("rbd", "children_list", "q"),
    ("rbd", "migration_set", "<11bisssezqzzbbs>"),
    ("rbd", "migration_set_state", "bs"),
    ("rbd", "migration_get", ""),
    ("rbd", "migration_remove", ""),
    ("rbd", "image_group_add", "<11is>"),
    ("rbd", "image_group_remove", "<11is>"),
    ("rbd", "image_group_get", ""),
    ("rbd", "mirror_image_snapshot_unlink_peer", "qs"),
    ("rbd", "mirror_image_snapshot_set_copy_progress", "qzq"),
];

/// But for `trash_list`, which can end the OSD of 16.2.
const DIRECTORY: Methods = &[
    ("rbd", "get_id", ""),
    ("rbd", "set_id", "s"),
    ("rbd", "dir_get_id", "s"),
    ("rbd", "dir_get_name", "s"),
    ("rbd", "dir_list", "sq"),
    ("rbd", "dir_add_image", "ss"),
    ("rbd", "dir_add_image", "ss"),
    ("rbd", "dir_remove_image", "ss"),
    ("rbd", "dir_rename_image", "sss"),
    ("rbd", "dir_state_assert", "b"),
    ("rbd", "dir_state_set", "b"),
    ("rbd", "add_child", "isqs"),
    ("rbd", "remove_child", "isqs"),
    ("rbd", "get_children", "isq"),
    ("rbd", "group_dir_list", "sq"),
    ("rbd", "group_dir_add", "ss"),
    ("rbd", "group_dir_remove", "ss"),
    ("rbd", "group_dir_rename", "sss"),
    ("rbd", "trash_add", "s<21bsttb>"),
    ("rbd", "trash_remove", "s"),
    ("rbd", "trash_get", "s"),
    ("rbd", "trash_state_set", "sbb"),
    ("rbd", "namespace_add", "s"),
    ("rbd", "namespace_remove", "s"),
    ("rbd", "namespace_list", "sq"),
];

const OBJECT_MAP: Methods = &[
    ("rbd", "object_map_load", ""),
    ("rbd", "object_map_save", "V"),
    ("rbd", "object_map_resize", "qb"),
    ("rbd", "object_map_update", "qqb?b"),
    ("rbd", "object_map_update", "qqb?b"),
    ("rbd", "object_map_snap_add", ""),
    ("rbd", "object_map_snap_remove", "V"),
];

const OLD_HEADER: Methods = &[
    ("rbd", "snap_list", ""),
    ("rbd", "snap_add", "sq"),
    ("rbd", "snap_add", "sq"),
    ("rbd", "snap_remove", "s"),
    ("rbd", "snap_rename", "qs"),
];

const MIRROR: Methods = &[
    ("rbd", "mirror_uuid_get", ""),
    ("rbd", "mirror_uuid_set", "s"),
    ("rbd", "mirror_mode_get", ""),
    ("rbd", "mirror_mode_set", "h"),
    ("rbd", "mirror_mode_set", "h"),
    ("rbd", "mirror_peer_list", ""),
    ("rbd", "mirror_peer_add", "<21sssibst>"),
    ("rbd", "mirror_peer_add", "<21sssibst>"),
    ("rbd", "mirror_peer_remove", "s"),
    ("rbd", "mirror_peer_set_client", "ss"),
    ("rbd", "mirror_peer_set_cluster", "ss"),
    ("rbd", "mirror_peer_set_direction", "sb"),
    ("rbd", "mirror_image_list", "sq"),
    ("rbd", "mirror_image_get_image_id", "s"),
    ("rbd", "mirror_image_get", "s"),
    ("rbd", "mirror_image_set", "s<21scb>"),
    ("rbd", "mirror_image_set", "s<21scb>"),
    ("rbd", "mirror_image_remove", "s"),
    ("rbd", "mirror_image_status_set", "s<22sbstz>"),
    ("rbd", "mirror_image_status_set", "s<11bstz>"),
    ("rbd", "mirror_image_status_remove", "s"),
    ("rbd", "mirror_image_status_get", "s"),
    ("rbd", "mirror_image_status_list", "sq"),
    ("rbd", "mirror_image_status_get_summary", "![<21sssibst>]"),
    ("rbd", "mirror_image_status_remove_down", ""),
    ("rbd", "mirror_image_instance_get", "s"),
    ("rbd", "mirror_image_instance_list", "sq"),
    ("rbd", "mirror_instances_list", ""),
    ("rbd", "mirror_instances_add", "s"),
    ("rbd", "mirror_instances_remove", "s"),
    ("rbd", "mirror_image_map_list", "sq"),
    ("rbd", "mirror_image_map_update", "s<11stB>"),
    ("rbd", "mirror_image_map_remove", "s"),
];

const GROUP: Methods = &[
    ("rbd", "group_image_remove", "<11si>"),
    ("rbd", "group_image_list", "<11si>q"),
    ("rbd", "group_image_set", "<11<11si>b>"),
    ("rbd", "group_image_set", "<11<11si>b>"),
    ("rbd", "group_snap_set", "<11ssb[<11isq>]>"),
    ("rbd", "group_snap_set", "<11ssb[<11isq>]>"),
    ("rbd", "group_snap_remove", "s"),
    ("rbd", "group_snap_get_by_id", "s"),
    ("rbd", "group_snap_list", "<11ssb[<11isq>]>q"),
];

/// But for `sparsify`, which can keep the OSD of 16.2 busy for ever.
const DATA: Methods = &[
    ("rbd", "copyup", "r"),
    ("rbd", "sparse_copyup", "eB"),
    ("rbd", "assert_snapc_seq", "qb"),
];

const JOURNAL: Methods = &[
    ("journal", "create", "obi"),
    ("journal", "get_order", ""),
    ("journal", "get_splay_width", ""),
    ("journal", "get_pool_id", ""),
    ("journal", "get_minimum_set", ""),
    ("journal", "set_minimum_set", "q"),
    ("journal", "get_active_set", ""),
    ("journal", "set_active_set", "q"),
    ("journal", "get_client", "s"),
    ("journal", "client_register", "sB"),
    ("journal", "client_update_data", "sB"),
    ("journal", "client_update_state", "sb"),
    ("journal", "client_unregister", "s"),
    ("journal", "client_commit", "s<11[<11qqq>]>"),
    ("journal", "client_list", "sq"),
    ("journal", "get_next_tag_tid", ""),
    ("journal", "get_tag", "q"),
    ("journal", "tag_create", "qqB"),
    ("journal", "tag_create", "qqB"),
    ("journal", "tag_list", "qqs?q"),
    ("journal", "guard_append", "q"),
    ("journal", "append", "qB"),
];

/// But for `version.read`: the tag of a version that was never set is by chance.
const OTHERS: Methods = &[
    ("lock", "lock", "<11sbsssTb>"),
    ("lock", "lock", "<11sbsssTb>"),
    ("lock", "unlock", "<11ss>"),
    ("lock", "break_lock", "<11sbis>"),
    ("lock", "get_info", "<11s>"),
    ("lock", "list_locks", ""),
    ("lock", "assert_locked", "<11sbss>"),
    ("lock", "set_cookie", "<11sbsss>"),
    ("version", "set", "<11<11qs>>"),
    ("version", "inc", "<11<11qs>[<11<11qs>d>]>"),
    ("version", "inc_conds", "<11<11qs>[<11<11qs>d>]>"),
    ("version", "check_conds", "<11<11qs>[<11<11qs>d>]>"),
    ("numops", "add", "sy"),
    ("numops", "mul", "sy"),
    ("hello", "say_hello", "r"),
    ("hello", "turn_it_to_11", ""),
];

/// All kinds, each with a name.
const KINDS: &[(&str, Methods)] = &[
    ("header", HEADER),
    ("directory", DIRECTORY),
    ("object-map", OBJECT_MAP),
    ("old-header", OLD_HEADER),
    ("mirror", MIRROR),
    ("group", GROUP),
    ("data", DATA),
    ("journal", JOURNAL),
    ("others", OTHERS),
];

/// Methods whose answers have times, addresses or what chance gives: only how long they are is the same everywhere.
const BY_LENGTH: &[&str] = &[
    "get_create_timestamp",
    "get_access_timestamp",
    "get_modify_timestamp",
    "get_snapshot_timestamp",
    "snapshot_get",
    "get_info",
    "mirror_image_status_get",
    "mirror_image_status_list",
    "mirror_image_instance_get",
    "mirror_image_instance_list",
];

/// Whether a method's answers can be compared by their lengths alone.
#[must_use]
pub fn is_by_length(method: &str) -> bool {
    BY_LENGTH.contains(&method)
}

/// Adds `count` calls on objects of each kind.
pub fn add(script: &mut Script, seed: u64, count: usize) {
    let mut random = Random::new(seed);
    for (kind, methods) in KINDS {
        script.group(kind);
        for _ in 0..count {
            let oid = format!("{kind}-{seed}-{}", random.below(2));
            let (class, method, takes) = random.pick(methods);
            match random.below(40) {
                0 => script.on(&oid, [delete().failok()]),
                1 => script.on(&oid, [create()]),
                2 => script.on(&oid, [stat()]),
                3 if *kind == "old-header" => script.on(&oid, [write_full(&old_header())]),
                3 if *kind == "data" => script.on(&oid, [write_full(&[0; 9000])]),
                _ => {
                    let mut input = input(&mut random, takes);
                    if random.below(12) == 0 {
                        input.truncate(random.below(input.len() as u64 + 1) as usize);
                    }
                    script.on(&oid, [OsdOp::call(class, method, &input)])
                }
            };
        }
    }
}

/// `rbd_obj_header_ondisk` of an image without snapshots (`include/rbd_types.h`).
fn old_header() -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_slice(b"<<< Rados Block Device Image >>>\n");
    out.put_bytes(0, 40 - out.len());
    out.put_slice(b"rb.0.1.2");
    out.put_bytes(0, 64 - out.len());
    out.put_slice(b"RBD\x00001.005\x00");
    out.put_bytes(0, 76 - out.len());
    out.put_slice(&[22, 0, 0, 0]);
    out.put_u64_le(1 << 30);
    out.put_bytes(0, 24);
    out.to_vec()
}

/// What a method takes.
fn input(random: &mut Random, takes: &str) -> BytesMut {
    let mut out = BytesMut::new();
    let mut rest = takes.as_bytes();
    while let Some((letter, behind)) = rest.split_first() {
        rest = match letter {
            b'!' if random.below(2) == 0 => break,
            b'!' => behind,
            _ => one(random, rest, &mut out),
        };
    }
    out
}

/// Adds what the letters up to `end` say, and returns those behind it.
fn up_to<'a>(end: u8, random: &mut Random, takes: &'a [u8], out: &mut BytesMut) -> &'a [u8] {
    let mut rest = takes;
    while rest[0] != end {
        rest = one(random, rest, out);
    }
    &rest[1..]
}

/// Adds what the first letter says, and returns the others.
fn one<'a>(random: &mut Random, takes: &'a [u8], out: &mut BytesMut) -> &'a [u8] {
    let (letter, mut rest) = (takes[0], &takes[1..]);
    match letter {
        b'q' => out.put_u64_le(number(random)),
        b'i' => out.put_i64_le(random.pick(&[-1, 0, 1, 2])),
        b'd' => out.put_u32_le(random.below(5) as u32),
        b'h' => out.put_u32_le(random.below(3) as u32),
        b'b' => out.put_u8(random.below(5) as u8),
        b'c' => out.put_u8(random.below(3) as u8),
        b'z' => out.put_u8(random.below(2) as u8),
        b'o' => out.put_u8(random.pick(&[12, 20, 22, 24, 64, 65, 11])),
        b'f' => out.put_u64_le((0..1 + random.below(4)).fold(0, |all, _| all | 1 << random.below(14))),
        b's' => out.put_string(string(random)),
        b'y' => out.put_string(random.pick(&["1", "-2.5", "x", "", "1e3"])),
        b'B' => {
            let len = random.pick(&[0, 3, 600]);
            out.put_blob(&random.bytes(len));
        }
        b'r' => {
            let len = random.pick(&[0, 3, 5000]);
            out.put_slice(&random.bytes(len));
        }
        b't' => (0..2).for_each(|_| out.put_u32_le(random.below(3) as u32)),
        b'T' => out.put_u64_le(0),
        b'm' => {
            let count = random.below(3) as usize;
            out.put_u32_le(count as u32);
            for key in ["a", "b", "conf_x"].into_iter().take(count) {
                out.put_string(key);
                out.put_string(string(random));
            }
        }
        b'e' => {
            let count = random.below(3);
            out.put_u32_le(count as u32);
            for at in 0..count {
                out.put_u64_le(at * 4096);
                out.put_u64_le(random.below(3) * 300);
            }
        }
        b'V' => object_map(random).encode(out, Features::ALL),
        b'N' => namespace(random, out),
        b'?' => {
            let there = random.below(2) as u8;
            out.put_u8(there);
            let mut skipped = BytesMut::new();
            rest = one(random, rest, if there == 1 { out } else { &mut skipped });
        }
        b'<' => {
            let (version, compat, takes) = (rest[0] - b'0', rest[1] - b'0', &rest[2..]);
            out.put_frame(version, compat, |out| rest = up_to(b'>', random, takes, out));
        }
        b'[' => {
            let (count, takes) = (random.below(3), rest);
            out.put_u32_le(count as u32);
            let mut skipped = BytesMut::new();
            for n in 0..count.max(1) {
                rest = up_to(b']', random, takes, if n < count { out } else { &mut skipped });
            }
        }
        _ => unreachable!("no such letter: {}", letter as char),
    }
    rest
}

/// Most often one of the first six.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    10,
    1 << 12,
    1 << 20,
    (1 << 30) + 5,
    u64::MAX,
    u64::MAX - 1,
    u64::MAX - 2,
];

/// Most often one of the first three.
const STRINGS: &[&str] = &["a", "b", "c", "", "conf_x", "1f"];

fn number(random: &mut Random) -> u64 {
    most_often(random, NUMBERS, 6)
}

fn string(random: &mut Random) -> &'static str {
    most_often(random, STRINGS, 3)
}

/// One of the first `few`, or at times of all.
fn most_often<T: Copy>(random: &mut Random, all: &[T], few: usize) -> T {
    match random.below(4) {
        0 => random.pick(all),
        _ => random.pick(&all[..few]),
    }
}

fn object_map(random: &mut Random) -> BitVector {
    let size = random.pick(&[0, 1, 5, 1000, 20_000]);
    let mut map = BitVector::new(size, random.below(4) as u8);
    for _ in 0..random.below(4) {
        if size > 0 {
            map.set(random.below(size), random.below(4) as u8);
        }
    }
    map
}

/// `cls::rbd::SnapshotNamespace`.
fn namespace(random: &mut Random, out: &mut BytesMut) {
    let kind = random.below(5) as u8;
    let takes = ["", "iss", "ds", "bz[s]sqqe", ""][usize::from(kind)];
    out.put_frame(1, 1, |out| {
        out.put_u32_le(kind.into());
        out.unsplit(input(random, takes));
    });
}
