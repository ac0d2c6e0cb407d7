//! Many connections that do nothing: clients that have a session with the OSD, and strangers that never say a word.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::peer::Peer;
use crate::raw_client::RawClient;
use crate::{Failure, Result};

/// Clients that do nothing.
pub const IDLE: usize = 10_000;
/// Strangers that say nothing.
pub const STRANGERS: usize = 2000;

/// Connections that stand until this is dropped, or the server cuts them off.
#[derive(Debug)]
pub struct Crowd {
    /// Those of clients.
    pub idle: Vec<TcpStream>,
    /// Those of strangers.
    pub strangers: Vec<TcpStream>,
}

impl Crowd {
    /// Connects [`IDLE`] clients to the first OSD and [`STRANGERS`] to the monitor. This process holds the other end of all of them, so it
    /// fails where it may not have so many files open.
    pub fn gather(client: &RawClient, mon_port: u16) -> Result<Self> {
        let most = raise_file_limit()?;
        if most < (IDLE + STRANGERS + 500) as u64 {
            return Err(Failure(format!("only {most} files may be open (ulimit -n)")));
        }
        let config = client.osd_config(0)?;
        let connect = |_| Ok(Peer::connect(config.clone())?.into_parts().0);
        let idle = std::thread::scope(|scope| {
            let parts = [0, 1, 2, 3]
                .map(|_| scope.spawn(|| (0..IDLE / 4).map(connect).collect::<Result<Vec<TcpStream>>>()));
            let mut all = Vec::with_capacity(IDLE);
            for part in parts {
                all.extend(part.join().map_err(|_| Failure("panicked".to_owned()))??);
            }
            Ok::<_, Failure>(all)
        })?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, mon_port));
        let stranger = |_| TcpStream::connect(at).map_err(|e| Failure::new(at, e));
        Ok(Self {
            idle,
            strangers: (0..STRANGERS).map(stranger).collect::<Result<_>>()?,
        })
    }
}

fn raise_file_limit() -> Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).map_err(|e| Failure::new("ulimit -n", e))?;
    Ok(current.unwrap_or(u64::MAX))
}
