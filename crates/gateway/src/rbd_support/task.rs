//! A task: what is to be done to an image, and how that goes.

use std::time::{Duration, SystemTime};

use encoding::types::Utime;
use serde_json::{Map, Value, json};

use super::json;

/// What tasks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make a clone independent of its parent.
    Flatten,
    /// Remove an image.
    Remove,
    /// Remove an image that is in the trash.
    TrashRemove,
    /// Copy an image that is being migrated.
    MigrationExecute,
    /// End a migration.
    MigrationCommit,
    /// Undo a migration.
    MigrationAbort,
}

impl Action {
    const ALL: [Self; 6] = [
        Self::Flatten,
        Self::Remove,
        Self::TrashRemove,
        Self::MigrationExecute,
        Self::MigrationCommit,
        Self::MigrationAbort,
    ];

    /// The name in a task's description.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flatten => "flatten",
            Self::Remove => "remove",
            Self::TrashRemove => "trash remove",
            Self::MigrationExecute => "migrate execute",
            Self::MigrationCommit => "migrate commit",
            Self::MigrationAbort => "migrate abort",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

/// What a task is about. Fields that it does not have are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refs {
    /// What is done.
    pub action: Action,
    /// The image's pool.
    pub pool: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub image_name: Option<String>,
    /// Its id.
    pub image_id: Option<String>,
}

impl Refs {
    /// As JSON, in the order in which Ceph writes it.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("action".to_owned(), self.action.name().into());
        out.insert("pool_name".to_owned(), self.pool.clone().into());
        out.insert("pool_namespace".to_owned(), self.namespace.clone().into());
        if let Some(name) = &self.image_name {
            out.insert("image_name".to_owned(), name.clone().into());
        }
        if let Some(id) = &self.image_id {
            out.insert("image_id".to_owned(), id.clone().into());
        }
        out
    }

    fn from_json(fields: &Value) -> Option<Self> {
        let text = |key| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            action: Action::from_name(&text("action")?)?,
            pool: text("pool_name")?,
            namespace: text("pool_namespace")?,
            image_name: text("image_name"),
            image_id: text("image_id"),
        })
    }

    /// Whether a task that was asked for is this one. Without an id any id will do.
    pub(super) fn answers(&self, asked: &Self) -> bool {
        let mut own = self.clone();
        if asked.image_id.is_none() {
            own.image_id = None;
        }
        own == *asked
    }
}

/// A task.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// Its place in the order of all tasks.
    pub sequence: u64,
    /// Its id.
    pub id: String,
    /// What it does, for people.
    pub message: String,
    /// What it is about.
    pub refs: Refs,
    /// Why the last attempt failed.
    pub retry_message: Option<String>,
    /// How often it was tried.
    pub retry_attempts: u32,
    /// When it is tried again.
    pub retry_time: Option<SystemTime>,
    /// Whether it is being done.
    pub in_progress: bool,
    /// How far it is: 0 to 1.
    pub progress: f64,
    /// Whether it was canceled.
    pub canceled: bool,
    /// Why it failed for good.
    pub failure: Option<String>,
    /// Whether the cluster's status shows it.
    pub progress_posted: bool,
}

/// The wait before the first retry; it grows by as much each time.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The longest wait.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(300);

impl Task {
    /// A task that nothing was done for yet.
    pub(super) const fn new(sequence: u64, id: String, message: String, refs: Refs) -> Self {
        Self {
            sequence,
            id,
            message,
            refs,
            retry_message: None,
            retry_attempts: 0,
            retry_time: None,
            in_progress: false,
            progress: 0.0,
            canceled: false,
            failure: None,
            progress_posted: false,
        }
    }

    /// The key that it is stored under.
    pub(super) fn key(&self) -> String {
        format!("{:016X}", self.sequence)
    }

    /// As commands show it.
    pub(super) fn to_value(&self) -> Value {
        let mut out = Map::new();
        out.insert("sequence".to_owned(), self.sequence.into());
        out.insert("id".to_owned(), self.id.clone().into());
        out.insert("message".to_owned(), self.message.clone().into());
        out.insert("refs".to_owned(), Value::Object(self.refs.to_json()));
        if let Some(message) = &self.retry_message {
            out.insert("retry_message".to_owned(), message.clone().into());
        }
        if self.retry_attempts > 0 {
            out.insert("retry_attempts".to_owned(), self.retry_attempts.into());
        }
        if let Some(at) = self.retry_time {
            out.insert("retry_time".to_owned(), iso_time(at).into());
        }
        if self.in_progress {
            out.insert("in_progress".to_owned(), true.into());
            out.insert("progress".to_owned(), json!(self.progress));
        }
        if self.canceled {
            out.insert("canceled".to_owned(), true.into());
        }
        Value::Object(out)
    }

    /// As it is stored, and as who added it is told.
    pub(super) fn to_json(&self) -> String {
        json::one_line(&self.to_value())
    }

    /// Reads a stored task; none if it is no task.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let string = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self::new(
            value.get("sequence")?.as_u64()?,
            string("id")?,
            string("message")?,
            Refs::from_json(value.get("refs")?)?,
        ))
    }

    /// Notes that an attempt is over.
    pub(super) fn attempted(&mut self, now: SystemTime) {
        self.in_progress = false;
        self.retry_attempts = self.retry_attempts.saturating_add(1);
        let wait = RETRY_INTERVAL
            .saturating_mul(self.retry_attempts)
            .min(MAX_RETRY_INTERVAL);
        self.retry_time = now.checked_add(wait);
    }

    /// Whether it is due.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.retry_time.is_none_or(|at| at <= now)
    }
}

/// `datetime.isoformat()`: without a zone, and without a fraction that is zero.
fn iso_time(at: SystemTime) -> String {
    let text = crate::mon::local_time(Utime::from_system_time(at));
    let bare = text.split('+').next().unwrap_or_default();
    bare.strip_suffix(".000000").unwrap_or(bare).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        let refs = Refs {
            action: Action::Flatten,
            pool: "rbd".to_owned(),
            namespace: String::new(),
            image_name: Some("c".to_owned()),
            image_id: Some("10f".to_owned()),
        };
        Task::new(7, "u-u".to_owned(), "Flattening image rbd/c".to_owned(), refs)
    }

    // As ceph-mgr 16.2.15 stores it.
    const STORED: &str = r#"{"sequence": 7, "id": "u-u", "message": "Flattening image rbd/c", "refs": {"action": "flatten", "pool_name": "rbd", "pool_namespace": "", "image_name": "c", "image_id": "10f"}}"#;

    #[test]
    fn a_task_is_stored_as_ceph_stores_it_and_read_back() {
        assert_eq!(task().to_json(), STORED);
        assert_eq!(Task::from_json(STORED).unwrap().to_json(), STORED);
        assert_eq!(task().key(), "0000000000000007");
        for bad in ["", "[]", "{}", &STORED.replace("flatten\"", "fly\"")] {
            assert!(Task::from_json(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_task_is_found_by_what_it_is_about_also_once_its_image_is_gone() {
        let mut asked = task().refs;
        assert!(task().refs.answers(&asked));
        asked.image_id = None;
        assert!(task().refs.answers(&asked));
        asked.image_id = Some("20f".to_owned());
        assert!(!task().refs.answers(&asked));
    }

    #[test]
    fn waits_between_attempts_grow_to_five_minutes() {
        let (mut task, now) = (
            task(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_189_775),
        );
        let mut waits = Vec::new();
        for _ in 0..12 {
            task.attempted(now);
            waits.push(task.retry_time.unwrap().duration_since(now).unwrap().as_secs());
        }
        assert_eq!(waits[..3], [30, 60, 90]);
        assert_eq!(waits[9..], [300, 300, 300]);
        assert!(!task.is_due(now) && task.is_due(now + Duration::from_secs(300)));
        assert_eq!(task.to_value()["retry_time"], "2026-11-20T15:54:35");
    }
}
