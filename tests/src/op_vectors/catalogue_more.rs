//! Snapshots, copies, watches, listings, classes, cache tiers.

use encoding::types::{Hobject, NOSNAP, ObjectCopyCursor, OpCode, OsdFlags, OsdOp, SNAPDIR};

use super::Script;
use super::build::{
    Flagged, assert_version, copy_from, copy_get, create, delete, list, list_filtered, notify, omap_keys,
    omap_set, omap_vals, plain, range, read, rollback, setxattr, sparse, stat, truncate, watch, with_input,
    write, write_full, xattr, zero,
};
use crate::data;

/// Adds them. `pool` is the number of the first pool.
pub fn add(s: &mut Script, pool: i64) {
    snapshots(s);
    whiteouts(s);
    rollbacks(s);
    snapshots_of_rows(s);
    copies(s, pool);
    copy_gets(s);
    watches(s);
    classes(s);
    tiers(s);
    listings(s);
}

fn clones(s: &mut Script, oid: &str) {
    s.on(oid, [plain(OpCode::LIST_SNAPS)]).at(SNAPDIR);
}

fn snapshots(s: &mut Script) {
    s.group("snapshot");
    clones(s, "snap");
    s.on("snap", [write_full(&data::bytes(20, 100_000))]);
    clones(s, "snap");
    s.snaps(1, &[1]);
    s.on("snap", [write(1000, b"one")]);
    clones(s, "snap");
    s.on("snap", [write(90_000, &data::bytes(21, 20_000))]);
    clones(s, "snap");
    s.snaps(4, &[4, 3, 1]);
    s.on("snap", [zero(50_000, 5000)]);
    clones(s, "snap");
    s.on("snap", [truncate(30_000)]);
    clones(s, "snap");
    s.snaps(5, &[5, 4, 3, 1]);
    s.on("snap", [setxattr("a", b"1")]);
    clones(s, "snap");
    s.on("snap", [write_full(b"all new")]);
    clones(s, "snap");
    for snap in 1..8 {
        s.on("snap", [stat(), read(0, 0)]).at(snap);
        s.on("snap", [sparse(0, 200_000)]).at(snap);
        s.on("snap", [read(990, 20), read(49_990, 5020)]).at(snap);
        s.on("snap", [range(OpCode::MAPEXT, 0, 200_000)]).at(snap);
        s.on("snap", [stat()]).at(snap).flagged(OsdFlags::MAP_SNAP_CLONE);
        s.on(
            "snap",
            [
                assert_version(1).failok(),
                xattr(OpCode::GETXATTR, "a", b"").failok(),
                stat(),
            ],
        )
        .at(snap);
    }
    s.on("snap", [stat()]).at(0);
    s.on("snap", [stat()]).at(SNAPDIR);
    s.on("snap", [plain(OpCode::LIST_SNAPS)]);
    s.on("snap", [plain(OpCode::LIST_SNAPS), stat()]).at(SNAPDIR);
    s.on("snap", [write(0, b"x")]).at(1);
    s.on("snap", [stat()]).at(u64::MAX - 2);
    // Contexts that are old, or none.
    s.snaps(3, &[3, 1]);
    s.on("snap", [write(0, b"old context")]);
    s.on("snap", [write(0, b"old context")])
        .flagged(OsdFlags::ORDERSNAP);
    clones(s, "snap");
    s.snaps(9, &[3, 9]);
    s.on("snap", [write(0, b"disorder")]);
    s.snaps(2, &[9]);
    s.on("snap", [write(0, b"beyond")]);
    s.snaps(9, &[9, 9]);
    s.on("snap", [write(0, b"twice")]);
    s.snaps(9, &[0]);
    s.on("snap", [write(0, b"zero")]);
    s.snaps(9, &[]);
    s.on("snap", [write(0, b"no snapshots")]);
    clones(s, "snap");
    s.snaps(9, &[9]);
    s.on("snap", [write(0, b"seen already")]);
    clones(s, "snap");
    s.snaps(11, &[11, 10]);
    s.on(
        "snap",
        [write(0, b"x").failok(), xattr(OpCode::GETXATTR, "none", b"")],
    );
    clones(s, "snap");
    s.on("snap", [stat()]);
    s.on("snap", [xattr(OpCode::RMXATTR, "none", b"")]);
    clones(s, "snap");
    s.on("young", [write_full(b"made after the snapshots")]);
    clones(s, "young");
    for snap in [1, 11, 12] {
        s.on("young", [stat()]).at(snap);
    }
}

fn whiteouts(s: &mut Script) {
    s.group("whiteout");
    s.on(
        "white",
        [write_full(&data::bytes(22, 10_000)), setxattr("a", b"1")],
    );
    s.snaps(2, &[2]);
    s.on("white", [delete()]);
    clones(s, "white");
    s.on("white", [stat()]);
    s.on("white", [read(0, 0)]);
    s.on("white", [stat()]).at(2);
    s.on("white", [stat()]).at(3);
    s.on("white", [delete()]);
    s.on("white", [delete().failok(), truncate(7)]);
    s.on("white", [zero(0, 7)]);
    s.on("white", [xattr(OpCode::RMXATTR, "a", b"")]);
    s.on("white", [plain(OpCode::OMAPCLEAR)]);
    s.on("white", [plain(OpCode::LIST_WATCHERS)]);
    s.on("white", [stat(), write(0, b"x")]);
    clones(s, "white");
    s.on("white", [create().excl()]);
    clones(s, "white");
    s.on(
        "white",
        [stat(), xattr(OpCode::GETXATTR, "a", b"").failok(), read(0, 0)],
    );
    s.on("white", [create().excl()]);
    s.snaps(3, &[3, 2]);
    s.on("white", [delete(), write_full(b"again")]);
    clones(s, "white");
    for snap in 1..5 {
        s.on("white", [stat(), read(0, 20)]).at(snap);
    }
    s.snaps(4, &[4, 3, 2]);
    s.on("white", [delete(), stat().failok(), create()]);
    clones(s, "white");
    // With a snapshot still to be seen, an object without clones becomes a whiteout too.
    s.snaps(0, &[]);
    s.on("white2", [write_full(b"data")]);
    s.snaps(7, &[7, 6]);
    s.on("white2", [write_full(b"more"), delete()]);
    clones(s, "white2");
    s.on("white2", [read(0, 0)]).at(6);
    s.on("white2", [read(0, 0)]).at(7);
    s.snaps(0, &[]);
    s.on("white3", [write_full(b"data")]);
    s.on("white3", [delete()]);
    clones(s, "white3");
}

fn rollbacks(s: &mut Script) {
    s.group("rollback");
    s.on("back", [rollback(1)]);
    s.on(
        "back",
        [
            write_full(&data::bytes(23, 50_000)),
            setxattr("a", b"1"),
            omap_set(&[("k", b"1")]),
        ],
    );
    s.snaps(1, &[1]);
    s.on("back", [rollback(1)]);
    clones(s, "back");
    s.on(
        "back",
        [
            write(10_000, b"changed"),
            setxattr("a", b"2"),
            omap_set(&[("k", b"2"), ("l", b"2")]),
        ],
    );
    clones(s, "back");
    s.on("back", [rollback(1)]);
    clones(s, "back");
    s.on(
        "back",
        [
            read(0, 0),
            xattr(OpCode::GETXATTR, "a", b""),
            omap_vals("", 9, ""),
        ],
    );
    s.snaps(2, &[2, 1]);
    s.on("back", [truncate(100)]);
    s.snaps(3, &[3, 2, 1]);
    s.on("back", [write(60_000, b"far")]);
    clones(s, "back");
    s.on("back", [rollback(2)]);
    clones(s, "back");
    s.on("back", [read(0, 0), stat()]);
    s.on("back", [delete()]);
    clones(s, "back");
    s.on("back", [rollback(3)]);
    clones(s, "back");
    s.on("back", [read(0, 0), stat(), plain(OpCode::GETXATTRS)]);
    s.on("back", [rollback(99)]);
    clones(s, "back");
    s.snaps(4, &[4, 3, 2, 1]);
    s.on("late", [write_full(b"made later")]);
    s.on("late", [rollback(2)]);
    clones(s, "late");
    s.on("late", [stat()]);
    s.on("late", [create(), watch(1, 3, 30)]);
    s.on("late", [rollback(2)]);
    s.on("late", [watch(1, 0, 0)]);
    s.on("late", [rollback(2)]);
    s.on("late", [stat()]);
}

fn snapshots_of_rows(s: &mut Script) {
    s.group("snapshot of rows");
    let header = |text: &'static [u8]| with_input(OpCode::OMAPSETHEADER, text);
    s.on(
        "rows",
        [
            omap_set(&[("a", b"1"), ("b", b"1")]),
            header(b"h1"),
            setxattr("x", b"1"),
        ],
    );
    s.snaps(1, &[1]);
    s.on(
        "rows",
        [
            omap_set(&[("b", b"2"), ("c", b"2")]),
            header(b"h2"),
            setxattr("x", b"2"),
            setxattr("y", b"2"),
        ],
    );
    s.snaps(2, &[2, 1]);
    s.on(
        "rows",
        [plain(OpCode::OMAPCLEAR), xattr(OpCode::RMXATTR, "x", b"")],
    );
    for snap in [1, 2, NOSNAP] {
        s.on(
            "rows",
            [
                omap_vals("", 9, ""),
                plain(OpCode::OMAPGETHEADER),
                plain(OpCode::GETXATTRS),
                omap_keys("a", 1),
            ],
        )
        .at(snap);
    }
    clones(s, "rows");
}

fn copies(s: &mut Script, pool: i64) {
    s.group("copy-from");
    let from = |name: &str| copy_from(OpCode::COPY_FROM, pool, name, NOSNAP, 0, 0);
    s.on("target", [from("source")]);
    s.on("target", [from("source").failok(), create()]);
    s.on("target", [stat()]);
    s.on(
        "source",
        [write_full(&data::bytes(24, 150_000)), setxattr("a", b"1")],
    );
    s.on(
        "source",
        [
            omap_set(&[("k", b"v"), ("l", b"w")]),
            with_input(OpCode::OMAPSETHEADER, &b"head"[..]),
        ],
    );
    s.on("target", [from("source")]);
    let all = || -> [OsdOp; 5] {
        [
            stat(),
            read(0, 0),
            plain(OpCode::GETXATTRS),
            omap_vals("", 9, ""),
            plain(OpCode::OMAPGETHEADER),
        ]
    };
    s.on("target", all());
    s.on("target", [from("source"), setxattr("more", b"2")]);
    s.on("target", all());
    s.on("target", [from("target")]);
    s.on(
        "target",
        [copy_from(OpCode::COPY_FROM, 99, "source", NOSNAP, 0, 0)],
    );
    s.on(
        "target",
        [copy_from(OpCode::COPY_FROM, pool, "source", NOSNAP, 1, 0)],
    );
    s.on(
        "target",
        [copy_from(OpCode::COPY_FROM, pool, "source", NOSNAP, u64::MAX, 0)],
    );
    s.on("target", [copy_from(OpCode::COPY_FROM, pool, "source", 77, 0, 0)]);
    s.on("target", [with_input(OpCode::COPY_FROM, vec![1, 2])]);
    s.on(
        "target",
        [copy_from(OpCode::COPY_FROM2, pool, "source", NOSNAP, 0, 64)],
    );
    s.on(
        "target",
        [copy_from(OpCode::COPY_FROM2, pool, "source", NOSNAP, 0, 32)],
    );
    s.on(
        "target",
        [
            setxattr("b", b"3"),
            from("source"),
            xattr(OpCode::GETXATTR, "none", b""),
        ],
    );
    s.on("target", all());
    let mut truncated = copy_from(OpCode::COPY_FROM2, pool, "source", NOSNAP, 0, 32);
    truncated.indata = [
        &truncated.indata[..],
        &5_u32.to_le_bytes(),
        &4096_u64.to_le_bytes(),
    ]
    .concat()
    .into();
    s.on("target", [truncated]);
    s.on("target", [copy_get(&ObjectCopyCursor::default(), 100)]);
    s.on("elsewhere", [from("source")]).other_pool = true;
    s.on("elsewhere", all()).other_pool = true;
    // Of a snapshot, and with snapshots of the target.
    s.snaps(1, &[1]);
    s.on("source", [write_full(b"new")]);
    s.on("target", [copy_from(OpCode::COPY_FROM, pool, "source", 1, 0, 0)]);
    clones(s, "target");
    s.on("target", all());
    s.snaps(2, &[2, 1]);
    s.on("target", [from("source")]);
    clones(s, "target");
    s.on("target", all());
    s.on("target", all()).at(2);
    // A copy of an object's own snapshot is not asked for: Ceph's OSD waits for itself then.
    s.on("absent", [copy_from(OpCode::COPY_FROM, pool, "target", 2, 0, 8)]);
    s.remove("absent");
}

fn copy_gets(s: &mut Script) {
    s.group("copy-get");
    let start = ObjectCopyCursor::default;
    s.on("get", [copy_get(&start(), 1000)]);
    s.on("get", [stat(), copy_get(&start(), 1000)]);
    s.on(
        "get",
        [
            write_full(&data::bytes(25, 3000)),
            setxattr("a", b"1"),
            omap_set(&[("k", b"v"), ("l", b"w")]),
        ],
    );
    s.on("get", [with_input(OpCode::OMAPSETHEADER, &b"head"[..])]);
    s.on("get", [copy_get(&start(), 10_000)]);
    s.on("get", [copy_get(&start(), 0)]);
    s.on("get", [copy_get(&start(), 1000)]);
    let mut cursor = ObjectCopyCursor {
        attr_complete: true,
        data_offset: 1000,
        ..start()
    };
    s.on("get", [copy_get(&cursor, 1000)]);
    cursor.data_offset = 3000;
    s.on("get", [copy_get(&cursor, 3)]);
    cursor.data_complete = true;
    s.on("get", [copy_get(&cursor, 3)]);
    cursor.omap_offset = bytes::Bytes::from_static(b"k");
    s.on("get", [copy_get(&cursor, 3)]);
    s.on("get", [copy_get(&cursor, 1000)]);
    cursor.omap_offset = bytes::Bytes::from_static(b"l");
    s.on("get", [copy_get(&cursor, 1000)]);
    s.on("get", [with_input(OpCode::COPY_GET, vec![1, 1, 0])]);
    s.snaps(3, &[3, 2]);
    s.on("get", [write_full(b"newer")]);
    s.on("get", [copy_get(&start(), 10_000)]);
    s.on("get", [copy_get(&start(), 10_000)]).at(2);
    s.on("get", [copy_get(&start(), 10_000)]).at(4);
    s.on("get", [delete()]);
    s.on("get", [copy_get(&start(), 10_000)]);
}

fn watches(s: &mut Script) {
    s.group("watch");
    let watchers = || plain(OpCode::LIST_WATCHERS);
    s.on("watched", [watch(1, 3, 0)]);
    s.on("watched", [watchers()]);
    s.on("watched", [create()]);
    s.on("watched", [watchers()]);
    s.on("watched", [watch(1, 7, 0)]);
    s.on("watched", [watch(1, 5, 0)]);
    s.on("watched", [watch(1, 0, 0)]);
    s.on("watched", [watch(1, 3, 0)]);
    s.on("watched", [stat()]);
    s.on("watched", [watch(1, 3, 0)]);
    s.on("watched", [watch(1, 7, 0)]);
    s.on("watched", [watch(1, 5, 0)]);
    s.on("watched", [watch(2, 1, 17)]);
    s.on("watched", [watch(3, 9, 17)]);
    s.on("watched", [watchers()]);
    s.on("watched", [watch(4, 3, 5).failok(), delete()]);
    s.on("watched", [watchers()]);
    s.on("watched", [create(), watch(5, 3, 60)]);
    s.on("watched", [watchers(), stat()]);
    s.on("watched", [watch(5, 0, 0)]);
    s.on("watched", [watch(5, 0, 0)]);
    s.on("watched", [watchers()]);
    s.on("unwatched", [notify(1, 1, b"nobody")]);
    s.on("unwatched", [create()]);
    s.on("unwatched", [notify(1, 1, b"nobody")]);
    s.on("unwatched", [with_input(OpCode::NOTIFY, vec![1])]);
    s.on("unwatched", [with_input(OpCode::NOTIFY_ACK, vec![1])]);
    s.snaps(1, &[1]);
    s.on("unwatched", [watch(6, 3, 60)]);
    clones(s, "unwatched");
    s.on("unwatched", [watch(6, 0, 0)]);
}

fn classes(s: &mut Script) {
    s.group("class");
    let call = OsdOp::call;
    s.on("class", [call("nosuch", "method", b"")]);
    s.on("class", [call("rbd", "nosuch", b"")]);
    s.on("class", [create(), call("rbd", "nosuch", b"")]);
    s.on("class", [stat()]);
    s.on("class", [call("lock", "get_info", b"")]);
    s.on("class", [call("rbd", "get_id", b"")]);
    s.on("class", [call("rbd", "set_id", &[2, 0, 0, 0, b'i', b'd'])]);
    s.on("class", [call("rbd", "set_id", &[2, 0, 0, 0, b'i', b'd'])]);
    s.on("class", [call("rbd", "get_id", b"")]);
    s.on("class", [call("rbd", "get_id", b""), stat()]);
    s.on("class", [call("rbd", "set_id", &[2])]);
    s.on(
        "class",
        [call("rbd", "set_id", &[2]).failok(), setxattr("a", b"1")],
    )
    .flagged(OsdFlags::RETURNVEC);
    s.on("class", [call("version", "read", b"")]);
    s.remove("class");
}

fn tiers(s: &mut Script) {
    s.group("tier");
    let ops = [
        OpCode::CACHE_FLUSH,
        OpCode::CACHE_TRY_FLUSH,
        OpCode::CACHE_EVICT,
        OpCode::CACHE_PIN,
        OpCode::CACHE_UNPIN,
        OpCode::TIER_PROMOTE,
        OpCode::TIER_EVICT,
        OpCode::UNSET_MANIFEST,
        OpCode::ISDIRTY,
        OpCode::UNDIRTY,
    ];
    // What Ceph answers to tier-evict of nothing depends on what it has in its cache.
    for op in ops.into_iter().filter(|op| *op != OpCode::TIER_EVICT) {
        s.on("tier", [plain(op)]);
    }
    s.on("tier", [write_full(b"data")]);
    for op in ops {
        s.on("tier", [plain(op)]);
    }
    s.on("tier", [plain(OpCode::ISDIRTY)]);
    s.on("tier", [plain(OpCode::CACHE_TRY_FLUSH)])
        .flagged(OsdFlags::SKIPRWLOCKS);
    s.on("tier", [plain(OpCode::CACHE_FLUSH)])
        .flagged(OsdFlags::SKIPRWLOCKS);
    s.on("tier", [stat()]);
    s.remove("tier");
}

fn listings(s: &mut Script) {
    s.group("listing");
    for oid in ["list-a", "list-b", "list-c", "list-d"] {
        s.on(oid, [setxattr("kind", &oid.as_bytes()[5..])]).nspace = "lists".to_owned();
    }
    let keyed = s.on("list-e", [create()]);
    keyed.nspace = "lists".to_owned();
    keyed.key = "place".to_owned();
    s.on("list-e", [stat()]).nspace = "lists".to_owned();
    let keyed = s.on("list-e", [stat()]);
    keyed.nspace = "lists".to_owned();
    keyed.key = "place".to_owned();
    let filters: [&[&str]; 6] = [
        &["", "", "plain", "_kind", "b"],
        &["", "", "plain", "_nokind", "b"],
        &["", "", "plain", "_kind", ""],
        &["c", "m", "plain", "", ""],
        &["", "", "hello.hello", "_kind", "b"],
        &["", "", "odd", "_kind", "b"],
    ];
    for op in [OpCode::PGNLS, OpCode::PGLS] {
        for count in [1000, 2] {
            s.on("", [list(op, count, &Hobject::MIN)]).nspace = "lists".to_owned();
        }
        s.on("", [list(op, 1000, &Hobject::MIN)]).nspace = "empty".to_owned();
        s.on("", [list(op, 1000, &Hobject::MAX)]).nspace = "lists".to_owned();
        s.on("", [list(op, 1000, &Hobject::MIN)]).at(5);
        s.on("", [with_input(op, vec![1])]);
        s.on("", [list(op, 1000, &Hobject::MIN)]).nspace = "\u{1}".to_owned();
        let filtered = if op == OpCode::PGLS {
            OpCode::PGLS_FILTER
        } else {
            OpCode::PGNLS_FILTER
        };
        for filter in filters {
            s.on("", [list_filtered(filtered, 1000, filter)]).nspace = "lists".to_owned();
        }
    }
    s.on("", [plain(OpCode::PG_HITSET_LS)]);
    s.on("", [plain(OpCode::PG_HITSET_GET)]);
    s.on("", [list(OpCode::PGLS, 10, &Hobject::MIN), plain(OpCode(0x15ff))]);
    for oid in ["list-a", "list-b", "list-c", "list-d"] {
        s.on(oid, [delete()]).nspace = "lists".to_owned();
    }
}
