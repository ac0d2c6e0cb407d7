//! Decoding a message of whatever type and encoding it again.

use capture::MessageItem;
use encoding::{Message, RawMessage, messages::*};
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
