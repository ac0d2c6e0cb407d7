//! Counters of one daemon: `perf ...`.

use serde_json::{Map, Value, json};

use super::Daemon;
use crate::{
    mon::{Args, CommandError},
    perf,
};

/// The loggers, each without histograms.
pub(super) fn no_histograms(daemon: &Daemon<'_>) -> Value {
    let loggers = daemon.counters();
    let names = loggers.as_object().into_iter().flat_map(Map::keys);
    Value::Object(names.map(|name| (name.clone(), json!({}))).collect())
}

pub(super) fn dump(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    let all = daemon.counters();
    let Some(logger) = args.str("logger").filter(|l| *l != "all") else {
        return Ok(all);
    };
    let section = all.get(logger).cloned().unwrap_or(Value::Null);
    let section = match args.str("counter") {
        Some(counter) => json!({counter: section.get(counter)}),
        None => section,
    };
    Ok(json!({logger: section}))
}

/// `perf reset all|LOGGER` (`PerfCountersCollectionImpl::reset`). What is not there is told in the answer, which is no error.
pub(super) fn reset(daemon: &Daemon<'_>, args: &Args) -> Result<Value, CommandError> {
    let logger = args.need("var")?;
    Ok(match perf::reset(daemon.cluster, &daemon.ops(), logger) {
        true => json!({"success": format!("perf reset {logger}")}),
        false => json!({"error": format!("Not find: {logger}")}),
    })
}
