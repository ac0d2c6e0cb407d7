//! `MMgrOpen`: a daemon or client introduces itself to the manager (Ceph `src/messages/MMgrOpen.h`).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::{
    codec::{Put, Reader, Result},
    features::Features,
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
};

const HEAD_VERSION: u16 = 3;
const COMPAT_VERSION: u16 = 1;

/// Opens a session with the manager.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MMgrOpen {
    /// The daemon or client, without its type.
    pub daemon_name: String,
    /// Its service; empty follows from its entity type.
    pub service_name: String,
    /// What a daemon that belongs to a service (rbd-mirror, ...) says of itself, and its status.
    pub service_daemon: Option<(BTreeMap<String, String>, BTreeMap<String, String>)>,
    /// Its configuration, encoded.
    pub config: Bytes,
    /// Its defaults, encoded.
    pub config_defaults: Bytes,
}

impl Message for MMgrOpen {
    const TYPE: MessageType = MessageType::MGR_OPEN;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MMgrOpen")?;
        let mut r = Reader::new(&raw.front);
        let mut m = Self {
            daemon_name: r.string()?,
            ..Self::default()
        };
        if raw.header.version >= 2 {
            m.service_name = r.string()?;
            if r.bool()? {
                m.service_daemon = Some((r.map()?, r.map()?));
            }
        }
        if raw.header.version >= 3 {
            m.config = r.blob()?;
            m.config_defaults = r.blob()?;
        }
        Ok(m)
    }

    fn encode(&self, features: Features) -> RawMessage {
        let mut out = BytesMut::new();
        out.put_string(&self.daemon_name);
        out.put_string(&self.service_name);
        out.put_bool(self.service_daemon.is_some());
        if let Some((metadata, status)) = &self.service_daemon {
            out.put_map(metadata, features);
            out.put_map(status, features);
        }
        out.put_blob(&self.config);
        out.put_blob(&self.config_defaults);
        RawMessage::new(Self::TYPE, HEAD_VERSION, COMPAT_VERSION, out.freeze())
    }
}
