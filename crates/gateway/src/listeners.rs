//! The daemons' sockets: each has one for msgr v2 and one for msgr v1, and maps name both.

use std::{collections::BTreeMap, fmt, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use encoding::{
    Encode, Feature, Features,
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType},
};
use msgr::{
    Dispatcher, MonMapSource, Protocol, ServerConfig,
    auth::{AuthConfig, AuthMethod},
    cephx::KeyServer,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    admin::{
        check::offset,
        http,
        sessions::Sessions,
        socket::{self, AdminSocket},
    },
    cluster::{Cluster, Endpoints, MGR_NAME, MON_NAME, OsdEndpoint},
    config::{Auth, MaxMsgr, Settings},
    mon::{MgrDispatcher, MonDispatcher, MonShared},
    osd::{Osd, OsdDispatcher},
    serve::ServeError,
};

/// What clients must know to find objects by our maps: straw2 buckets under Hammer's tunables, and pools hashed into
/// placement. Whoever lacks it would ask for objects in the wrong place, and is told so instead.
const PLACEMENT: [Feature; 5] = [
    Feature::CRUSH_TUNABLES,
    Feature::CRUSH_TUNABLES2,
    Feature::OSDHASHPSPOOL,
    Feature::CRUSH_TUNABLES3,
    Feature::CRUSH_V4,
];

/// One daemon's sockets.
struct Ports {
    /// None if only msgr v1 is spoken.
    v2: Option<TcpListener>,
    v1: TcpListener,
}

impl Ports {
    async fn bind(
        settings: &Settings,
        v2: (&'static str, SocketAddr),
        v1: (&'static str, SocketAddr),
    ) -> Result<Self, ServeError> {
        let v2 = match settings.max_msgr {
            MaxMsgr::V1 => None,
            MaxMsgr::V20 | MaxMsgr::V21 => Some(bind(v2.0, v2.1).await?),
        };
        Ok(Self {
            v2,
            v1: bind(v1.0, v1.1).await?,
        })
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

/// All sockets, bound before the cluster is opened: its maps name their ports.
pub(crate) struct Listeners {
    mon: Ports,
    osds: Vec<Ports>,
    mgr: Ports,
    http: TcpListener,
    /// Tells this process from earlier ones at the same addresses.
    nonce: u32,
}

async fn bind(setting: &'static str, at: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(at)
        .await
        .map_err(|reason| ServeError::Listen { setting, at, reason })
}

impl Listeners {
    /// Binds what the settings name.
    pub(crate) async fn bind(settings: &Settings) -> Result<Self, ServeError> {
        // Port 0 stays 0 for each: every one is a free one.
        let port = |n: u16| {
            if settings.osd.port() == 0 {
                settings.osd
            } else {
                offset(settings.osd, n)
            }
        };
        let pair = |n: u16| Ports::bind(settings, ("osd", port(2 * n)), ("osd", port(2 * n + 1)));
        let mut osds = Vec::new();
        for n in 0..settings.osd_count {
            osds.push(pair(n).await?);
        }
        Ok(Self {
            mon: Ports::bind(settings, ("mon-v2", settings.mon_v2), ("mon-v1", settings.mon_v1)).await?,
            mgr: pair(settings.osd_count).await?,
            http: bind("http", settings.http).await?,
            osds,
            nonce: rand::random_range(1..u32::MAX),
        })
    }

    /// Where everything is.
    pub(crate) fn endpoints(&self) -> io::Result<Endpoints> {
        let mut osds = BTreeMap::new();
        for (id, ports) in (0..).zip(&self.osds) {
            osds.insert(
                id,
                OsdEndpoint {
                    addrs: ports.addrs(self.nonce)?,
                },
            );
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Endpoints {
            fsid: None,
            host,
            mon: self.mon.addrs(0)?,
            mgr: self.mgr.addrs(self.nonce)?,
            services: BTreeMap::from([("prometheus".to_owned(), self.metrics_url()?)]),
            osds,
            admin_key: None,
        })
    }

    /// Where metrics are for those who scrape them: at the address of the setting, or the monitor's where that is any.
    fn metrics_url(&self) -> io::Result<String> {
        let mut at = self.http.local_addr()?;
        if at.ip().is_unspecified() {
            at.set_ip(self.mon.v1.local_addr()?.ip());
        }
        Ok(format!("http://{at}/"))
    }

    /// Serves everything until told to stop.
    pub(crate) fn start(
        self,
        settings: &Settings,
        cluster: &Arc<Cluster>,
        osd: &Arc<Osd>,
        stopping: &watch::Receiver<bool>,
    ) -> io::Result<JoinSet<io::Result<()>>> {
        let auth = auth_config(settings, Arc::clone(cluster) as _);
        let endpoints = self.endpoints()?;
        let mut servers = JoinSet::new();
        let sessions = Arc::<Sessions>::default();
        let mut serve =
            |name: EntityName, addrs: &EntityAddrVec, ports: Ports, dispatcher: Arc<dyn Dispatcher>| {
                for (protocol, listener) in ports.into_listeners(settings.max_msgr) {
                    let dispatcher = sessions.tracked(&daemon_name(name), protocol, Arc::clone(&dispatcher));
                    let mut config = ServerConfig::new(name, addrs.clone(), auth.clone());
                    config.protocol = protocol;
                    config.supported = config.supported.without(settings.mask_features);
                    if name.kind != EntityType::MGR {
                        config.required = PLACEMENT
                            .iter()
                            .fold(Features::NONE, |all, f| Features(all.0 | f.word().0));
                    }
                    config.monmap = Some(Arc::new(MonMaps(Arc::clone(cluster))));
                    let serving =
                        msgr::driver::serve(listener, Arc::new(config), dispatcher, stopping.clone());
                    servers.spawn(async move {
                        serving.await;
                        Ok(())
                    });
                }
            };
        let shared = MonShared::new(Arc::clone(cluster));
        let name = |kind, num| EntityName { kind, num };
        let mon = Arc::new(MonDispatcher::new(Arc::clone(&shared)));
        serve(name(EntityType::MON, 0), &endpoints.mon, self.mon, mon);
        let mgr_id = cluster.mgrmap().active_gid as i64;
        let mgr = Arc::new(MgrDispatcher::new(shared));
        serve(name(EntityType::MGR, mgr_id), &endpoints.mgr, self.mgr, mgr);
        for ((id, endpoint), ports) in endpoints.osds.into_iter().zip(self.osds) {
            let dispatcher = Arc::new(OsdDispatcher(Arc::clone(osd), id));
            serve(EntityName::osd(id.into()), &endpoint.addrs, ports, dispatcher);
        }
        servers.spawn(http::serve(self.http, Arc::clone(cluster), stopping.clone()));
        let path = socket::path(&settings.data);
        let admin = AdminSocket {
            cluster: Arc::clone(cluster),
            sessions,
            settings: settings.texts.clone(),
        };
        match socket::bind(&path) {
            Ok(listener) => {
                servers.spawn(socket::serve(listener, path, Arc::new(admin), stopping.clone()));
            }
            // Clients are served without it, too; a path may be too long for a socket.
            Err(error) => tracing::warn!(path = %path.display(), %error, "no admin socket"),
        }
        Ok(servers)
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
struct MonMaps(Arc<Cluster>);

impl fmt::Debug for MonMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MonMaps").finish_non_exhaustive()
    }
}

impl MonMapSource for MonMaps {
    fn monmap(&self, features: Features) -> (u32, Bytes) {
        let map = self.0.monmap();
        (map.epoch, map.to_bytes(features))
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
