//! A session's messages on their way from the messenger, which must not wait, to the session's own task.

use std::{any::Any, sync::Arc};

use encoding::RawMessage;
use msgr::{Session, budget::Charge};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// How many messages may wait. A client waits for its answers; one that does not is cut off.
const WAITING: usize = 1024;

/// The sending end, kept with the session.
struct Inbox(Mutex<Option<mpsc::Sender<Held>>>);

/// A message that waits, or is worked on; until then it counts as held by its session.
pub(super) type Held = (Charge, RawMessage);

/// Makes the session's inbox and returns the receiving end.
pub(super) fn open(session: &Arc<Session>) -> mpsc::Receiver<Held> {
    let (tx, rx) = mpsc::channel(WAITING);
    let inbox: Arc<dyn Any + Send + Sync> = Arc::new(Inbox(Mutex::new(Some(tx))));
    // A session is opened once.
    let _ = session.extension().set(inbox);
    rx
}

fn inbox(session: &Session) -> Option<&Inbox> {
    session.extension().get()?.downcast_ref()
}

/// Hands a message on; a session whose inbox is full is closed.
pub(super) fn put(session: &Arc<Session>, message: RawMessage) {
    let Some(inbox) = inbox(session) else {
        return;
    };
    let full = match &*inbox.0.lock() {
        Some(tx) => {
            let charge = Charge::new(session, message.front.len() + message.data_len());
            tx.try_send((charge, message)).is_err()
        }
        None => false,
    };
    if full {
        tracing::warn!(peer = %session.peer().name, "too many messages wait, session closed");
        session.close();
    }
}

/// No more messages come: the session's task ends when it has done what waits.
pub(super) fn close(session: &Session) {
    if let Some(inbox) = inbox(session) {
        inbox.0.lock().take();
    }
}
