//! A session at the monitor's port: subscriptions, commands and questions of one client, one after the other.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use bytes::Bytes;
use encoding::{
    Encode, Message, MessageType, RawMessage,
    features::Feature,
    messages::{
        MAuth, MAuthReply, MCommand, MCommandReply, MConfig, MGetConfig, MLog, MLogAck, MMgrMap, MMonCommand,
        MMonCommandAck, MMonGetVersion, MMonGetVersionReply, MMonMap, MMonSubscribe, MMonSubscribeAck,
        MOsdMap, MPing, MPoolOp, PaxosHeader, SubscribeItem,
    },
};
use msgr::Session;
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::{
    args::Args,
    asker,
    commands::{self, Context},
    format::Format,
    inbox::Held,
    log::LogLevel,
    pool_op, queries,
    run::Asker,
    sessions::Connected,
    shared::MonShared,
};
use crate::cluster::{
    Entrance, MON_NAME,
    caps::{CommandAccess, CommandService},
};

/// How often clients that must renew their subscriptions do so, in seconds (`mon_subscribe_interval`).
const SUBSCRIBE_INTERVAL: u32 = 86_400;
/// `CEPH_AUTH_CEPHX`.
const CEPHX: u32 = 2;

pub(super) struct MonSession {
    shared: Arc<MonShared>,
    session: Arc<Session>,
    entrance: Entrance,
    asker: Asker,
    /// What the client wants next of each map. One-time wishes go when they are met.
    subscriptions: BTreeMap<String, SubscribeItem>,
    /// What the client was last told of its options.
    config: Option<BTreeMap<String, String>>,
    /// What is told of it.
    connected: Option<Arc<Connected>>,
}

impl MonSession {
    pub(super) fn new(shared: Arc<MonShared>, entrance: Entrance, session: Arc<Session>) -> Self {
        let asker = asker::of(&session, CommandService::Mon);
        Self {
            shared,
            session,
            entrance,
            asker,
            subscriptions: BTreeMap::new(),
            config: None,
            connected: None,
        }
    }

    /// Serves the client until its session ends.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Held>) {
        self.connected = Some(self.shared.client_came(&self.session));
        let mut osdmap = self.shared.cluster().watch_osdmap();
        let mut config = self.shared.cluster().watch_config();
        let mut monmap = self.shared.cluster().watch_monmap();
        let mut log = self.shared.log().watch();
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Some((_charge, raw)) = message else { break };
                    if let Err(error) = self.handle(&raw).await {
                        tracing::warn!(
                            peer = %self.session.peer().name, kind = ?raw.header.kind, %error, "bad message"
                        );
                        self.session.close();
                    }
                }
                Ok(()) = osdmap.changed() => self.check("osdmap"),
                Ok(()) = config.changed() => self.check("config"),
                Ok(()) = monmap.changed() => self.check("monmap"),
                Ok(()) = log.changed() => self.check_log(),
            }
        }
        self.shared.client_went(&self.session);
    }

    fn send(&self, message: &impl Message) {
        self.session.send(message.encode(self.session.peer().features));
    }

    fn answer(&self, to: &RawMessage, message: &impl Message) {
        let raw = message.encode(self.session.peer().features);
        self.session.send(raw.with_tid(to.header.tid));
    }

    /// Whether the client may read (`r`) or write (`w`) what a service keeps.
    pub(super) fn may(&self, service: &str, read: bool, write: bool) -> bool {
        self.asker.caps.allows(&CommandAccess {
            service,
            module: "",
            command: "",
            args: &BTreeMap::new(),
            read,
            write,
            exec: false,
            peer: self.asker.peer,
        })
    }

    async fn handle(&mut self, raw: &RawMessage) -> encoding::codec::Result<()> {
        let cluster = self.shared.cluster().clone();
        match raw.header.kind {
            MessageType::MON_GET_MAP => self.answer(raw, &self.monmap()),
            MessageType::MON_SUBSCRIBE => self.subscribe(MMonSubscribe::decode(raw)?),
            MessageType::MON_GET_VERSION => self.get_version(raw, &MMonGetVersion::decode(raw)?),
            MessageType::AUTH => self.renew_tickets(raw, MAuth::decode(raw)?),
            MessageType::MON_COMMAND => self.mon_command(raw, MMonCommand::decode(raw)?).await,
            MessageType::COMMAND => {
                let m = MCommand::decode(raw)?;
                let (result, status, data) = asker::tell(
                    &self.shared,
                    &self.asker,
                    format!("mon.{MON_NAME}"),
                    m.cmd,
                    m.data,
                )
                .await;
                self.answer(raw, &MCommandReply { result, status, data });
            }
            MessageType::POOLOP => {
                let m = MPoolOp::decode(raw)?;
                let reply = pool_op::run(&self.shared, &self.asker, self.may("osd", false, true), m).await;
                self.answer(raw, &reply);
            }
            MessageType::STATFS if self.may("pg", true, false) => {
                if let Some(reply) = queries::statfs(&cluster, raw)? {
                    self.answer(raw, &reply);
                }
            }
            MessageType::GETPOOLSTATS if self.may("pg", true, false) => {
                if let Some(reply) = queries::pool_stats(&cluster, raw)? {
                    self.answer(raw, &reply);
                }
            }
            MessageType::GET_CONFIG => {
                let m = MGetConfig::decode(raw)?;
                let config = cluster.config_of(&m.name.to_string());
                self.answer(raw, &MConfig { config });
            }
            MessageType::LOG => self.log(raw, MLog::decode(raw)?),
            MessageType::PING => self.answer(raw, &MPing::pong(&self.state())),
            other => tracing::debug!(kind = ?other, "the monitor ignores a message"),
        }
        Ok(())
    }

    /// The state of cluster and monitor, as JSON.
    fn state(&self) -> String {
        commands::pong(&Context {
            mon: &self.shared,
            args: &Args::default(),
            input: &Bytes::new(),
            format: Format::default(),
            features: self.session.peer().features,
            asker: &self.asker,
        })
    }

    fn monmap(&self) -> MMonMap {
        let monmap = self.shared.cluster().monmap();
        let monmap = self
            .entrance
            .monmap(&monmap)
            .to_bytes(self.session.peer().monmap_features());
        MMonMap { monmap }
    }

    fn subscribe(&mut self, message: MMonSubscribe) {
        if let Some(connected) = &self.connected {
            connected.is_on(message.hostname);
        }
        let mut renewed = false;
        for (what, item) in message.what {
            let free = what == "monmap" || what == "config";
            let allowed =
                free || self.may("mon", true, false) && (what != "osdmap" || self.may("osd", true, false));
            if !allowed {
                tracing::debug!(
                    entity = self.asker.entity,
                    what,
                    "subscription without capability dropped"
                );
                continue;
            }
            renewed |= !item.is_onetime();
            self.subscriptions.insert(what.clone(), item);
            self.check(&what);
        }
        if renewed && !self.session.peer().features.has(Feature::SERVER_JEWEL) {
            let fsid = self.shared.cluster().fsid();
            let interval = SUBSCRIBE_INTERVAL;
            self.send(&MMonSubscribeAck { interval, fsid });
        }
    }

    /// Sends what is new of a map, if it is wanted.
    fn check(&mut self, what: &str) {
        let Some(item) = self.subscriptions.get(what).copied() else {
            return;
        };
        let sent = match what {
            "osdmap" => self.send_osdmaps(item.start).inspect(|epoch| {
                if let Some(connected) = &self.connected {
                    connected.sent_osdmap(*epoch);
                }
            }),
            "monmap" => {
                let epoch = u64::from(self.shared.cluster().monmap().epoch);
                (item.start <= epoch).then(|| {
                    self.send(&self.monmap());
                    epoch
                })
            }
            "mgrmap" => {
                let map = self.shared.cluster().mgrmap();
                let epoch = u64::from(map.epoch);
                (item.start <= epoch).then(|| {
                    let mgrmap = self.entrance.mgrmap(&map).to_bytes(self.session.peer().features);
                    self.send(&MMgrMap { mgrmap });
                    epoch
                })
            }
            "config" => self.send_config(),
            // Nothing here ever changes for the others (service map, OSDs' wishes).
            _ => LogLevel::of_subscription(what).and_then(|level| self.send_log(level, item.start)),
        };
        match sent {
            Some(_) if item.is_onetime() => drop(self.subscriptions.remove(what)),
            Some(last) => {
                if let Some(item) = self.subscriptions.get_mut(what) {
                    item.start = last + 1;
                }
            }
            None => {}
        }
    }

    /// Sends all OSD maps from `start` on; returns the newest epoch sent.
    fn send_osdmaps(&self, start: u64) -> Option<u64> {
        let features = self.session.peer().features;
        let cluster = self.shared.cluster();
        let mut start = u32::try_from(start).ok()?;
        let mut sent = None;
        loop {
            let maps = cluster.maps_since(start, features, &self.entrance);
            let Some(last) = maps.last() else {
                return sent;
            };
            self.send(&MOsdMap {
                fsid: cluster.fsid(),
                incremental_maps: maps.incremental,
                maps: maps.full,
                cluster_osdmap_trim_lower_bound: maps.oldest,
                newest_map: maps.newest,
                gap_removed_snaps: BTreeMap::new(),
            });
            sent = Some(u64::from(last));
            if last >= maps.newest {
                return sent;
            }
            start = last + 1;
        }
    }

    /// Tells the client its options, if they are not what it knows.
    fn send_config(&mut self) -> Option<u64> {
        let config = self.shared.cluster().config_of(&self.asker.entity);
        if self.config.as_ref() != Some(&config) {
            self.send(&MConfig {
                config: config.clone(),
            });
            self.config = Some(config);
        }
        // Options have no epoch: what counts is whether they differ.
        Some(0)
    }

    /// Looks after all wishes for the log.
    fn check_log(&mut self) {
        let wanted = |what: &&String| LogLevel::of_subscription(what).is_some();
        let wishes: Vec<String> = self.subscriptions.keys().filter(wanted).cloned().collect();
        for what in wishes {
            self.check(&what);
        }
    }

    /// Sends the entries of the log from version `start` on that are of that level or above; at first (0) the last
    /// version alone. Returns the version sent.
    fn send_log(&self, level: LogLevel, start: u64) -> Option<u64> {
        let (entries, version) = self.shared.log().since(start, level);
        if version < start.max(1) {
            return None;
        }
        if !entries.is_empty() {
            self.send(&MLog {
                paxos: PaxosHeader::new(version),
                fsid: self.shared.cluster().fsid(),
                entries,
            });
        }
        Some(version)
    }

    fn get_version(&self, raw: &RawMessage, message: &MMonGetVersion) {
        let cluster = self.shared.cluster();
        let (version, oldest_version) = match message.what.as_str() {
            "osdmap" => {
                let epoch = cluster.osdmap().epoch;
                (u64::from(epoch), u64::from(cluster.oldest_osdmap()))
            }
            "monmap" => (u64::from(cluster.monmap().epoch), 1),
            "mgrmap" => (u64::from(cluster.mgrmap().epoch), 1),
            "mdsmap" | "fsmap" => (1, 1),
            other => {
                tracing::debug!(what = other, "version of an unknown map asked for");
                return;
            }
        };
        let reply = MMonGetVersionReply {
            handle: message.handle,
            version,
            oldest_version,
        };
        self.answer(raw, &reply);
    }

    /// `MAuth` on an established session: new tickets for the client.
    fn renew_tickets(&self, raw: &RawMessage, message: MAuth) {
        let outcome = match self.session.mon_auth().as_mut() {
            Some(auth) => auth.handle_request(message.payload, SystemTime::now()),
            // Without cephx there is nothing to renew.
            None => Ok(Bytes::new()),
        };
        let reply = MAuthReply {
            protocol: CEPHX,
            result: outcome.as_ref().err().copied().unwrap_or(0),
            global_id: self.session.peer().global_id,
            payload: outcome.unwrap_or_default(),
            message: String::new(),
        };
        self.answer(raw, &reply);
    }

    async fn mon_command(&self, raw: &RawMessage, message: MMonCommand) {
        let (result, status, data) = if message.fsid == self.shared.cluster().fsid() {
            asker::command(&self.shared, &self.asker, message.cmd.clone(), message.data).await
        } else {
            (-Errno::PERM.raw_os_error(), "wrong fsid".to_owned(), Bytes::new())
        };
        let epoch = self.shared.cluster().osdmap().epoch;
        let ack = MMonCommandAck {
            paxos: PaxosHeader::new(epoch.into()),
            result,
            status,
            cmd: message.cmd,
            data,
        };
        self.answer(raw, &ack);
    }

    fn log(&self, raw: &RawMessage, message: MLog) {
        let Some(last) = message.entries.last() else {
            return;
        };
        let ack = MLogAck {
            fsid: self.shared.cluster().fsid(),
            last: last.seq,
            channel: last.channel.clone(),
        };
        self.answer(raw, &ack);
        if self.may("log", false, true) {
            self.shared.log().append(message.entries);
        }
    }
}
