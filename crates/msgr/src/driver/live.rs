//! The lossless sessions of a listener, with a connection or without.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::net::TcpStream;

use crate::{
    config::ServerConfig,
    connection::{Established, ReadHalf},
    lossless::Link,
    session::{Dispatcher, Session},
};

use super::pump::end;

/// Sessions by their link's number.
#[derive(Default)]
pub(super) struct Live(Mutex<HashMap<u64, Arc<Session>>>);

impl Live {
    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that a connection is for: a new one, or one that goes on over it. Also says which connection of
    /// the session it is.
    pub(super) fn enter(
        &self,
        link: &Arc<Link>,
        established: Established,
        socket: &Arc<TcpStream>,
        config: &ServerConfig,
    ) -> (Arc<Session>, u64, ReadHalf) {
        let Established {
            peer,
            mon_auth,
            read,
            write,
            ..
        } = established;
        let transport = write.attachment().map_or(0, |attachment| attachment.transport());
        let mut sessions = self.sessions();
        if let Some(session) = sessions.get(&link.id()) {
            session.attach(write, socket.clone());
            return (session.clone(), transport, read);
        }
        let session = Session::new(peer, mon_auth, write, socket.clone(), config.budget.clone());
        let session = Arc::new(session);
        sessions.insert(link.id(), session.clone());
        (session, transport, read)
    }

    /// Ends the sessions that are over: closed by a daemon, replaced by their peers, or expired.
    pub(super) async fn reap(&self, dispatcher: &dyn Dispatcher) {
        let mut over = Vec::new();
        self.sessions().retain(|_, session| {
            let stands = session.is_open() && session.link().is_some_and(|link| !link.is_closed());
            if !stands {
                over.push(session.clone());
            }
            stands
        });
        for session in over {
            session.close();
            // Its last connection may still be handing on what it has read.
            let reading = session.reading().await;
            end(&session, dispatcher);
            drop(reading);
        }
    }

    /// Closes all sessions.
    pub(super) fn close(&self) {
        for session in self.sessions().values() {
            session.close();
        }
    }
}
