//! Properties of decoders: what is encoded is read back, and nothing that a peer sends panics.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    features::Features,
    message::{Message, RawMessage},
    testing::captured,
    types::{
        BlkinTrace, EntityName, EntityType, Eversion, ObjectLocator, OpCode, OpFlags, OsdFlags, OsdOp, Pg,
        ReqId, RequestRedirect, Spg, Utime,
    },
};

/// Hammer, Jewel, Nautilus, Pacific, Tentacle; from the oldest encoding of ops to the newest.
const WORDS: [u64; 5] = [
    0x0083_ffff_ffff_ffff,
    0x07fd_dff8_ef8c_bffb,
    0x3ffd_dff8_ffec_ffff,
    0x3f01_cfbd_fffd_ffff,
    0x3f07_ffff_fffd_ffff,
];

fn words() -> impl Strategy<Value = Features> {
    prop::sample::select(WORDS.to_vec()).prop_map(Features)
}

fn blob() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn locator() -> impl Strategy<Value = ObjectLocator> {
    (
        0..i64::MAX,
        blob(),
        blob(),
        prop_oneof![Just(-1), 0..i64::from(u32::MAX)],
    )
        .prop_map(|(pool, key, nspace, hash)| ObjectLocator {
            pool,
            key,
            nspace,
            hash,
        })
}

fn op() -> impl Strategy<Value = OsdOp> {
    let code = prop_oneof![
        prop::sample::select(OpCode::ALL.to_vec()),
        any::<u16>().prop_map(OpCode)
    ];
    (code, any::<u32>(), any::<[u8; 28]>(), blob()).prop_map(|(op, flags, union, indata)| OsdOp {
        op,
        flags: OpFlags::from_bits_retain(flags),
        union,
        indata,
        ..OsdOp::default()
    })
}

prop_compose! {
    fn osd_op()(
        (client_inc, osdmap_epoch, flags, retry_attempt, num) in any::<(u32, u32, u32, i32, i64)>(),
        (pool, hash, tid, sec, nsec) in any::<(u32, u32, u64, u32, u32)>(),
        (snapid, snap_seq, features, span_id) in any::<(u64, u64, u64, i64)>(),
        snaps in prop::collection::vec(any::<u64>(), 0..5),
        locator in locator(),
        oid in blob(),
        ops in prop::collection::vec(op(), 0..5),
    ) -> MOsdOp {
        MOsdOp {
            client_inc,
            osdmap_epoch,
            flags: OsdFlags::from_bits_retain(flags),
            retry_attempt,
            reqid: ReqId { name: EntityName { kind: EntityType::CLIENT, num }, tid, inc: 0 },
            pg: Spg { pg: Pg { pool: pool.into(), seed: hash }, shard: -1 },
            hash,
            mtime: Utime { sec, nsec },
            locator,
            oid,
            snapid,
            snap_seq,
            snaps,
            features,
            trace: BlkinTrace { span_id, ..BlkinTrace::default() },
            ops,
        }
    }
}

prop_compose! {
    fn osd_op_reply()(
        request in osd_op(),
        (result, epoch, version, user_version) in any::<(i32, u32, u64, u64)>(),
        outputs in prop::collection::vec((blob(), any::<i32>()), 5),
        redirect in prop::option::of((locator(), blob())),
    ) -> MOsdOpReply {
        let mut reply = MOsdOpReply::to(&request, result, epoch, OsdFlags::ONDISK, true);
        for (op, (output, rval)) in reply.ops.iter_mut().zip(outputs) {
            op.rval = rval;
            op.outdata = crate::pieces(output);
        }
        reply.set_reply_versions(Eversion { epoch, version }, user_version);
        reply.redirect = redirect.map(|(locator, object)| RequestRedirect { locator, object });
        reply
    }
}

/// What arrives: the pieces of the data joined.
fn arrived(mut raw: RawMessage) -> RawMessage {
    raw.data = [raw.data_bytes()].into();
    raw
}

fn decode_as_everything(raw: &RawMessage) {
    let _ = MOsdOp::decode(raw);
    let _ = MOsdOpReply::decode(raw);
    let _ = MOsdMap::decode(raw);
    let _ = MWatchNotify::decode(raw);
    let _ = MOsdBackoff::decode(raw);
    let _ = MAuth::decode(raw);
    let _ = MAuthReply::decode(raw);
    let _ = MMonMap::decode(raw);
    let _ = MMonSubscribe::decode(raw);
    let _ = MMonGetVersionReply::decode(raw);
    let _ = MMonCommand::decode(raw);
    let _ = MMonCommandAck::decode(raw);
    let _ = MStatfs::decode(raw);
    let _ = MGetPoolStats::decode(raw);
    let _ = MGetPoolStatsReply::decode(raw);
    let _ = MPoolOp::decode(raw);
    let _ = MPoolOpReply::decode(raw);
    let _ = MConfig::decode(raw);
    let _ = MGetConfig::decode(raw);
    let _ = MLog::decode(raw);
    let _ = MLogAck::decode(raw);
    let _ = MMgrOpen::decode(raw);
    let _ = MMgrConfigure::decode(raw);
    let _ = MMgrReport::decode(raw);
    let _ = MMgrCommand::decode(raw);
}

proptest! {
    #[test]
    fn an_osd_op_is_read_back_whatever_the_peer(message in osd_op(), features in words()) {
        let raw = arrived(message.encode(features));
        let mut expected = message;
        if raw.header.version < 8 {
            expected.trace = BlkinTrace::default();
        }
        prop_assert_eq!(MOsdOp::decode(&raw), Ok(expected));
    }

    #[test]
    fn an_osd_op_reply_is_read_back_whatever_the_peer(message in osd_op_reply(), features in words()) {
        let raw = arrived(message.encode(features));
        prop_assert_eq!(MOsdOpReply::decode(&raw), Ok(message));
    }

    #[test]
    fn no_bytes_panic_any_decoder(front in prop::collection::vec(any::<u8>(), 0..300), data in blob(), version in 0u16..12) {
        let kind = crate::message::MessageType(0);
        let mut raw = RawMessage::new(kind, version, 0, front.into());
        raw.data = [data].into();
        decode_as_everything(&raw);
    }

    #[test]
    fn no_flipped_bit_of_a_real_message_panics_any_decoder(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        thread_local!(static REAL: Vec<RawMessage> = captured().into_iter().map(|c| c.raw).collect());
        let mut raw = REAL.with(|real| which.get(real).clone());
        let mut front = raw.front.to_vec();
        if !front.is_empty() {
            let at = at.index(front.len());
            front[at] ^= 1 << bit;
        }
        raw.front = front.into();
        decode_as_everything(&raw);
    }
}

#[test]
fn the_data_of_ops_is_not_copied() {
    let data = Bytes::from(vec![7; 4096]);
    let mut message = captured()
        .iter()
        .find(|c| c.name == "MOSDOp")
        .map(|c| MOsdOp::decode(&c.raw).unwrap())
        .unwrap();
    message.ops.truncate(1);
    message.ops[0].indata = data.clone();
    let raw = message.encode(Features::OURS);
    assert_eq!(raw.data[0].as_ptr(), data.as_ptr());
    let read = MOsdOp::decode(&raw).unwrap();
    assert_eq!(read.ops[0].indata.as_ptr(), data.as_ptr());

    let mut reply = MOsdOpReply::to(&read, 0, 1, OsdFlags::ACK, false);
    reply.ops[0].outdata = vec![data.slice(..100), data.slice(100..)].into();
    let raw = reply.encode(Features::OURS);
    assert_eq!(raw.data[1].as_ptr(), data[100..].as_ptr());
    assert_eq!(raw.data_len(), 4096);
}

#[test]
fn an_op_that_claims_more_data_than_arrived_is_refused() {
    let mut message = captured()
        .iter()
        .find(|c| c.name == "MOSDOp")
        .map(|c| MOsdOp::decode(&c.raw).unwrap())
        .unwrap();
    message.ops[0].indata = Bytes::from_static(b"0123456789");
    let mut raw = arrived(message.encode(Features::OURS));
    raw.data = [raw.data_bytes().slice(..raw.data_len() - 1)].into();
    assert!(MOsdOp::decode(&raw).is_err());
}
