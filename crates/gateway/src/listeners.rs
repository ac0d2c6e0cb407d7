//! The daemons' sockets: each has one for msgr v2 and one for msgr v1, and maps name both. Each further listener has
//! a set of its own for all daemons.

use std::{collections::BTreeMap, fmt, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use encoding::{
    Encode, Features,
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};
use msgr::{
    Dispatcher, Gate, MonMapSource, Protocol, ServerConfig,
    auth::{AuthConfig, AuthMethod},
    budget::Budget,
    cephx::KeyServer,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    admin::{
        http,
        sessions::{Door, Sessions},
        socket::{self, AdminSocket},
    },
    backend::{CurveDevices, commands::ServerCommands},
    cluster::{Cluster, Endpoints, Entrance, MGR_NAME, MON_NAME, OsdEndpoint},
    config::{Auth, Listener, MaxMsgr, Settings, offset},
    mon::{MgrDispatcher, MonDispatcher, MonShared, health_log, report_pgmap},
    open::ServeError,
    osd::{Osd, OsdDispatcher},
    rbd_support::RbdSupport,
};

/// One daemon's sockets.
struct Ports {
    /// None if only msgr v1 is spoken.
    v2: Option<TcpListener>,
    v1: TcpListener,
}

/// An address to listen on, and the setting that it is from.
type Address = (&'static str, SocketAddr);

impl Ports {
    async fn bind(max: MaxMsgr, v2: Address, v1: Address) -> Result<Self, ServeError> {
        let v2 = match max {
            MaxMsgr::V1 => None,
            MaxMsgr::V20 | MaxMsgr::V21 => Some(bind(v2.0, v2.1).await?),
        };
        Ok(Self {
            v2,
            v1: bind(v1.0, v1.1).await?,
        })
    }

    /// The `n`th pair of a run of ports.
    async fn bind_nth(max: MaxMsgr, (setting, first): Address, n: u16) -> Result<Self, ServeError> {
        // Port 0 stays 0 for each: every one is a free one.
        let port = |n: u16| match first.port() {
            0 => (setting, first),
            _ => (setting, offset(first, n)),
        };
        Self::bind(max, port(2 * n), port(2 * n + 1)).await
    }

    /// The addresses as maps have them: v2 first.
    fn addrs(&self, nonce: u32) -> io::Result<EntityAddrVec> {
        let mut addrs = Vec::new();
        if let Some(v2) = &self.v2 {
            addrs.push(EntityAddr::v2(v2.local_addr()?, nonce));
        }
        addrs.push(EntityAddr::v1(self.v1.local_addr()?, nonce));
        Ok(EntityAddrVec(addrs))
    }

    fn into_listeners(self, max: MaxMsgr) -> impl Iterator<Item = (Protocol, TcpListener)> {
        let newest = if max == MaxMsgr::V20 {
            Protocol::V20
        } else {
            Protocol::V2
        };
        let v2 = self.v2.map(|listener| (newest, listener));
        v2.into_iter().chain([(Protocol::V1, self.v1)])
    }
}

/// The sockets of all daemons at one entrance, and what holds for all of them.
struct Daemons {
    mon: Ports,
    osds: Vec<Ports>,
    mgr: Ports,
    max_msgr: MaxMsgr,
    mask_features: Features,
}

impl Daemons {
    async fn bind_usual(settings: &Settings) -> Result<Self, ServeError> {
        let max = settings.max_msgr;
        let mut osds = Vec::new();
        for n in 0..settings.osd_count {
            osds.push(Ports::bind_nth(max, ("osd", settings.osd), n).await?);
        }
        Ok(Self {
            mon: Ports::bind(max, ("mon-v2", settings.mon_v2), ("mon-v1", settings.mon_v1)).await?,
            mgr: Ports::bind_nth(max, ("osd", settings.osd), settings.osd_count).await?,
            osds,
            max_msgr: max,
            mask_features: settings.mask_features,
        })
    }

    /// A further listener: one run of ports for all.
    async fn bind_further(settings: &Settings, listener: &Listener) -> Result<Self, ServeError> {
        let max = listener.max_msgr.unwrap_or(settings.max_msgr);
        let first = ("listen", listener.at);
        let mut osds = Vec::new();
        for n in 0..settings.osd_count {
            osds.push(Ports::bind_nth(max, first, n + 1).await?);
        }
        Ok(Self {
            mon: Ports::bind_nth(max, first, 0).await?,
            mgr: Ports::bind_nth(max, first, settings.osd_count + 1).await?,
            osds,
            max_msgr: max,
            mask_features: listener.mask_features.unwrap_or(settings.mask_features),
        })
    }

    fn osd_addrs(&self, nonce: u32) -> io::Result<BTreeMap<i32, EntityAddrVec>> {
        let addrs = (0..).zip(&self.osds);
        addrs.map(|(id, ports)| Ok((id, ports.addrs(nonce)?))).collect()
    }

    /// Where clients that come in here are told that everything is.
    fn entrance(&self, number: u16, nonce: u32) -> io::Result<Entrance> {
        if number == 0 {
            return Ok(Entrance::USUAL);
        }
        let mon = self.mon.addrs(0)?;
        tracing::info!(mon_host = %mon, "a further listener");
        Ok(Entrance::further(
            number,
            mon,
            self.mgr.addrs(nonce)?,
            self.osd_addrs(nonce)?,
        ))
    }
}

/// All sockets, bound before the cluster is opened: its maps name their ports.
pub(crate) struct Listeners {
    /// The usual ones first.
    daemons: Vec<Daemons>,
    http: TcpListener,
    /// Tells this process from earlier ones at the same addresses.
    nonce: u32,
}

async fn bind(setting: &'static str, at: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(at)
        .await
        .map_err(|reason| ServeError::Listen { setting, at, reason })
}

/// What every daemon is served with.
struct Server<'a> {
    settings: &'a Settings,
    cluster: &'a Arc<Cluster>,
    osd: &'a Arc<Osd>,
    devices: Option<&'a CurveDevices>,
    auth: AuthConfig,
    budget: Arc<Budget>,
    gate: Arc<Gate>,
    sessions: Arc<Sessions>,
    servers: JoinSet<io::Result<()>>,
    stopping: &'a watch::Receiver<bool>,
    nonce: u32,
}

impl Listeners {
    /// Binds what the settings name.
    pub(crate) async fn bind(settings: &Settings) -> Result<Self, ServeError> {
        let mut daemons = vec![Daemons::bind_usual(settings).await?];
        for listener in &settings.listen {
            daemons.push(Daemons::bind_further(settings, listener).await?);
        }
        Ok(Self {
            daemons,
            http: bind("http", settings.http).await?,
            nonce: rand::random_range(1..u32::MAX),
        })
    }

    /// Where everything is.
    pub(crate) fn endpoints(&self) -> io::Result<Endpoints> {
        let usual = self
            .daemons
            .first()
            .ok_or_else(|| io::Error::other("no listener"))?;
        let osds = usual.osd_addrs(self.nonce)?;
        let osds = osds.into_iter().map(|(id, addrs)| (id, OsdEndpoint { addrs }));
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Endpoints {
            fsid: None,
            host,
            mon: usual.mon.addrs(0)?,
            mgr: usual.mgr.addrs(self.nonce)?,
            services: BTreeMap::from([("prometheus".to_owned(), self.metrics_url(usual)?)]),
            osds: osds.collect(),
            admin_key: None,
        })
    }

    /// Where metrics are for those who scrape them: at the address of the setting, or the monitor's where that is any.
    fn metrics_url(&self, usual: &Daemons) -> io::Result<String> {
        let mut at = self.http.local_addr()?;
        if at.ip().is_unspecified() {
            at.set_ip(usual.mon.v1.local_addr()?.ip());
        }
        Ok(format!("http://{at}/"))
    }

    /// Serves everything until told to stop.
    pub(crate) fn start(
        self,
        settings: &Settings,
        cluster: &Arc<Cluster>,
        osd: &Arc<Osd>,
        devices: Option<&CurveDevices>,
        rbd_support: &Arc<RbdSupport>,
        stopping: &watch::Receiver<bool>,
    ) -> io::Result<JoinSet<io::Result<()>>> {
        let mut server = Server {
            settings,
            cluster,
            osd,
            devices,
            budget: settings.limits.budget(),
            gate: settings.limits.gate(),
            auth: auth_config(settings, Arc::clone(cluster) as _),
            sessions: Arc::default(),
            servers: JoinSet::new(),
            stopping,
            nonce: self.nonce,
        };
        let shared = MonShared::new(Arc::clone(cluster));
        shared.set_rbd_support(Arc::clone(rbd_support));
        for (number, daemons) in (0..).zip(self.daemons) {
            server.serve_all(number, daemons, &shared)?;
        }
        let reports = report_pgmap(Arc::clone(&shared), stopping.clone());
        server.servers.spawn(reports);
        server.serve_admin(self.http);
        let health = health_log::run(shared, server.stopping.clone());
        server.servers.spawn(health);
        Ok(server.servers)
    }
}

impl Server<'_> {
    /// Serves the daemons at one entrance.
    fn serve_all(&mut self, number: u16, daemons: Daemons, shared: &Arc<MonShared>) -> io::Result<()> {
        let entrance = daemons.entrance(number, self.nonce)?;
        let (max, mask) = (daemons.max_msgr, daemons.mask_features);
        let name = |kind, num| EntityName { kind, num };
        let mon = MonDispatcher::new(Arc::clone(shared), entrance.clone());
        let monmap = || Arc::new(MonMaps(Arc::clone(self.cluster), entrance.clone()));
        let config = |name: EntityName, addrs: EntityAddrVec| {
            let mut config = ServerConfig::new(name, addrs, self.auth.clone());
            config.supported = config.supported.without(mask);
            config.compression = self.settings.compression.clone();
            config.budget = Arc::clone(&self.budget);
            config.gate = Arc::clone(&self.gate);
            if name.kind != EntityType::MGR {
                config.required = Features::REQUIRED;
            }
            config.monmap = Some(monmap());
            config
        };
        let mgr_id = self.cluster.mgrmap().active_gid as i64;
        let mgr = MgrDispatcher::new(Arc::clone(shared));
        let mut all: Vec<(EntityName, u32, Ports, Arc<dyn Dispatcher>)> = vec![
            (name(EntityType::MON, 0), 0, daemons.mon, Arc::new(mon)),
            (
                name(EntityType::MGR, mgr_id),
                self.nonce,
                daemons.mgr,
                Arc::new(mgr),
            ),
        ];
        for (id, ports) in (0..).zip(daemons.osds) {
            let dispatcher = OsdDispatcher::new(Arc::clone(self.osd), id, entrance.clone());
            all.push((
                EntityName::osd(id.into()),
                self.nonce,
                ports,
                Arc::new(dispatcher),
            ));
        }
        for (name, nonce, ports, dispatcher) in all {
            let addrs = ports.addrs(nonce)?;
            for (protocol, listener) in ports.into_listeners(max) {
                let door = Door {
                    daemon: daemon_name(name),
                    protocol,
                    at: listener.local_addr()?,
                };
                let dispatcher = self.sessions.tracked(door, Arc::clone(&dispatcher));
                let mut config = config(name, addrs.clone());
                config.protocol = protocol;
                let serving =
                    msgr::driver::serve(listener, Arc::new(config), dispatcher, self.stopping.clone());
                self.servers.spawn(async move {
                    serving.await;
                    Ok(())
                });
            }
        }
        Ok(())
    }

    /// Serves HTTP and the admin socket.
    fn serve_admin(&mut self, listener: TcpListener) {
        let web = http::serve(
            listener,
            Arc::clone(self.cluster),
            Arc::clone(&self.sessions),
            self.stopping.clone(),
        );
        self.servers.spawn(web);
        let path = socket::path(&self.settings.data);
        let admin = AdminSocket {
            cluster: Arc::clone(self.cluster),
            sessions: Arc::clone(&self.sessions),
            settings: self.settings.texts.clone(),
            more: Arc::new(ServerCommands::new(
                Arc::clone(self.osd),
                Arc::clone(self.cluster),
                self.devices.cloned(),
            )),
        };
        match socket::bind(&path) {
            Ok(listener) => {
                let serving = socket::serve(listener, path, Arc::new(admin), self.stopping.clone());
                self.servers.spawn(serving);
            }
            // Clients are served without it, too; a path may be too long for a socket.
            Err(error) => tracing::warn!(path = %path.display(), %error, "no admin socket"),
        }
    }
}

/// A daemon's name as Ceph has it: the monitor and the manager go by letters.
fn daemon_name(name: EntityName) -> String {
    match name.kind {
        EntityType::MON => format!("mon.{MON_NAME}"),
        EntityType::MGR => format!("mgr.{MGR_NAME}"),
        _ => name.to_string(),
    }
}

/// The monitor map for clients that are not authenticated yet.
struct MonMaps(Arc<Cluster>, Entrance);

impl fmt::Debug for MonMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MonMaps").finish_non_exhaustive()
    }
}

impl MonMapSource for MonMaps {
    fn monmap(&self, features: Features) -> (u32, Bytes) {
        let map = self.0.monmap();
        (map.epoch, self.1.monmap(&map).to_bytes(features))
    }
}

fn auth_config(settings: &Settings, keys: Arc<dyn KeyServer>) -> AuthConfig {
    let method = match settings.auth {
        Auth::Cephx => AuthMethod::CEPHX,
        Auth::None => AuthMethod::NONE,
    };
    AuthConfig {
        methods: vec![method],
        modes: settings.modes.clone(),
        ..AuthConfig::cephx(keys)
    }
}
