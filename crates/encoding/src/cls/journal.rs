//! Class `journal`: clients and tags of a journal (Ceph `src/cls/journal/cls_journal_types.h`).

use bytes::Bytes;

framed! {
    /// `cls::journal::ObjectPosition`: an entry in a journal object.
    #[derive(Default, Copy)]
    ObjectPosition = "cls::journal::ObjectPosition" (1, 1) {
        /// Which object.
        object_number: u64;
        /// The entry's tag.
        tag_tid: u64;
        /// The entry's number within the tag.
        entry_tid: u64;
    }
}

framed! {
    /// `cls::journal::ObjectSetPosition`: what has been committed, most recent first.
    #[derive(Default)]
    ObjectSetPosition = "cls::journal::ObjectSetPosition" (1, 1) {
        /// A position for each object of the set.
        object_positions: Vec<ObjectPosition>;
    }
}

open_number! {
    /// `cls::journal::ClientState`.
    ClientState(u8) {
        /// The client reads the journal.
        CONNECTED = 0,
        /// The client is gone; the journal need not wait for it.
        DISCONNECTED = 1,
    }
}

framed! {
    /// `cls::journal::Client`: a registered reader of the journal.
    #[derive(Default)]
    Client = "cls::journal::Client" (1, 1) {
        /// Its name.
        id: Bytes;
        /// What it stores with its registration.
        data: Bytes;
        /// How far it has committed.
        commit_position: ObjectSetPosition;
        /// Whether it still reads.
        state: ClientState;
    }
}

framed! {
    /// `cls::journal::Tag`: a span of a journal's entries.
    #[derive(Default)]
    Tag = "cls::journal::Tag" (1, 1) {
        /// Its number.
        tid: u64;
        /// What kind of tag; numbers are given by the journal.
        tag_class: u64;
        /// Its owner's data.
        data: Bytes;
    }
}

/// `Tag::TAG_CLASS_NEW`: asks for a class of its own.
pub const TAG_CLASS_NEW: u64 = u64::MAX;
