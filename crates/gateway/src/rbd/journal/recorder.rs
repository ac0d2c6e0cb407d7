//! Writing to a journal, under a tag of its own (`src/journal/JournalRecorder.cc`, `JournalMetadata.cc`).

use encoding::{
    Decode, Encode, Errno, Features,
    cls::{
        image_journal::{ImageClientMeta, JournalEntry, JournalEvent, TagData, TagPredecessor},
        journal::{Client, ObjectPosition, ObjectSetPosition, Tag},
    },
};

use super::{JOURNAL, Journal, OWN};

/// How often a tag's number is asked for that others take meanwhile. Only the owner of the image's lock makes tags.
const ATTEMPTS: usize = 5;

/// Writes entries.
pub(super) struct Recorder {
    journal: Journal,
    tag_tid: u64,
    /// How many entries have been written.
    entries: u64,
    /// What the image's own client has committed, and will have.
    committed: Vec<ObjectPosition>,
}

impl Recorder {
    /// Begins a tag, as whoever takes the image's lock does (`Journal::allocate_local_tag`).
    ///
    /// # Errors
    /// EROFS if the image is not the primary one.
    pub(super) fn begin(journal: Journal, own: Client) -> Result<Self, Errno> {
        let meta = ImageClientMeta::from_bytes(&own.data).map_err(|_| Errno::EBADMSG)?;
        let committed = own.commit_position.object_positions;
        let predecessor = committed
            .first()
            .map_or_else(TagPredecessor::default, |last| TagPredecessor {
                commit_valid: true,
                tag_tid: last.tag_tid,
                entry_tid: last.entry_tid,
                ..TagPredecessor::default()
            });
        let data = TagData {
            predecessor,
            ..TagData::default()
        };
        let data = data.to_bytes(Features::ALL);
        for _ in 0..ATTEMPTS {
            let tag_tid = journal.get("get_next_tag_tid")?;
            check_primary(&journal, tag_tid)?;
            let input = ((tag_tid, meta.tag_class), data.clone()).to_bytes(Features::ALL);
            match journal.exec("tag_create", &input) {
                Err(Errno::ESTALE | Errno::EEXIST) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    return Ok(Self {
                        journal,
                        tag_tid,
                        entries: 0,
                        committed,
                    });
                }
            }
        }
        Err(Errno::ESTALE)
    }

    /// Adds an event. It is durable on return.
    pub(super) fn append(&mut self, event: &JournalEvent) -> Result<(), Errno> {
        let entry = JournalEntry {
            entry_tid: self.entries,
            tag_tid: self.tag_tid,
            data: event.to_bytes(Features::ALL),
        };
        let journal = &self.journal;
        let input = (journal.soft_max_size, entry.to_bytes(Features::ALL)).to_bytes(Features::ALL);
        loop {
            let set = journal.get("get_active_set")?;
            let within = entry.entry_tid % journal.splay_width;
            let object_number = set
                .checked_mul(journal.splay_width)
                .and_then(|first| first.checked_add(within))
                .ok_or(Errno::EBADMSG)?;
            match journal
                .data
                .exec(&journal.object(object_number), JOURNAL, "append", &input)
            {
                Err(Errno::EOVERFLOW) => begin_set(journal, set + 1)?,
                Err(error) => return Err(error),
                Ok(()) => {
                    let position = ObjectPosition {
                        object_number,
                        tag_tid: self.tag_tid,
                        entry_tid: entry.entry_tid,
                    };
                    self.entries += 1;
                    self.take_in(position);
                    return Ok(());
                }
            }
        }
    }

    /// The newest entry of each object of a set, the newest first.
    fn take_in(&mut self, newest: ObjectPosition) {
        let width = self.journal.splay_width;
        let same = |a: &ObjectPosition| a.object_number % width == newest.object_number % width;
        self.committed.retain(|position| !same(position));
        self.committed.insert(0, newest);
        self.committed
            .truncate(usize::try_from(width).unwrap_or(usize::MAX));
    }

    /// Notes that the image has all that was written here.
    pub(super) fn commit(self) -> Result<(), Errno> {
        let position = ObjectSetPosition {
            object_positions: self.committed,
        };
        let input = (OWN, position).to_bytes(Features::ALL);
        self.journal.exec("client_commit", &input)?;
        self.journal.notify();
        Ok(())
    }
}

/// Goes on to another set of objects: one of the last one's is full.
fn begin_set(journal: &Journal, set: u64) -> Result<(), Errno> {
    match journal.exec("set_active_set", &set.to_bytes(Features::ALL)) {
        Ok(()) | Err(Errno::ESTALE) => {}
        Err(error) => return Err(error),
    }
    journal.notify();
    Ok(())
}

/// Whether the newest tag is of this site.
fn check_primary(journal: &Journal, next_tag: u64) -> Result<(), Errno> {
    let newest = next_tag.checked_sub(1).ok_or(Errno::ENOENT)?;
    let input = newest.to_bytes(Features::ALL);
    let tag: Tag = journal.ioctx.query(&journal.oid, JOURNAL, "get_tag", &input)?;
    let data = TagData::from_bytes(&tag.data).map_err(|_| Errno::EBADMSG)?;
    match data.mirror_uuid.is_empty() {
        true => Ok(()),
        false => Err(Errno::EROFS),
    }
}
