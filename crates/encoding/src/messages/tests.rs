//! Messages and their types against the encodings of Ceph's own code, and against what real peers sent.

use bytes::Bytes;

use super::*;
use crate::{
    features::Features,
    message::Message,
    testing::{
        Captured, Expect, assert_same, captured, check_message, check_truncations, check_type,
        check_type_but, goldens, unpack,
    },
    types::{
        CloneInfo, Eversion, Hobject, ListSnapsResponse, ListWatchersResponse, ObjectLocator,
        ObjectStatCollection, ObjectStatSum, OsdOp, PgLsResponse, PgNlsResponse, PoolStat, ReqId,
        RequestRedirect, SnapContext, SnapSet,
    },
};

/// Why we differ from Ceph at hammer's features with bit 59: see `features`.
const CONFLICT: &str = "a peer with bit 59 alone gets legacy addresses";

#[test]
fn types_of_objects_read_and_write_as_ceph_does() {
    check_type::<ObjectLocator>("object_locator_t");
    check_type::<Hobject>("hobject_t");
    check_type::<SnapContext>("SnapContext");
    check_type::<SnapSet>("SnapSet");
    check_type::<CloneInfo>("clone_info");
    check_type::<RequestRedirect>("request_redirect_t");
}

#[test]
fn answers_to_listings_read_and_write_as_ceph_does() {
    check_type::<ListSnapsResponse>("obj_list_snap_response_t");
    check_type::<PgNlsResponse>("pg_nls_response_t");
    check_type::<PgLsResponse>("pg_ls_response_t");
    check_type_but::<ListWatchersResponse>(
        "obj_list_watch_response_t",
        &[("hammer-bit59", Expect::Differs, CONFLICT)],
    );
}

#[test]
fn statistics_read_and_write_as_ceph_does() {
    check_type::<ObjectStatSum>("object_stat_sum_t");
    check_type::<ObjectStatCollection>("object_stat_collection_t");
    check_type::<PoolStat>("pool_stat_t");
}

#[test]
fn osd_op_reads_and_writes_as_ceph_does() {
    check_message::<MOsdOp>(
        "MOSDOp",
        &[
            (
                "zero",
                Expect::Refused,
                "version 1, which no current decoder reads back",
            ),
            (
                "reef/all",
                Expect::Differs,
                "reef does not know SERVER_SQUID and writes version 8",
            ),
        ],
    );
}

#[test]
fn osd_op_reply_reads_and_writes_as_ceph_does() {
    check_message::<MOsdOpReply>(
        "MOSDOpReply",
        &[("zero", Expect::Refused, "version 1, for peers without PGID64")],
    );
}

#[test]
fn messages_of_the_osd_read_and_write_as_ceph_does() {
    check_message::<MOsdMap>("MOSDMap", &[]);
    check_message::<MWatchNotify>("MWatchNotify", &[]);
    check_message::<MOsdBackoff>("MOSDBackoff", &[]);
}

#[test]
fn messages_of_sessions_with_the_monitor_read_and_write_as_ceph_does() {
    check_message::<MAuth>("MAuth", &[]);
    check_message::<MAuthReply>("MAuthReply", &[]);
    check_message::<MMonGetMap>("MMonGetMap", &[]);
    check_message::<MMonMap>("MMonMap", &[]);
    check_message::<MMonSubscribe>("MMonSubscribe", &[]);
    check_message::<MMonSubscribeAck>("MMonSubscribeAck", &[]);
    check_message::<MMonGetVersion>("MMonGetVersion", &[]);
    check_message::<MMonGetVersionReply>("MMonGetVersionReply", &[]);
    check_message::<MConfig>("MConfig", &[]);
    check_message::<MGetConfig>("MGetConfig", &[]);
    check_message::<MLog>("MLog", &[]);
    check_type_but::<LogEntry>("LogEntry", &[("hammer-bit59", Expect::Differs, CONFLICT)]);
    check_message::<MLogAck>("MLogAck", &[]);
    check_message::<MPing>("MPing", &[]);
}

#[test]
fn messages_about_pools_and_usage_read_and_write_as_ceph_does() {
    check_message::<MStatfs>("MStatfs", &[]);
    check_message::<MStatfsReply>("MStatfsReply", &[]);
    check_message::<MGetPoolStats>("MGetPoolStats", &[]);
    check_message::<MGetPoolStatsReply>("MGetPoolStatsReply", &[]);
    check_message::<MPoolOp>("MPoolOp", &[]);
    check_message::<MPoolOpReply>("MPoolOpReply", &[]);
}

#[test]
fn commands_read_and_write_as_ceph_does() {
    check_message::<MMonCommand>("MMonCommand", &[]);
    check_message::<MMonCommandAck>("MMonCommandAck", &[]);
    check_message::<MCommand>("MCommand", &[]);
    check_message::<MCommandReply>("MCommandReply", &[]);
}

#[test]
fn messages_of_the_manager_read_and_write_as_ceph_does() {
    let older = "nautilus writes an older version";
    check_message::<MMgrMap>("MMgrMap", &[]);
    check_message::<MMgrOpen>("MMgrOpen", &[]);
    check_message::<MMgrClose>("MMgrClose", &[]);
    check_message::<MMgrConfigure>("MMgrConfigure", &[("nautilus/*", Expect::Differs, older)]);
    check_message::<MMgrReport>("MMgrReport", &[("nautilus/*", Expect::Differs, older)]);
}

/// Where a peer writes otherwise than Ceph's own code does; we write as Ceph.
const DIFFERS: [(&str, &str, &str); 3] = [
    ("krbd", "MOSDOp", "the kernel writes object_locator_t version 5"),
    (
        "krbd",
        "MMonSubscribe",
        "the kernel writes version 2, without a host",
    ),
    (
        "krbd",
        "MAuth",
        "the kernel does not send the epoch of its monmap",
    ),
];

/// Decodes, encodes for the peer it came from, and compares.
fn same_again<M: Message + PartialEq + std::fmt::Debug>(c: &Captured) {
    let message = M::decode(&c.raw).unwrap_or_else(|e| panic!("{}: {e}", c.origin));
    let mut again = message.encode(c.features);
    assert_eq!(M::decode(&again).as_ref(), Ok(&message), "{}", c.origin);
    check_truncations::<M>(&c.raw);
    again.header.compat_version = c.raw.header.compat_version; // not recorded
    if let Some((.., why)) = DIFFERS
        .iter()
        .find(|(at, name, _)| c.origin.contains(at) && c.name == *name)
    {
        assert_ne!(again.front, c.raw.front, "{}: stale exception: {why}", c.origin);
        assert_eq!(again.data_bytes(), c.raw.data_bytes(), "data of {}", c.origin);
    } else {
        assert_same(&again, &c.raw, &c.origin);
    }
}

#[test]
fn what_real_peers_sent_reads_and_writes_the_same() {
    for c in captured() {
        match c.name.as_str() {
            "MOSDOp" => same_again::<MOsdOp>(&c),
            "MOSDOpReply" => same_again::<MOsdOpReply>(&c),
            "MOSDMap" => same_again::<MOsdMap>(&c),
            "MWatchNotify" => same_again::<MWatchNotify>(&c),
            "MAuth" => same_again::<MAuth>(&c),
            "MAuthReply" => same_again::<MAuthReply>(&c),
            "MMonGetMap" => same_again::<MMonGetMap>(&c),
            "MMonMap" => same_again::<MMonMap>(&c),
            "MMonSubscribe" => same_again::<MMonSubscribe>(&c),
            "MMonSubscribeAck" => same_again::<MMonSubscribeAck>(&c),
            "MMonGetVersion" => same_again::<MMonGetVersion>(&c),
            "MMonGetVersionReply" => same_again::<MMonGetVersionReply>(&c),
            "MMonCommand" => same_again::<MMonCommand>(&c),
            "MMonCommandAck" => same_again::<MMonCommandAck>(&c),
            "MCommand" => same_again::<MCommand>(&c),
            "MCommandReply" => same_again::<MCommandReply>(&c),
            "MConfig" => same_again::<MConfig>(&c),
            "MMgrMap" => same_again::<MMgrMap>(&c),
            "MMgrOpen" => same_again::<MMgrOpen>(&c),
            "MMgrClose" => same_again::<MMgrClose>(&c),
            "MMgrConfigure" => same_again::<MMgrConfigure>(&c),
            "MMgrReport" => same_again::<MMgrReport>(&c),
            "MMgrCommand" => same_again::<MMgrCommand>(&c),
            "MMgrCommandReply" => same_again::<MMgrCommandReply>(&c),
            "MStatfs" => same_again::<MStatfs>(&c),
            "MStatfsReply" => same_again::<MStatfsReply>(&c),
            "MGetPoolStats" => same_again::<MGetPoolStats>(&c),
            "MGetPoolStatsReply" => same_again::<MGetPoolStatsReply>(&c),
            "MPoolOp" => same_again::<MPoolOp>(&c),
            "MPoolOpReply" => same_again::<MPoolOpReply>(&c),
            "MLog" => same_again::<MLog>(&c),
            "MLogAck" => same_again::<MLogAck>(&c),
            "MPing" => same_again::<MPing>(&c),
            other => panic!("{}: no such message: {other}", c.origin),
        }
    }
}

/// `MOSDOp` of Firefly and older, made from Ceph's version 6: the same but for the fields added at the end.
#[test]
fn older_versions_of_an_osd_op_lack_the_fields_added_at_the_end() {
    const REQID_LEN: usize = 6 + 21;
    for golden in goldens("MOSDOp").iter().filter(|g| g.is_at("hammer")) {
        let newest = unpack(&golden.bytes);
        assert_eq!(newest.header.version, 6);
        let op = MOsdOp::decode(&newest).unwrap();
        for (version, missing) in [(5, REQID_LEN), (4, REQID_LEN + 8), (3, REQID_LEN + 8 + 4)] {
            let mut raw = newest.clone();
            raw.header.version = version;
            raw.front.truncate(newest.front.len() - missing);
            let mut expected = op.clone();
            expected.reqid = ReqId {
                inc: op.client_inc as i32,
                ..ReqId::default()
            };
            if version < 5 {
                expected.features = 0;
            }
            if version < 4 {
                expected.retry_attempt = -1;
            }
            assert_eq!(
                MOsdOp::decode(&raw),
                Ok(expected),
                "version {version} of {}",
                golden.origin
            );
            raw.front.truncate(raw.front.len() - 1);
            assert!(
                MOsdOp::decode(&raw).is_err(),
                "version {version} of {}",
                golden.origin
            );
        }
    }
}

#[test]
fn an_osd_op_of_an_unknown_version_is_refused_since_its_fields_may_have_moved() {
    for (version, expected) in [
        (1, "MOSDOp: version 1 is older than any supported one"),
        (10, "MOSDOp: compat version 10, this decoder knows 9"),
    ] {
        let mut raw = unpack(&goldens("MOSDOp").pop().unwrap().bytes);
        raw.header.version = version;
        assert_eq!(MOsdOp::decode(&raw).unwrap_err().to_string(), expected);
    }
}

#[test]
fn an_osd_op_reply_of_hammer_carries_what_its_client_understands() {
    let mut reply = MOsdOpReply {
        retry_attempt: 1,
        ..MOsdOpReply::default()
    };
    let version = |version| Eversion { epoch: 9, version };
    reply.set_reply_versions(version(20), 18);
    assert_eq!(
        (reply.replay_version, reply.bad_replay_version),
        (version(20), version(18))
    );
    let raw = reply.encode(Features(0x0083_ffff_ffff_ffff));
    assert_eq!((raw.header.version, raw.header.compat_version), (6, 2));
    assert_eq!(MOsdOpReply::decode(&raw), Ok(reply));
}

#[test]
fn an_osd_op_reply_is_encoded_into_memory_of_just_its_size() {
    let reply = MOsdOpReply {
        oid: Bytes::from_static(b"rbd_data.1"),
        ops: vec![OsdOp::default(); 2],
        ..MOsdOpReply::default()
    };
    // What was larger would be shared from the start, and is not given back as what it was.
    let front = reply.encode(Features::OURS).front;
    let len = front.len();
    assert_eq!(Vec::from(front).capacity(), len);
}

#[test]
fn a_message_that_takes_a_newer_decoder_is_refused() {
    let mut raw = MPoolOp::default().encode(Features::OURS);
    raw.header.version = 7;
    assert!(
        MPoolOp::decode(&raw).is_ok(),
        "a newer version that old decoders can read"
    );
    raw.header.compat_version = 5;
    assert!(MPoolOp::decode(&raw).is_err());
}

#[test]
fn a_pool_op_of_before_the_wide_crush_rule_is_read() {
    let mut op = MPoolOp {
        op: PoolOpCode::CREATE,
        name: "rbd".into(),
        crush_rule: 3,
        ..MPoolOp::default()
    };
    let mut raw = op.encode(Features::OURS);
    raw.header.version = 3;
    let wide = raw.front.len();
    // Version 3 has the rule in the byte that is padding now.
    let mut front = raw.front.slice(..wide - 2).to_vec();
    front[wide - 3] = 3;
    raw.front = front.into();
    assert_eq!(MPoolOp::decode(&raw).as_ref(), Ok(&op));
    raw.header.version = 2;
    raw.front.truncate(wide - 3);
    op.crush_rule = -1;
    assert_eq!(MPoolOp::decode(&raw), Ok(op));
}
