//! A client of today on the wire, without librados: one thread, as many requests under way as it likes. For loads that
//! librbd itself would limit, and for clients that behave as no library does.

use std::io::{IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

use encoding::maps::OsdMap;
use encoding::messages::{MMonSubscribe, MOsdMap, SubscribeItem};
use encoding::types::{AddrType, EntityAddr, EntityType};
use encoding::{Decode, Features, Message, MessageType, RawMessage};
use msgr::auth::ConMode;
use msgr::connection::{Event, ReadHalf, WriteHalf};
use msgr::{ClientConfig, PeerInfo, Protocol};

use crate::cluster::Cluster;
use crate::peer::{self, Peer};
use crate::{Failure, Result};

/// An authenticated client with the cluster's map.
pub struct RawClient {
    mon: Peer,
    modes: Vec<ConMode>,
    /// The OSD map.
    pub map: OsdMap,
}

impl RawClient {
    /// Authenticates at the monitor over msgr v2 and waits for the map. `modes`: those offered to OSDs.
    pub fn start(mon_port: u16, keyring: &Path, modes: &[ConMode]) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mon_port));
        let target = EntityAddr::v2(address, 0);
        let auth = peer::admin(keyring)?;
        let mut config = peer::config(EntityType::MON, target, auth, Protocol::V2, Features::OURS);
        config.modes = vec![ConMode::SECURE, ConMode::CRC];
        let mut mon = Peer::connect(config)?;
        let subscription = MMonSubscribe {
            what: [("osdmap".to_owned(), SubscribeItem::default())].into(),
            ..MMonSubscribe::default()
        };
        mon.send(&subscription.encode(mon.info().features))?;
        let raw = mon.receive(MessageType::OSD_MAP)?;
        let message = MOsdMap::decode(&raw).map_err(|e| Failure::new("MOSDMap", e))?;
        let (_, full) = message
            .maps
            .last_key_value()
            .ok_or_else(|| Failure("MOSDMap without a full map".to_owned()))?;
        let map = OsdMap::from_bytes(full).map_err(|e| Failure::new("OSDMap", e))?;
        Ok(Self {
            mon,
            modes: modes.to_vec(),
            map,
        })
    }

    /// The administrator of a cluster of rbdgate.
    pub fn of(cluster: &mut Cluster, modes: &[ConMode]) -> Result<Self> {
        let keyring = cluster.keyring();
        Self::start(cluster.rbdgate().ports().mon_v2(), &keyring, modes)
    }

    /// What a connection to an OSD is made with.
    pub fn osd_config(&self, id: usize) -> Result<ClientConfig> {
        let addrs = self.map.osd_addrs.get(id);
        let target = addrs.and_then(|a| a.client.first(AddrType::MSGR2));
        let target = target.ok_or_else(|| Failure(format!("osd.{id} has no v2 address")))?;
        let auth = self.mon.tickets()?;
        let mut config = peer::config(EntityType::OSD, target, auth, Protocol::V2, Features::OURS);
        config.modes.clone_from(&self.modes);
        Ok(config)
    }

    /// Connects to an OSD with a ticket.
    pub fn osd(&self, id: usize) -> Result<Pipeline> {
        Ok(Pipeline::new(Peer::connect(self.osd_config(id)?)?))
    }
}

/// A session in which requests do not wait for the answers to others.
pub struct Pipeline {
    socket: TcpStream,
    read: ReadHalf,
    write: WriteHalf,
    info: PeerInfo,
}

impl Pipeline {
    /// Over a session that stands.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        let (socket, read, write, info) = peer.into_parts();
        Self {
            socket,
            read,
            write,
            info,
        }
    }

    /// What the handshake told of the server; its features are those of both sides.
    #[must_use]
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Queues a message; [`Self::flush`] sends it.
    pub fn queue(&mut self, message: &RawMessage) {
        self.write.send(message);
    }

    /// Writes what was queued.
    pub fn flush(&mut self) -> Result<()> {
        while !self.write.output().is_empty() {
            let pieces: Vec<IoSlice<'_>> = self.write.output().pieces().map(|p| IoSlice::new(p)).collect();
            let written = self.socket.write_vectored(&pieces);
            match written.map_err(|e| Failure::new("sending", e))? {
                0 => return Err(Failure("the server takes nothing more".to_owned())),
                n => self.write.output().advance(n),
            }
        }
        Ok(())
    }

    /// Writes the first bytes of what was queued, and forgets the rest: the connection is to break there. Returns how many
    /// bytes all of it had.
    pub fn flush_part(&mut self, bytes: usize) -> Result<usize> {
        let queued = self.write.output().take();
        let part = queued.get(..bytes.min(queued.len())).unwrap_or_default();
        let done = self.socket.write_all(part);
        done.map_err(|e| Failure::new("sending", e))?;
        Ok(queued.len())
    }

    /// Waits for the next message of the type `kind`; others are passed over.
    pub fn receive(&mut self, kind: MessageType) -> Result<RawMessage> {
        loop {
            while let Some(message) = self.received()? {
                if message.header.kind == kind {
                    return Ok(message);
                }
            }
            self.wait()?;
        }
    }

    /// A message of those received; none if the server has to be waited for.
    pub fn received(&mut self) -> Result<Option<RawMessage>> {
        while let Some(event) = self.read.poll_event().map_err(|e| Failure::new("receiving", e))? {
            match event {
                Event::Message(message) => return Ok(Some(message)),
                Event::Keepalive(stamp) => self.write.keepalive_ack(stamp),
                Event::Close => return Err(Failure("the server closed the session".to_owned())),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Waits for bytes from the server.
    pub fn wait(&mut self) -> Result<()> {
        let buffer = self.read.read_buf();
        let filled = buffer.len();
        buffer.resize(buffer.capacity().max(filled + 1), 0);
        let received = self.socket.read(&mut buffer[filled..]);
        buffer.truncate(filled + *received.as_ref().unwrap_or(&0));
        match received {
            Ok(0) => Err(Failure("the server closed the connection".to_owned())),
            Ok(_) => Ok(()),
            Err(e) => Err(Failure::new("receiving", e)),
        }
    }
}
