//! What is in progress, as the manager's module `progress` keeps it (Ceph `src/pybind/mgr/progress/module.py`).

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// Ended events that are remembered (`max_completed_events`).
const MAX_COMPLETED: usize = 50;
/// Characters of a progress bar, its brackets included.
const BAR: usize = 30;

/// Something that takes its time.
#[derive(Debug, Clone)]
struct Event {
    id: String,
    message: String,
    refs: Map<String, Value>,
    progress: f64,
    started: SystemTime,
}

/// Something that has ended.
#[derive(Debug, Clone)]
struct Ended {
    event: Event,
    finished: SystemTime,
    failure: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    ended: VecDeque<Ended>,
}

/// All events.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

/// Seconds since 1970, as Python's `time.time()`.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// `30s`, `5m`, `3h`: whole units.
fn span(secs: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    match secs {
        0..120 => format!("{secs}s"),
        _ if secs < 2 * HOUR => format!("{}m", secs / MINUTE),
        _ if secs < 2 * DAY => format!("{}h", secs / HOUR),
        _ if secs < 14 * DAY => format!("{}d", secs / DAY),
        _ if secs < 7 * 12 * DAY => format!("{}w", secs / (7 * DAY)),
        _ if secs < 2 * 365 * DAY => format!("{}M", secs / (30 * DAY)),
        _ => format!("{}y", secs / (365 * DAY)),
    }
}

impl Event {
    fn elapsed(&self, now: SystemTime) -> f64 {
        now.duration_since(self.started).map_or(0.0, |d| d.as_secs_f64())
    }

    fn duration(&self, now: SystemTime) -> String {
        format!("({})", span(self.elapsed(now) as u64))
    }

    /// Seconds that are left, if that can be told.
    fn remaining(&self, now: SystemTime) -> Option<u64> {
        (self.progress > 0.0).then(|| (self.elapsed(now) * (1.0 - self.progress) / self.progress) as u64)
    }

    fn two_lines(&self, progress: f64, indent: usize, now: SystemTime) -> String {
        let inner = BAR - 2;
        let done = ((progress * inner as f64) as usize).min(inner);
        let remaining = self.remaining(now).filter(|left| *left > 0 && progress < 1.0);
        let remaining = remaining.map_or_else(String::new, |left| format!("(remaining: {})", span(left)));
        format!(
            "{} {}\n{}[{}{}] {remaining}",
            self.message,
            self.duration(now),
            " ".repeat(indent),
            "=".repeat(done),
            ".".repeat(inner - done)
        )
    }

    fn to_value(&self, now: SystemTime) -> Value {
        json!({
            "id": self.id,
            "message": self.message,
            "duration": self.duration(now),
            "refs": self.refs,
            "progress": self.progress,
            "started_at": seconds(self.started),
            "time_remaining": self.remaining(now),
        })
    }
}

impl Ended {
    fn to_value(&self) -> Value {
        let mut out = json!({
            "id": self.event.id,
            "message": self.event.message,
            "refs": self.event.refs,
            "started_at": seconds(self.event.started),
            "finished_at": seconds(self.finished),
            // Ceph's module writes the key so.
            "add_to_ceph_s:": true,
        });
        if let (Some(failure), Some(fields)) = (&self.failure, out.as_object_mut()) {
            fields.insert("failed".to_owned(), true.into());
            fields.insert("failure_message".to_owned(), failure.clone().into());
        }
        out
    }
}

impl Progress {
    /// Tells how far something is, which may be new.
    pub fn update(&self, id: &str, message: &str, progress: f64, refs: Map<String, Value>) {
        let mut state = self.0.lock();
        if let Some(event) = state.events.iter_mut().find(|e| e.id == id) {
            event.progress = progress;
            message.clone_into(&mut event.message);
        } else {
            state.events.push(Event {
                id: id.to_owned(),
                message: message.to_owned(),
                refs,
                progress,
                started: SystemTime::now(),
            });
        }
    }

    /// Something has ended, well or with a failure.
    pub fn end(&self, id: &str, failure: Option<&str>) {
        let mut state = self.0.lock();
        let Some(at) = state.events.iter().position(|e| e.id == id) else {
            return;
        };
        let event = state.events.remove(at);
        state.ended.push_back(Ended {
            event,
            finished: SystemTime::now(),
            failure: failure.map(str::to_owned),
        });
        while state.ended.len() > MAX_COMPLETED {
            state.ended.pop_front();
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.0.lock() = State::default();
    }

    /// All that is and was in progress.
    pub fn to_value(&self) -> Value {
        let (state, now) = (self.0.lock(), SystemTime::now());
        json!({
            "events": state.events.iter().map(|e| e.to_value(now)).collect::<Vec<_>>(),
            "completed": state.ended.iter().map(Ended::to_value).collect::<Vec<_>>(),
        })
    }

    /// The same for people; none if there is nothing.
    pub fn to_text(&self) -> Option<String> {
        let (state, now) = (self.0.lock(), SystemTime::now());
        if state.events.is_empty() && state.ended.is_empty() {
            return None;
        }
        let mut out = String::new();
        for event in state.events.iter().rev() {
            out += &event.two_lines(event.progress, 4, now);
            out.push('\n');
        }
        if !state.ended.is_empty() {
            out.push('\n');
            for ended in &state.ended {
                let word = if ended.failure.is_some() {
                    "Failed"
                } else {
                    "Complete"
                };
                out += &format!("[{word}]: {}\n", ended.event.two_lines(1.0, 4, now));
            }
        }
        Some(out)
    }

    /// What the cluster's status shows: by id, and (for people) in lines.
    pub fn in_status(&self) -> (Value, Vec<String>) {
        let (state, now) = (self.0.lock(), SystemTime::now());
        let lines: Vec<String> = state
            .events
            .iter()
            .map(|e| e.two_lines(e.progress, 6, now))
            .collect();
        let mut by_id = Map::new();
        for (event, line) in state.events.iter().zip(&lines) {
            let value = json!({"message": line, "progress": event.progress, "add_to_ceph_s": true});
            by_id.insert(event.id.clone(), value);
        }
        (Value::Object(by_id), lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_event_has_two_lines_with_a_bar() {
        let now = SystemTime::now();
        let event = Event {
            id: "x".to_owned(),
            message: "Removing image rbd/a".to_owned(),
            refs: Map::new(),
            progress: 0.5,
            started: now - Duration::from_secs(130),
        };
        assert_eq!(
            event.two_lines(0.5, 6, now),
            "Removing image rbd/a (2m)\n      [==============..............] (remaining: 2m)"
        );
    }

    #[test]
    fn what_has_ended_is_remembered_with_its_failure() {
        let progress = Progress::default();
        assert!(progress.to_text().is_none());
        progress.update("a", "A", 0.0, Map::new());
        progress.update("b", "B", 0.25, Map::new());
        progress.end("a", Some("Operation canceled"));
        let value = progress.to_value();
        assert_eq!(value["events"][0]["id"], "b");
        assert_eq!(value["completed"][0]["failed"], true);
        assert!(progress.to_text().unwrap().contains("[Failed]: A (0s)"));
        progress.end("b", None);
        assert!(progress.to_value()["completed"][1].get("failed").is_none());
        assert_eq!(progress.in_status().0, json!({}));
    }
}
