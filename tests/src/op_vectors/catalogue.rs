//! Every operation on data, attributes and omap, with its edges.

use encoding::types::{OpCode, OpFlags, OsdFlags};

use super::Script;
use super::build::{
    Flagged, append, assert_version, checksum, cmpext, cmpxattr, create, delete, fill, keys, omap_cmp,
    omap_keys, omap_rm_range, omap_set, omap_vals, plain, range, read, setxattr, sparse, stat, tmap_update,
    truncate, truncating, with_input, write, write_full, write_same, xattr, zero,
};
use crate::data;

/// Adds them.
pub fn add(script: &mut Script) {
    existence(script);
    reads_and_writes(script);
    truncations(script);
    zeroes(script);
    sparse_reads(script);
    comparisons(script);
    checksums(script);
    attributes(script);
    omap_rows(script);
    omap_pages(script);
    trivial_maps(script);
    vectors(script);
}

fn existence(s: &mut Script) {
    s.group("existence");
    s.on("none", [stat()]);
    s.on("none", [read(0, 10)]);
    s.on("none", [delete()]);
    s.on("none", [delete().failok()]);
    s.on("none", [delete().failok(), create()]);
    s.on("none", [create().excl()]);
    s.on("none", [create()]);
    s.on("none", [create().excl().failok(), stat()]);
    s.on("none", [stat()]);
    s.on("none", [with_input(OpCode::CREATE, vec![1, 0, 0, 0, b'c'])]);
    s.on("none", [with_input(OpCode::CREATE, vec![9, 0, 0, 0, b'c'])]);
    s.on("none", [delete()]);
    s.on("none", [stat()]);
    s.on("none", [create(), delete(), stat().failok()]);
    s.on("none", [stat()]);
    s.on("none", [create(), setxattr("a", b"1"), delete(), create()]);
    s.on("none", [xattr(OpCode::GETXATTR, "a", b"")]);
    s.on("none", [plain(OpCode::STARTSYNC)]);
    s.on("none", [create()]).time = 0;
    s.on("none", [stat()]);
    s.on("", [stat()]);
    s.on(&"n".repeat(2048), [stat()]);
    s.on(&"n".repeat(2049), [stat()]);
    s.on("long", [stat()]).key = "k".repeat(2049);
    s.on("long", [stat()]).nspace = "s".repeat(257);
    s.on("none", []);
    s.on("none", [stat()]).flagged(OsdFlags::PARALLELEXEC);
    s.on("none", [stat()])
        .flagged(OsdFlags::BALANCE_READS | OsdFlags::LOCALIZE_READS);
    s.on("none", [write(0, b"x")]).flagged(OsdFlags::BALANCE_READS);
    s.on("none", [stat()])
        .flagged(OsdFlags::RWORDERED | OsdFlags::IGNORE_CACHE);
    s.on("none", [write(0, b"x")]).at(3);
    s.on("none", [delete()]);
}

fn reads_and_writes(s: &mut Script) {
    s.group("data");
    let data = data::bytes(1, 70_000);
    s.on("data", [write(100, &data)]);
    for (at, len) in [
        (0, 0),
        (0, 100),
        (90, 20),
        (100, 70_000),
        (70_000, 1000),
        (70_100, 10),
        (1 << 40, 1),
    ] {
        s.on("data", [read(at, len)]);
    }
    s.on("data", [read(50, 0)]);
    s.on("data", [range(OpCode::SYNC_READ, 0, 200)]);
    s.on("data", [write(0, b""), stat()]);
    s.on("data", [write(100_000, b"")]);
    s.on("data", [stat()]);
    s.on("data", [truncating(OpCode::WRITE, 0, 5, 0, 0, b"abc")]);
    s.on("data", [truncating(OpCode::WRITEFULL, 0, 5, 0, 0, b"abc")]);
    s.on("data", [truncating(OpCode::APPEND, 0, 5, 0, 0, b"abc")]);
    s.on("data", [write(128 << 20, b"x")]);
    s.on("data", [write((128 << 20) - 1, b"xy")]);
    s.on("data", [write(u64::MAX - 1, b"xyz")]);
    s.on("data", [append(b"the end")]);
    s.on("data", [read(100_000, 100)]);
    s.on("data", [write_full(b"short"), append(b"er")]);
    s.on("data", [read(0, 0)]);
    s.on("data", [write_full(b"")]);
    s.on("data", [stat(), read(0, 0)]);
    s.on("data", [write_same(3, 12, b"abcd"), write_same(0, 0, b"")]);
    s.on("data", [write_same(0, 13, b"abcd")]);
    s.on("data", [write_same(0, 12, b"")]);
    s.on("data", [write_same(128 << 20, 4, b"abcd")]);
    s.on("data", [read(0, 0)]);
    s.on("data", [write_same(0, 0, b"abcd")]);
    s.on("data", [fill(0, 4096, 7)]);
    let mut hinted = write(0, b"hint");
    hinted.flags |= OpFlags::FADVISE_RANDOM | OpFlags::FADVISE_DONTNEED;
    s.on("data", [hinted]);
    let mut read_once = read(0, 8);
    read_once.flags |= OpFlags::FADVISE_NOCACHE;
    s.on("data", [read_once]);
    s.on(
        "data",
        [range(OpCode::SETALLOCHINT, 4 << 20, 4 << 20), write(0, b"1")],
    );
    s.on("hinted", [range(OpCode::SETALLOCHINT, 4 << 20, 4 << 20)]);
    s.on("hinted", [stat()]);
    s.on("missing", [write_full(b"x"), read(0, 0).failok(), delete()]);
    s.remove("data");
    s.remove("hinted");
}

fn truncations(s: &mut Script) {
    s.group("truncation");
    s.on("cut", [truncate(10)]);
    s.on("cut", [write_full(&data::bytes(2, 9000))]);
    s.on("cut", [truncate(5000)]);
    s.on("cut", [truncate(5000)]);
    s.on("cut", [truncate(20_000)]);
    s.on("cut", [read(4990, 20)]);
    s.on("cut", [stat()]);
    s.on("cut", [truncate(128 << 20)]);
    s.on("cut", [truncate((128 << 20) - 1)]);
    s.on("cut", [stat()]);
    s.on("cut", [truncate(0)]);
    s.on("cut", [write_full(&data::bytes(3, 9000))]);
    // Ordered by CephFS: a later truncation, an earlier one, writes before and behind it.
    let cut = |size, seq| truncating(OpCode::TRIMTRUNC, 0, 0, size, seq, &[]);
    s.on("cut", [cut(4000, 2)]);
    s.on("cut", [stat()]);
    s.on("cut", [cut(3000, 1)]);
    s.on("cut", [stat()]);
    s.on("cut", [truncating(OpCode::WRITE, 3990, 20, 0, 1, &[9; 20])]);
    s.on("cut", [truncating(OpCode::WRITE, 5000, 20, 0, 1, &[9; 20])]);
    s.on("cut", [truncating(OpCode::WRITE, 5000, 0, 0, 1, &[])]);
    s.on("cut", [stat()]);
    s.on("cut", [truncating(OpCode::WRITE, 100, 20, 50, 3, &[9; 20])]);
    s.on("cut", [read(0, 0)]);
    s.on("cut", [truncating(OpCode::READ, 0, 200, 60, 4, &[])]);
    s.on("cut", [truncating(OpCode::SPARSE_READ, 0, 200, 60, 4, &[])]);
    s.on("cut", [truncating(OpCode::READ, 0, 200, u64::MAX, 1, &[])]);
    s.on("fresh", [truncating(OpCode::WRITE, 100, 20, 50, 3, &[9; 20])]);
    s.on("fresh", [read(0, 0)]);
    s.remove("cut");
    s.remove("fresh");
}

fn zeroes(s: &mut Script) {
    s.group("zero");
    s.on("zero", [zero(0, 10)]);
    s.on("zero", [write_full(&data::bytes(4, 9000))]);
    s.on("zero", [zero(100, 50)]);
    s.on("zero", [read(90, 70)]);
    s.on("zero", [zero(8000, 1000)]);
    s.on("zero", [stat()]);
    s.on("zero", [zero(8000, 1000)]);
    s.on("zero", [zero(7000, 5000)]);
    s.on("zero", [stat()]);
    s.on("zero", [zero(128 << 20, 1)]);
    s.on("zero", [zero(0, (128 << 20) + 1)]);
    s.on("zero", [zero(0, 1 << 20)]);
    s.on("zero", [stat()]);
    s.remove("zero");
}

fn sparse_reads(s: &mut Script) {
    s.group("sparse");
    s.on("sparse", [sparse(0, 100)]);
    s.on("sparse", [create()]);
    s.on("sparse", [sparse(0, 100)]);
    s.on("sparse", [write(8192, &data::bytes(5, 4096))]);
    s.on("sparse", [write(65_536, &data::bytes(6, 8192))]);
    s.on("sparse", [write(100_000, &data::bytes(7, 100))]);
    for (at, len) in [
        (0, 200_000),
        (0, 8192),
        (9000, 100),
        (4000, 5000),
        (12_288, 50_000),
        (100_100, 10),
        (200_000, 5),
        (0, 0),
    ] {
        s.on("sparse", [sparse(at, len)]);
        s.on("sparse", [range(OpCode::MAPEXT, at, len)]);
    }
    s.on("sparse", [zero(66_000, 2000)]);
    s.on("sparse", [sparse(65_536, 8192)]);
    s.on("sparse", [truncate(70_000)]);
    s.on("sparse", [truncate(80_000)]);
    s.on("sparse", [sparse(0, 200_000)]);
    s.on("absent", [sparse(0, 10), create()]);
    s.on("absent", [range(OpCode::MAPEXT, 0, 10), create()]);
    s.remove("sparse");
}

fn comparisons(s: &mut Script) {
    s.group("cmpext");
    s.on("cmp", [cmpext(0, b"abc")]);
    s.on("cmp", [cmpext(0, b"abc"), write(0, b"x")]);
    s.on("cmp", [cmpext(0, b"\0\0"), write(0, b"abcdefgh")]);
    s.on("cmp", [cmpext(0, b"abcdefgh")]);
    s.on("cmp", [cmpext(2, b"cdX"), write(0, b"no")]);
    s.on("cmp", [cmpext(2, b"Xde").failok(), write(0, b"yes")]);
    s.on("cmp", [cmpext(6, b"gh\0\0")]);
    s.on("cmp", [cmpext(6, b"gh\0x")]);
    s.on("cmp", [cmpext(100, b"\0")]);
    s.on("cmp", [cmpext(100, b"x")]);
    s.on("cmp", [truncating(OpCode::CMPEXT, 0, 2, 0, 0, b"yesd")]);
    s.on("cmp", [cmpext(0, &[&data::bytes(8, 5000)[..], b"x"].concat())]);
    s.remove("cmp");
}

fn checksums(s: &mut Script) {
    s.group("checksum");
    let seeds: [&[u8]; 3] = [&[1, 2, 3, 4], &[1, 2, 3, 4, 5, 6, 7, 8], &[255; 4]];
    s.on("sum", [write_full(&data::bytes(9, 10_000))]);
    for (kind, seed) in (0..3).zip(seeds) {
        s.on("sum", [checksum(kind, 0, 0, 0, seed)]);
        s.on("sum", [checksum(kind, 0, 8192, 4096, seed)]);
        s.on("sum", [checksum(kind, 100, 10, 0, seed)]);
        s.on("sum", [checksum(kind, 0, 8192, 4096, &seed[..2])]);
    }
    s.on("sum", [checksum(3, 0, 0, 0, &[0; 8])]);
    s.on("sum", [checksum(2, 0, 0, 4096, &[0; 4])]);
    s.on("sum", [checksum(2, 0, 5000, 4096, &[0; 4])]);
    s.on("sum", [checksum(2, 8192, 4096, 4096, &[0; 4])]);
    s.on("sum", [checksum(2, 8192, 4096, 0, &[0; 4])]);
    s.on("sum", [checksum(2, 20_000, 4096, 4096, &[0; 4])]);
    s.on("sum", [checksum(2, 10_000, 1, 0, &[0; 4])]);
    s.on("sum", [write_full(b"")]);
    s.on("sum", [checksum(2, 0, 0, 0, &[0; 4])]);
    s.remove("sum");
}

fn attributes(s: &mut Script) {
    s.group("xattr");
    let get = |name| xattr(OpCode::GETXATTR, name, b"");
    s.on("attr", [get("a")]);
    s.on("attr", [xattr(OpCode::RMXATTR, "a", b"")]);
    s.on("attr", [plain(OpCode::GETXATTRS)]);
    s.on("attr", [setxattr("a", b"1"), setxattr("b", b"")]);
    s.on("attr", [get("a"), get("b")]);
    s.on("attr", [get("c")]);
    s.on("attr", [get("c").failok(), get("a")]);
    s.on("attr", [plain(OpCode::GETXATTRS)]);
    s.on("attr", [xattr(OpCode::RMXATTR, "c", b"")]);
    s.on("attr", [xattr(OpCode::RMXATTR, "a", b"")]);
    s.on("attr", [plain(OpCode::GETXATTRS)]);
    s.on("attr", [setxattr(&"x".repeat(100), b"v")]);
    s.on("attr", [setxattr(&"x".repeat(101), b"v")]);
    s.on("attr", [setxattr("big", &data::bytes(10, 65_536))]);
    s.on("attr", [setxattr("big", &data::bytes(10, 100_000))]);
    s.on("attr", [get("big")]);
    s.on("attr", [setxattr("n", b"12"), setxattr("s", b"middle")]);
    for op in 0..8 {
        for value in [&b"left"[..], b"middle", b"right", b""] {
            s.on("attr", [cmpxattr("s", value, op, 1)]);
        }
        for value in [11_u64, 12, 13] {
            s.on("attr", [cmpxattr("n", &value.to_le_bytes(), op, 2)]);
        }
    }
    s.on("attr", [cmpxattr("none", b"", 1, 1), stat()]);
    s.on("attr", [cmpxattr("none", b"x", 1, 1)]);
    s.on("attr", [cmpxattr("none", &0_u64.to_le_bytes(), 1, 2)]);
    s.on("attr", [cmpxattr("n", b"123", 1, 2)]);
    s.on("attr", [cmpxattr("n", b"12", 1, 0)]);
    s.on("attr", [cmpxattr("n", b"12", 1, 3)]);
    s.on("attr", [cmpxattr("n", b"12", 1, 1), setxattr("n", b"13")]);
    s.on("attr", [cmpxattr("n", b"12", 1, 1), setxattr("n", b"14")]);
    s.on(
        "attr",
        [
            cmpxattr("n", b"13", 1, 1),
            assert_version(u64::MAX).failok(),
            stat(),
        ],
    );
    s.on("noattr", [cmpxattr("n", b"13", 1, 1), create()]);
    s.on("attr", [plain(OpCode::SETXATTRS)]);
    s.on("attr", [plain(OpCode::RESETXATTRS)]);
    s.remove("attr");
}

fn omap_rows(s: &mut Script) {
    s.group("omap");
    let header = || plain(OpCode::OMAPGETHEADER);
    let by_keys = |names: &[&str]| with_input(OpCode::OMAPGETVALSBYKEYS, keys(names));
    s.on("omap", [omap_keys("", 10)]);
    s.on(
        "omap",
        [omap_keys("", 10), omap_vals("", 10, ""), header(), create()],
    );
    s.on(
        "omap",
        [
            omap_keys("", 10),
            omap_vals("", 10, ""),
            header(),
            by_keys(&["a"]),
        ],
    );
    s.on("omap", [plain(OpCode::OMAPCLEAR)]);
    s.on("omap", [with_input(OpCode::OMAPRMKEYS, keys(&["a"]))]);
    s.on(
        "omap",
        [omap_set(&[
            ("b", b"2"),
            ("a", b"1"),
            ("c", b""),
            ("", b"nameless"),
        ])],
    );
    s.on("omap", [with_input(OpCode::OMAPSETHEADER, &b"the header"[..])]);
    s.on("omap", [omap_keys("", 10), omap_vals("", 10, ""), header()]);
    s.on("omap", [by_keys(&["a", "zz", "c", ""])]);
    s.on(
        "omap",
        [
            omap_keys("a", 1),
            omap_keys("a", 0),
            omap_vals("b", 9, "c"),
            omap_vals("a", 9, "x"),
        ],
    );
    s.on(
        "omap",
        [omap_cmp(&[("a", b"1", 1), ("b", b"1", 3), ("c", b"x", 5)])],
    );
    s.on("omap", [omap_cmp(&[("a", b"2", 1)])]);
    s.on("omap", [omap_cmp(&[("a", b"2", 1)]).failok(), omap_keys("", 1)]);
    s.on("omap", [omap_cmp(&[("a", b"2", 2)])]);
    s.on("omap", [omap_cmp(&[("none", b"", 1)]), omap_set(&[("d", b"4")])]);
    s.on("omap", [omap_rm_range("b", "d")]);
    s.on("omap", [omap_rm_range("z", "a")]);
    s.on("omap", [omap_keys("", 10)]);
    s.on("omap", [with_input(OpCode::OMAPRMKEYS, keys(&["a", "none"]))]);
    s.on("omap", [omap_keys("", 10)]);
    s.on("omap", [plain(OpCode::OMAPCLEAR), omap_set(&[("e", b"5")])]);
    s.on("omap", [omap_keys("", 10), header()]);
    s.on("omap", [plain(OpCode::OMAPCLEAR)]);
    s.on("omap", [omap_keys("", 10), header()]);
    for op in [
        OpCode::OMAPGETKEYS,
        OpCode::OMAPGETVALS,
        OpCode::OMAPGETVALSBYKEYS,
        OpCode::OMAP_CMP,
        OpCode::OMAPSETVALS,
        OpCode::OMAPRMKEYS,
        OpCode::OMAPRMKEYRANGE,
    ] {
        s.on("omap", [with_input(op, vec![7, 0, 0])]);
    }
    s.on("noomap", [omap_cmp(&[("a", b"", 1)]), create()]);
    s.on("noomap", [with_input(OpCode::OMAPRMKEYS, keys(&["a"]))]);
    s.on("noomap", [omap_rm_range("a", "b")]);
    s.on("noomap", [plain(OpCode::OMAPCLEAR)]);
    s.remove("omap");
}

fn omap_pages(s: &mut Script) {
    s.group("omap pages");
    let names: Vec<String> = (0..1500).map(|n| format!("key{n:05}")).collect();
    let rows: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b"value"[..])).collect();
    s.on("pages", [omap_set(&rows)]);
    s.on("pages", [omap_keys("", 100)]);
    s.on("pages", [omap_keys("", u64::MAX)]);
    s.on("pages", [omap_vals("key00499", 1000, "")]);
    s.on("pages", [omap_vals("", 50, "key01")]);
    s.on("pages", [omap_vals("", 50, "key0149")]);
    s.on("pages", [omap_keys("key01023", 2000)]);
    s.on("pages", [omap_rm_range("key00001", "key01499")]);
    s.on("pages", [omap_keys("", 2000)]);
    s.remove("pages");
}

fn trivial_maps(s: &mut Script) {
    s.group("tmap");
    s.on("tmap", [tmap_update(&[(b'r', "gone", None)])]);
    s.on("tmap", [tmap_update(&[(b'R', "gone", None)])]);
    s.on(
        "tmap",
        [tmap_update(&[(b's', "a", Some(b"1")), (b's', "c", Some(b"3"))])],
    );
    s.on("tmap", [plain(OpCode::TMAPGET)]);
    s.on("tmap", [tmap_update(&[(b'c', "a", Some(b"1"))])]);
    s.on(
        "tmap",
        [tmap_update(&[(b'c', "b", Some(b"2")), (b'r', "c", None)])],
    );
    s.on("tmap", [tmap_update(&[(b'r', "c", None)])]);
    s.on(
        "tmap",
        [tmap_update(&[
            (b'h', "the header", None),
            (b's', "z", Some(b"9")),
        ])],
    );
    s.on("tmap", [tmap_update(&[(b'?', "c", None)])]);
    s.on("tmap", [with_input(OpCode::TMAPUP, vec![b's', 9, 0, 0])]);
    s.on("tmap", [plain(OpCode::TMAPUP)]);
    s.on("tmap", [plain(OpCode::TMAPGET)]);
    let mut map = vec![2, 0, 0, 0, b'h', b'd'];
    map.extend_from_slice(&super::build::map(&[("k", b"v"), ("l", b"w")]));
    s.on("tmap", [with_input(OpCode::TMAPPUT, map)]);
    s.on("tmap", [plain(OpCode::TMAP2OMAP)]);
    s.on(
        "tmap",
        [stat(), omap_vals("", 9, ""), plain(OpCode::OMAPGETHEADER)],
    );
    s.on("tmap", [plain(OpCode::TMAP2OMAP)]);
    let mut null_ok = plain(OpCode::TMAP2OMAP);
    null_ok.union[0] = 1;
    s.on("tmap", [null_ok]);
    s.remove("tmap");
}

fn vectors(s: &mut Script) {
    s.group("vector");
    let returnvec = OsdFlags::RETURNVEC;
    let get = |name| xattr(OpCode::GETXATTR, name, b"");
    s.on(
        "vec",
        [
            create(),
            write(0, b"abc"),
            setxattr("a", b"1"),
            omap_set(&[("k", b"v")]),
        ],
    );
    s.on("vec", [get("a"), write(0, b"xyz")]);
    s.on("vec", [get("a"), write(0, b"XYZ")]).flagged(returnvec);
    s.on("vec", [cmpxattr("a", b"1", 1, 1), setxattr("b", b"2")]);
    s.on("vec", [cmpxattr("a", b"1", 1, 1), setxattr("b", b"3")])
        .flagged(returnvec);
    s.on("vec", [get("none").failok(), setxattr("b", b"3")])
        .flagged(returnvec);
    s.on("vec", [get("none"), setxattr("b", b"4")]).flagged(returnvec);
    s.on("vec", [get("b"), get("none"), setxattr("b", b"4")]);
    s.on("vec", [write(0, b"kept?"), get("none")]);
    s.on("vec", [read(0, 0)]);
    s.on("vec", [write_full(&data::bytes(11, 100))]);
    s.on("vec", [read(0, 64), write(0, b"small")]).flagged(returnvec);
    s.on("vec", [stat(), truncate(200), stat(), delete(), stat().failok()])
        .flagged(returnvec);
    s.on("vec", [stat()]);
    s.on("vec", [plain(OpCode(0x1fff))]);
    s.on("vec", [plain(OpCode(0x2fff))]);
    s.on("vec", [create(), plain(OpCode(0x22ff))]);
    s.on("vec", [stat()]);
    s.on(
        "vec",
        [create(), plain(OpCode(0x22ff)).failok(), setxattr("q", b"q")],
    );
    s.on("vec", [assert_version(0)]);
    s.on("vec", [assert_version(u64::MAX)]);
    s.on("vec", [assert_version(1)]);
    s.on("vec", [assert_version(1), write(0, b"x")]);
    for op in [
        OpCode::MASKTRUNC,
        OpCode::SETTRUNC,
        OpCode::PULL,
        OpCode::PUSH,
        OpCode::BALANCEREADS,
        OpCode::UNBALANCEREADS,
        OpCode::SCRUB,
        OpCode::SCRUB_MAP,
    ] {
        s.on("vec", [plain(op)]);
    }
    s.remove("vec");
    s.on("overflow", [write_full(&data::bytes(12, 100))]);
    s.on("overflow", [read(0, 65), write(0, b"large")])
        .flagged(returnvec);
    s.on("overflow", [read(0, 5), stat()]);
    s.remove("overflow");
}
