//! What a transport has sent of a session's messages.

use encoding::RawMessage;

use super::{Attachment, link::Batch};

/// The sending side of a transport of a lossless session.
#[derive(Debug)]
pub(crate) struct Outbound {
    attachment: Attachment,
    /// The last message sent over this transport.
    sent: u64,
    /// The transport is gone.
    gone: bool,
}

impl Outbound {
    /// Begins with what the peer has not acknowledged.
    pub(crate) fn new(attachment: Attachment) -> Self {
        Self {
            attachment,
            sent: 0,
            gone: false,
        }
    }

    pub(crate) fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Queues a message for the peer, whatever becomes of this transport.
    pub(crate) fn queue(&self, message: RawMessage) {
        // Of a session that is over, or is now, the driver learns from the link.
        self.attachment.link().send(message);
    }

    /// The next messages to be sent. `tell` if they tell the peer what was received.
    pub(crate) fn batch(&mut self, tell: bool) -> Option<Batch> {
        if self.gone {
            return None;
        }
        let batch = self.attachment.batch(self.sent, tell)?;
        self.sent = batch.first + batch.messages.len() as u64 - 1;
        Some(batch)
    }

    /// What is to be acknowledged now.
    pub(crate) fn untold(&self) -> Option<u64> {
        if self.gone {
            return None;
        }
        self.attachment.untold()
    }

    /// Nothing more is sent over this transport.
    pub(crate) fn end(&mut self) {
        self.gone = true;
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }
}
