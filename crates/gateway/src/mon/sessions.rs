//! The clients connected to the monitor, as `ceph tell mon.a sessions` lists them (`MonSession::dump`).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use encoding::{
    features::{Feature, Features},
    types::{AddrType, EntityAddr},
};
use msgr::Session;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::show::{address_value, addrvec};

/// The clients that are connected, by the numbers of their sessions.
#[derive(Debug, Default)]
pub(super) struct MonSessions {
    open: Mutex<BTreeMap<u64, Arc<Connected>>>,
}

/// A connected client.
#[derive(Debug)]
pub(super) struct Connected {
    session: Arc<Session>,
    /// The newest OSD map that it was sent; 0 for none.
    osd_epoch: AtomicU32,
    /// The host that it says it is on.
    host: Mutex<String>,
}

impl Connected {
    /// It was sent OSD maps up to this one.
    pub(super) fn sent_osdmap(&self, epoch: u64) {
        self.osd_epoch
            .fetch_max(u32::try_from(epoch).unwrap_or(u32::MAX), Relaxed);
    }

    /// It told the host that it is on.
    pub(super) fn is_on(&self, host: String) {
        if !host.is_empty() {
            *self.host.lock() = host;
        }
    }

    fn describe(&self) -> Value {
        let peer = self.session.peer();
        let nonce = peer.addrs.0.first().map_or(0, |addr| addr.nonce);
        let socket = EntityAddr {
            kind: AddrType::ANY,
            nonce,
            socket: Some(peer.socket),
        };
        let caps = match peer.caps.allow_all {
            true => "allow *".to_owned(),
            false => peer.caps.text().unwrap_or_default(),
        };
        json!({
            "name": peer.name.to_string(),
            "entity_name": peer.entity,
            "addrs": addrvec(&peer.addrs),
            "socket_addr": address_value(&socket),
            "con_type": peer.name.kind.name(),
            "con_features": peer.features.0,
            "con_features_hex": format!("{:x}", peer.features.0),
            "con_features_release": release_of(peer.features),
            "open": self.session.is_open(),
            "caps": {"text": caps},
            "authenticated": true,
            "global_id": peer.global_id,
            "global_id_status": "new_ok",
            "osd_epoch": self.osd_epoch.load(Relaxed),
            "remote_host": self.host.lock().clone(),
        })
    }
}

impl MonSessions {
    pub(super) fn opened(&self, session: &Arc<Session>) -> Arc<Connected> {
        let connected = Arc::new(Connected {
            session: Arc::clone(session),
            osd_epoch: AtomicU32::new(0),
            host: Mutex::default(),
        });
        let mut open = self.open.lock();
        open.insert(session.id(), Arc::clone(&connected));
        connected
    }

    pub(super) fn closed(&self, session: &Session) {
        self.open.lock().remove(&session.id());
    }

    /// How many clients have which features.
    pub(super) fn features(&self) -> BTreeMap<Features, u64> {
        let mut counts = BTreeMap::new();
        for connected in self.open.lock().values() {
            *counts.entry(connected.session.peer().features).or_default() += 1;
        }
        counts
    }

    /// All of them, the oldest first.
    pub(super) fn list(&self) -> Value {
        let all: Vec<Arc<Connected>> = self.open.lock().values().cloned().collect();
        Value::Array(all.iter().map(|connected| connected.describe()).collect())
    }
}

/// The release that a client's features are of, as Ceph tells it (`ceph_release_from_features`).
pub(super) fn release_of(features: Features) -> &'static str {
    const RELEASES: [(Feature, &str); 3] = [
        (Feature::SERVER_LUMINOUS, "luminous"),
        (Feature::SERVER_JEWEL, "jewel"),
        (Feature::CRUSH_V4, "hammer"),
    ];
    RELEASES
        .iter()
        .find(|(f, _)| features.has(*f))
        .map_or("unknown", |(_, name)| name)
}
