//! Items in words: one description for people and for programs.

mod auth;
mod control;
mod messages;
mod osd;
mod value;

use crate::{ConnectionInfo, Damage, Item, MessageItem, Traffic, packet::NoSegment, pcap::FileDamage};

pub use value::{Description, Fields, Value};

use value::text;

/// What an item is and what is in it. `connection` is the item's, if it has one.
#[must_use]
pub fn describe(item: &Item, connection: Option<&ConnectionInfo>) -> Description {
    match item {
        Item::Opened => Description::new("open", connection.map_or_else(Vec::new, opened)),
        Item::Closed => Description::new("close", connection.map_or_else(Vec::new, closed)),
        Item::V2Banner(banner) => Description::new(
            "BANNER",
            vec![
                ("supported", Value::Hex(banner.supported)),
                ("required", Value::Hex(banner.required)),
            ],
        ),
        Item::Control(control, _) => control::describe(control),
        Item::V1(item, _) => control::describe_v1(item),
        Item::Message(m) => message(m),
        Item::Damage(damage) => damaged(damage),
        Item::FileDamage(damage) => file_damaged(damage),
        Item::Packets(why, count) => unread(*why, *count),
    }
}

fn opened(c: &ConnectionInfo) -> Fields {
    let mut fields = vec![("client", text(c.client_addr)), ("server", text(c.server_addr))];
    if !c.from_start {
        fields.push(("from_start", false.into()));
    }
    fields
}

fn closed(c: &ConnectionInfo) -> Fields {
    let mut fields = vec![("protocol", c.protocol.name().into())];
    if let Some(entity) = &c.client_entity {
        fields.push(("entity", text(entity)));
    }
    let bytes = |t: &Traffic| {
        let mut fields: Fields = vec![("decoded", t.decoded.into())];
        if t.skipped > 0 {
            fields.push(("skipped", t.skipped.into()));
        }
        if t.missing > 0 {
            fields.push(("missing", t.missing.into()));
        }
        Value::Map(fields)
    };
    fields.push(("to_server", bytes(&c.traffic[0])));
    fields.push(("to_client", bytes(&c.traffic[1])));
    fields
}

fn message(m: &MessageItem) -> Description {
    let raw = &m.message;
    let mut fields: Fields = vec![("seq", m.seq.into()), ("tid", raw.header.tid.into())];
    fields.push(("v", raw.header.version.into()));
    let lengths = [
        ("front", raw.front.len()),
        ("middle", raw.middle.len()),
        ("data", raw.data_len()),
    ];
    for (name, len) in lengths {
        if len > 0 || name == "front" {
            fields.push((name, len.into()));
        }
    }
    let (name, content) = messages::content(m);
    match content {
        Ok(content) => fields.extend(content),
        Err(error) => fields.push(("undecoded", text(error))),
    }
    Description::new(name, fields)
}

fn damaged(damage: &Damage) -> Description {
    let mut fields: Fields = vec![("at", damage.offset.into())];
    if damage.skipped > 0 {
        fields.push(("skipped", damage.skipped.into()));
    }
    fields.push(("what", text(&damage.what)));
    Description::new("DAMAGE", fields)
}

fn file_damaged(damage: &FileDamage) -> Description {
    let what = if damage.cut {
        "the file ends within a packet"
    } else {
        "no packet here"
    };
    let fields = vec![
        ("at", damage.offset.into()),
        ("skipped", damage.len.into()),
        ("what", what.into()),
    ];
    Description::new("FILE DAMAGE", fields)
}

fn unread(why: NoSegment, count: u64) -> Description {
    let why = match why {
        NoSegment::NotTcp => "not TCP".to_owned(),
        NoSegment::Fragment => "fragments of IP packets, which are not put together".to_owned(),
        NoSegment::Malformed => "malformed or cut within their headers".to_owned(),
        NoSegment::Link(link) => format!("of a link layer that is not known here ({link})"),
    };
    Description::new(
        "UNREAD PACKETS",
        vec![("count", count.into()), ("what", why.into())],
    )
}
