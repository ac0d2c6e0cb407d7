//! Ops as `dump_ops_in_flight` and its kin show them (`OpTracker::dump_ops_in_flight`, `OpRequest::_dump` in Ceph).

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use encoding::types::Utime;
use serde_json::{Value, json};

use super::{OpTracker, Settings, Stage, TrackedOp, history::Sketch};
use crate::mon::local_time;

/// An op as it is shown. `over`: it is not in flight any more.
fn dump(op: &Sketch, over: bool, now: (Instant, SystemTime)) -> Value {
    let age = now.0.saturating_duration_since(op.arrived);
    let initiated = now.1.checked_sub(age).unwrap_or(now.1);
    let at = |after: Duration| local_time(Utime::from_system_time(initiated + after));
    let mut events = vec![("initiated", Duration::ZERO)];
    events.extend(op.stages.iter().map(|(stage, at)| (stage.event(), *at)));
    if over {
        let submitted = op.stages.iter().any(|(stage, _)| *stage == Stage::Submitted);
        events.extend(submitted.then_some(("commit_sent", op.took)));
        events.push(("done", op.took));
    }
    let mut before = Duration::ZERO;
    let events: Vec<Value> = events
        .into_iter()
        .map(|(event, after)| {
            let duration = after.saturating_sub(before).as_secs_f64();
            before = after;
            json!({"event": event, "time": at(after), "duration": duration})
        })
        .collect();
    let last = op.stages.last();
    let flag_point = match (over, last) {
        (true, Some((Stage::Submitted, _))) => "commit sent; apply or cleanup",
        (_, Some((stage, _))) => stage.flag_point(),
        (_, None) => "reached pg",
    };
    json!({
        "description": op.description,
        "initiated_at": at(Duration::ZERO),
        "age": age.as_secs_f64(),
        "duration": op.took.as_secs_f64(),
        "type_data": {
            "flag_point": flag_point,
            "client_info": {
                "client": op.client.to_string(), "client_addr": op.addr.to_string(), "tid": op.tid,
            },
            "events": events,
        },
    })
}

fn now() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

fn flying(trackers: &[Arc<OpTracker>]) -> Vec<Arc<TrackedOp>> {
    let mut ops: Vec<_> = trackers.iter().flat_map(|t| t.in_flight()).collect();
    ops.sort_by_key(|op| op.arrived);
    ops
}

fn settings(trackers: &[Arc<OpTracker>]) -> Settings {
    trackers.first().map(|t| t.settings.get()).unwrap_or_default()
}

/// `dump_ops_in_flight`.
#[must_use]
pub fn in_flight(trackers: &[Arc<OpTracker>]) -> Value {
    let (now, ops) = (now(), flying(trackers));
    let shown: Vec<Value> = ops
        .iter()
        .map(|op| dump(&Sketch::of(op, op.age(now.0)), false, now))
        .collect();
    json!({"ops": shown, "num_ops": ops.len()})
}

/// `dump_blocked_ops`, or `dump_blocked_ops_count` if only the number is wanted.
#[must_use]
pub fn blocked(trackers: &[Arc<OpTracker>], count_only: bool) -> Value {
    let (now, complaint, mut ops) = (now(), settings(trackers).complaint, flying(trackers));
    ops.retain(|op| op.age(now.0) > complaint);
    let (complaint, count) = (complaint.as_secs_f64(), ops.len());
    if count_only {
        return json!({"complaint_time": complaint, "num_blocked_ops": count});
    }
    let shown: Vec<Value> = ops
        .iter()
        .map(|op| dump(&Sketch::of(op, op.age(now.0)), false, now))
        .collect();
    json!({"ops": shown, "complaint_time": complaint, "num_blocked_ops": count})
}

/// `dump_historic_ops`, or `dump_historic_ops_by_duration`.
#[must_use]
pub fn historic(trackers: &[Arc<OpTracker>], by_duration: bool) -> Value {
    let (now, settings) = (now(), settings(trackers));
    let mut ops = Vec::new();
    for tracker in trackers {
        let mut history = tracker.history.lock();
        history.trim(now.0, &settings);
        ops.extend(history.longest());
    }
    if by_duration {
        ops.sort_by_key(|op| Reverse(op.took));
    } else {
        ops.sort_by_key(|op| op.arrived);
    }
    let shown: Vec<Value> = ops.iter().map(|op| dump(op, true, now)).collect();
    json!({"size": settings.history_size, "duration": settings.history_duration.as_secs(), "ops": shown})
}

/// `dump_historic_slow_ops`.
#[must_use]
pub fn slow(trackers: &[Arc<OpTracker>]) -> Value {
    let (now, settings) = (now(), settings(trackers));
    let mut ops: Vec<_> = trackers.iter().flat_map(|t| t.history.lock().slow()).collect();
    ops.sort_by_key(|op| op.arrived);
    let shown: Vec<Value> = ops.iter().map(|op| dump(op, true, now)).collect();
    json!({
        "num to keep": settings.slow_size, "threshold to keep": settings.slow_threshold.as_secs(), "Ops": shown,
    })
}
