//! Decoding a message of whatever type and encoding it again.

use bytes::Bytes;
use capture::MessageItem;
use encoding::{
    Decode, Encode, Features, Message, RawMessage,
    maps::{MgrMap, MonMap, OsdMap, OsdMapIncremental, significant_features},
    messages::*,
};
use rbdgate_capture as capture;

/// What became of a message.
pub(crate) enum Again {
    /// The same bytes.
    Same,
    /// Other bytes, which decode to the same.
    Differs(String),
    /// It does not decode.
    Undecoded(String),
}

macro_rules! dispatch {
    ($item:ident: $($t:ty,)*) => {
        match $item.message.header.kind {
            $(<$t>::TYPE => round::<$t>($item),)*
            _ => Again::Undecoded("no such message".to_owned()),
        }
    };
}

/// Decodes and encodes.
pub(crate) fn again(item: &MessageItem) -> Again {
    dispatch! { item:
        MAuth, MAuthReply, MCommand, MCommandReply, MConfig, MGetConfig, MGetPoolStats, MGetPoolStatsReply,
        MLog, MLogAck, MMgrClose, MMgrCommand, MMgrCommandReply, MMgrConfigure, MMgrMap, MMgrOpen, MMgrReport,
        MMonCommand, MMonCommandAck, MMonGetMap, MMonGetVersion, MMonGetVersionReply, MMonMap, MMonSubscribe,
        MMonSubscribeAck, MOsdBackoff, MOsdMap, MOsdOp, MOsdOpReply, MPing, MPoolOp, MPoolOpReply, MStatfs,
        MStatfsReply, MWatchNotify,
    }
}

fn round<M: Message + PartialEq + std::fmt::Debug>(item: &MessageItem) -> Again {
    let raw = &item.message;
    let message = match M::decode(raw) {
        Ok(message) => message,
        Err(error) => return Again::Undecoded(error.to_string()),
    };
    let ours = message.encode(item.features);
    if M::decode(&ours).as_ref() != Ok(&message) {
        return Again::Undecoded("what we encode decodes to something else".to_owned());
    }
    match difference(raw, &ours) {
        None => Again::Same,
        Some(what) => Again::Differs(what),
    }
}

fn difference(raw: &RawMessage, ours: &RawMessage) -> Option<String> {
    let versions = |m: &RawMessage| (m.header.version, m.header.compat_version);
    if versions(raw) != versions(ours) {
        return Some(format!("versions {:?}, ours {:?}", versions(raw), versions(ours)));
    }
    let sections = [
        ("front", &raw.front, &ours.front),
        ("middle", &raw.middle, &ours.middle),
        ("data", &raw.data_bytes(), &ours.data_bytes()),
    ];
    let (name, raw, ours) = sections.into_iter().find(|(_, raw, ours)| raw != ours)?;
    let at = raw.iter().zip(ours).take_while(|(a, b)| a == b).count();
    Some(format!("{name} at {at}, lengths {} {}", raw.len(), ours.len()))
}

/// The maps in a message: which, and what became of each.
pub(crate) fn maps(item: &MessageItem) -> Vec<(&'static str, Again)> {
    let (raw, f) = (&item.message, item.features);
    let mut out = Vec::new();
    match raw.header.kind {
        MMonMap::TYPE => {
            let m = MMonMap::decode(raw).unwrap();
            out.push(("MonMap", map::<MonMap>(&m.monmap, f)));
        }
        MMgrMap::TYPE => {
            let m = MMgrMap::decode(raw).unwrap();
            out.push(("MgrMap", map::<MgrMap>(&m.mgrmap, f)));
        }
        MOsdMap::TYPE => {
            let m = MOsdMap::decode(raw).unwrap();
            // Monitors and OSDs encode them for classes of features, not for each peer.
            let f = significant_features(f);
            out.extend(m.maps.values().map(|b| ("OSDMap", map::<OsdMap>(b, f))));
            // Which class it was is in an incremental map.
            let class = |b| OsdMapIncremental::from_bytes(b).map_or(f, |inc| Features(inc.encode_features));
            let incremental = |b| ("OSDMap::Incremental", map::<OsdMapIncremental>(b, class(b)));
            out.extend(m.incremental_maps.values().map(incremental));
        }
        _ => {}
    }
    out
}

fn map<M: Decode + Encode + PartialEq>(bytes: &Bytes, features: Features) -> Again {
    let map = match M::from_bytes(bytes) {
        Ok(map) => map,
        Err(error) => return Again::Undecoded(error.to_string()),
    };
    let ours = map.to_bytes(features);
    if ours == bytes {
        return Again::Same;
    }
    if M::from_bytes(&ours).as_ref() != Ok(&map) {
        return Again::Differs("what we encode decodes to something else".to_owned());
    }
    let at = bytes.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    Again::Differs(format!("at {at}, lengths {} {}", bytes.len(), ours.len()))
}
