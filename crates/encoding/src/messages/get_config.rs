//! `MGetConfig`: asking for a configuration (Ceph `src/messages/MGetConfig.h`).

use crate::{messages::plain::plain_message, types::EntityTypeId};

plain_message! {
    /// Asks for an entity's options.
    pub struct MGetConfig: GET_CONFIG, version 1, compat 1 {
        /// Whose.
        name: EntityTypeId,
        /// Its host.
        host: String,
        /// Its device class.
        device_class: String,
    }
}
