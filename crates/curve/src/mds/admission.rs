//! Whether the MDS lets this client in at all.
//!
//! `OwnerAuthFail` has two meanings: a file is somebody else's, or the call itself is not accepted, whatever it is for. That is so while the
//! clocks of client and MDS differ by 15 s or more, and where the root owner's signature is wrong.

use super::{Mds, namespace::file_info_request, status_of};
use crate::{error::Result, proto::namespace::StatusCode};

/// A path that is nobody's: whoever is let in is told that there is no such file.
const NOBODYS: &str = "/.rbdgate-curve is there nobody";

impl Mds {
    /// Whether the MDS refuses this client whatever it asks for.
    ///
    /// # Errors
    /// [`crate::Error::NoMds`].
    pub async fn is_shut_out(&self) -> Result<bool> {
        let answer = self
            .call(self.budget(), |stamp| file_info_request(NOBODYS, stamp))
            .await?;
        Ok(status_of(&answer.reply) == StatusCode::OwnerAuthFail)
    }
}
