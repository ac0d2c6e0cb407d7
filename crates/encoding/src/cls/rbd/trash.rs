//! Removed images that can be restored.

use bytes::Bytes;

use crate::types::Utime;

open_number! {
    /// `TrashImageSource`: who moved the image to the trash.
    TrashImageSource(u8) {
        /// A user.
        USER = 0,
        /// Mirroring.
        MIRRORING = 1,
        /// Migration: the image is the source.
        MIGRATION = 2,
        /// A removal that goes on in the background.
        REMOVING = 3,
        /// A user, and the image has clones.
        USER_PARENT = 4,
    }
}

open_number! {
    /// `TrashImageState`.
    TrashImageState(u8) {
        /// In the trash.
        NORMAL = 0,
        /// On its way there.
        MOVING = 1,
        /// Being removed.
        REMOVING = 2,
        /// Being restored.
        RESTORING = 3,
    }
}

framed! {
    /// `cls::rbd::TrashImageSpec`: an image in the trash.
    TrashImageSpec = "cls::rbd::TrashImageSpec" (2, 1) {
        /// Who moved it there.
        source: TrashImageSource;
        /// Its name.
        name: Bytes;
        /// When it was moved.
        deletion_time: Utime;
        /// Until when it must be kept.
        deferment_end_time: Utime;
        /// What happens to it.
        state: TrashImageState, since 2;
    }
}
