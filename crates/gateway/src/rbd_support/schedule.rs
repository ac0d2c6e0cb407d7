//! Schedules: when something is to be done again and again, by level (`Schedule`, `Schedules` of Ceph
//! `src/pybind/mgr/rbd_support/schedule.py`).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use encoding::{Errno, types::Utime};
use serde_json::{Map, Value, json};

use super::{
    failure::Failure,
    interval::{Interval, StartTime},
    json as python,
    level::{Level, Rules},
    spec::rbd_pools,
};
use crate::rados::{IoCtx, Rados, ops};

/// When something is to be done: at each of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Schedule(Vec<(Interval, Option<StartTime>)>);

impl Schedule {
    /// Adds times, unless they are there.
    pub(super) fn add(&mut self, item: (Interval, Option<StartTime>)) {
        if !self.0.contains(&item) {
            self.0.push(item);
        }
    }

    /// Removes times.
    pub(super) fn remove(&mut self, item: (Interval, Option<StartTime>)) {
        self.0.retain(|i| *i != item);
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next time after `now`, a whole minute.
    pub(super) fn next_run(&self, now: SystemTime) -> Option<SystemTime> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let next = self.0.iter().map(|(interval, start)| {
            let period = interval.minutes() * 60;
            let start = start.map_or(0, |s| s.minutes() * 60);
            start + (now.saturating_sub(start) / period + 1) * period
        });
        next.min().map(|secs| UNIX_EPOCH + Duration::from_secs(secs))
    }

    /// As commands show it.
    pub(super) fn to_value(&self) -> Value {
        let item = |(interval, start): &(Interval, Option<StartTime>)| {
            json!({
                "interval": interval.to_string(),
                "start_time": start.map(|s| s.to_string()),
            })
        };
        Value::Array(self.0.iter().map(item).collect())
    }

    /// As it is stored.
    pub(super) fn to_json(&self) -> String {
        python::pretty(&self.to_value())
    }

    /// Reads a stored schedule; none if it is none.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        let Ok(Value::Array(items)) = serde_json::from_str(text) else {
            return None;
        };
        let mut schedule = Self::default();
        for item in items {
            let interval = Interval::parse(item.get("interval")?.as_str()?).ok()?;
            let start = match item.get("start_time")?.as_str() {
                None | Some("") => None,
                Some(text) => Some(StartTime::parse(text).ok()?),
            };
            schedule.add((interval, start));
        }
        Some(schedule)
    }
}

/// `2026-11-26 01:30:00`.
pub(super) fn shown(at: SystemTime) -> String {
    let text = crate::mon::local_time(Utime::from_system_time(at));
    text.get(..19).unwrap_or_default().replace('T', " ")
}

/// Where schedules are kept.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The object in each pool whose omap has those of its levels.
    pub oid: &'static [u8],
    /// The manager's option that has the one for everything.
    pub option: &'static str,
}

/// All schedules, by level.
#[derive(Debug, Default)]
pub(super) struct Schedules(BTreeMap<String, (Level, Schedule)>);

/// The section of the configuration that modules' options are in.
const SECTION: &str = "mgr";

fn write_failed(error: Errno, oid: &[u8]) -> Failure {
    let oid = String::from_utf8_lossy(oid);
    Failure::rados(error, format!("Failed to operate write op for oid {oid}"))
}

impl Schedules {
    /// Reads all of them. Those of levels that are gone are removed from where they are kept.
    ///
    /// # Errors
    /// ESHUTDOWN if the client is shut out.
    pub(super) fn load<R: Rules>(rados: &Arc<Rados>, place: Place) -> Result<Self, Errno> {
        let mut all = Self::default();
        let options = rados.cluster().config_of(SECTION);
        if let Some(text) = options.get(place.option).filter(|t| !t.is_empty()) {
            match Schedule::from_json(text) {
                Some(schedule) => all.put(Level::everything(), schedule),
                None => tracing::error!(option = place.option, "a schedule cannot be read"),
            }
        }
        for (id, name) in rbd_pools(rados.cluster()) {
            match rados
                .open_pool_id(id)
                .and_then(|pool| all.load_pool::<R>(&pool, place))
            {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EBLOCKLISTED) => return Err(Errno::EBLOCKLISTED),
                Err(error) => tracing::error!(pool = name, %error, "schedules cannot be read"),
            }
        }
        Ok(all)
    }

    fn load_pool<R: Rules>(&mut self, pool: &IoCtx, place: Place) -> Result<(), Errno> {
        let mut stale: Vec<Bytes> = Vec::new();
        for (key, value) in pool.omap(place.oid)? {
            let text = String::from_utf8_lossy(&key);
            let level = match Level::from_id::<R>(pool.rados(), &text) {
                Ok(level) => level,
                Err(failure) if failure.errno == Errno::EBLOCKLISTED => return Err(failure.errno),
                Err(_) => {
                    stale.push(key);
                    continue;
                }
            };
            match std::str::from_utf8(&value).ok().and_then(Schedule::from_json) {
                Some(schedule) => self.put(level, schedule),
                None => tracing::error!(level = level.name, "a schedule cannot be read"),
            }
        }
        if !stale.is_empty() {
            pool.write(place.oid, vec![ops::omap_rm(&stale)])?;
        }
        Ok(())
    }

    fn put(&mut self, level: Level, schedule: Schedule) {
        self.0.insert(level.id.clone(), (level, schedule));
    }

    /// Keeps a level's schedule; none removes it.
    fn save(
        rados: &Arc<Rados>,
        place: Place,
        level: &Level,
        schedule: Option<&Schedule>,
    ) -> Result<(), Failure> {
        let text = schedule.map(Schedule::to_json);
        let Some(pool) = level.pool else {
            return rados
                .cluster()
                .set_config(SECTION, place.option, text.as_deref())
                .map_err(|error| Failure::new(Errno(error.errno().raw_os_error()), error.to_string()));
        };
        let key = Bytes::from(level.id.clone());
        let op = match text {
            Some(text) => ops::omap_set(&BTreeMap::from([(key, Bytes::from(text))])),
            None => ops::omap_rm(&[key]),
        };
        let pool = rados
            .open_pool_id(pool)
            .map_err(|_| Failure::no_pool(&level.name))?;
        pool.write(place.oid, vec![op])
            .map(drop)
            .map_err(|error| write_failed(error, place.oid))
    }

    /// Adds times to a level's schedule.
    ///
    /// # Errors
    /// EINVAL if these are no times.
    pub(super) fn add(
        &mut self,
        rados: &Arc<Rados>,
        place: Place,
        level: Level,
        item: (Interval, Option<StartTime>),
    ) -> Result<(), Failure> {
        let mut schedule = self.0.get(&level.id).map(|(_, s)| s.clone()).unwrap_or_default();
        schedule.add(item);
        Self::save(rados, place, &level, Some(&schedule))?;
        self.put(level, schedule);
        Ok(())
    }

    /// Removes times from a level's schedule, or all of it.
    ///
    /// # Errors
    /// ENOENT if there never was a schedule in the pool.
    pub(super) fn remove(
        &mut self,
        rados: &Arc<Rados>,
        place: Place,
        level: &Level,
        item: Option<(Interval, Option<StartTime>)>,
    ) -> Result<(), Failure> {
        let left = self.0.get(&level.id).and_then(|(level, schedule)| {
            let mut schedule = schedule.clone();
            schedule.remove(item?);
            (!schedule.is_empty()).then(|| (level.clone(), schedule))
        });
        Self::save(rados, place, level, left.as_ref().map(|(_, s)| s))?;
        match left {
            Some((level, schedule)) => self.put(level, schedule),
            None => drop(self.0.remove(&level.id)),
        }
        Ok(())
    }

    /// The schedule that holds for something: its own, or that of the closest level around it.
    pub(super) fn find(&self, pool: i64, namespace: &str, image: Option<&str>) -> Option<&Schedule> {
        let mut keys = vec![String::new(), pool.to_string(), format!("{pool}/{namespace}")];
        keys.extend(image.map(|image| format!("{pool}/{namespace}/{image}")));
        let found = keys.iter().rev().find_map(|key| self.0.get(key));
        found.map(|(_, schedule)| schedule)
    }

    /// Whether something has anything to do with a level.
    pub(super) fn intersect(&self, level: &Level) -> bool {
        self.0.values().any(|(own, _)| own.intersects(level))
    }

    /// The schedules of a level and within it, and the one that holds for it, as commands show them.
    pub(super) fn to_value(&self, level: &Level) -> Value {
        let mut around = self.0.get(&level.id).map(|(own, _)| own);
        if around.is_none() {
            for (own, _) in self.0.values() {
                let closer = around.is_none_or(|around| own.is_child_of(around));
                if level.is_child_of(own) && closer {
                    around = Some(own);
                }
            }
        }
        let mut out = Map::new();
        for (id, (own, schedule)) in &self.0 {
            let is_around = around.is_some_and(|around| around.id == own.id);
            if is_around || own.id == level.id || own.is_child_of(level) {
                let value = json!({"name": own.name, "schedule": schedule.to_value()});
                out.insert(id.clone(), value);
            }
        }
        Value::Object(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(items: &[(&str, Option<&str>)]) -> Schedule {
        let mut schedule = Schedule::default();
        for (interval, start) in items {
            let start = start.map(|s| StartTime::parse(s).unwrap());
            schedule.add((Interval::parse(interval).unwrap(), start));
        }
        schedule
    }

    #[test]
    fn the_next_run_is_the_earliest_of_all() {
        // 2026-11-20 15:49:35
        let now = UNIX_EPOCH + Duration::from_secs(1_795_189_775);
        let next = |items: &[(&str, Option<&str>)]| schedule(items).next_run(now).map(shown);
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[("1m", None)]).unwrap(), "2026-11-20 15:50:00");
        assert_eq!(next(&[("1d", Some("01:30"))]).unwrap(), "2026-11-21 01:30:00");
        assert_eq!(next(&[("1d", Some("15:50"))]).unwrap(), "2026-11-20 15:50:00");
        assert_eq!(
            next(&[("1d", Some("01:30")), ("1h", Some("00:15"))]).unwrap(),
            "2026-11-20 16:15:00"
        );
    }

    #[test]
    fn a_schedule_is_stored_as_ceph_stores_it_and_read_back() {
        let both = schedule(&[("2d", Some("00:17")), ("1d", None)]);
        let text = both.to_json();
        assert_eq!(
            text,
            "[\n    {\n        \"interval\": \"2d\",\n        \"start_time\": \"00:17:00\"\n    },\n    {\n        \
             \"interval\": \"1d\",\n        \"start_time\": null\n    }\n]"
        );
        assert_eq!(Schedule::from_json(&text).unwrap(), both);
        for bad in [
            "",
            "{}",
            "[{}]",
            "[7]",
            "[{\"interval\": \"x\", \"start_time\": null}]",
        ] {
            assert!(Schedule::from_json(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_closest_schedule_holds() {
        let mut all = Schedules::default();
        all.put(Level::everything(), schedule(&[("1d", None)]));
        all.put(Level::of_pool(2, "p", Some("n")), schedule(&[("1h", None)]));
        let minutes = |pool, ns| all.find(pool, ns, None).map(|s| s.0[0].0.minutes());
        assert_eq!(
            (minutes(2, "n"), minutes(2, ""), minutes(3, "n")),
            (Some(60), Some(1440), Some(1440))
        );
        let shown = |level: &Level| {
            all.to_value(level)
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&Level::everything()), ["", "2/n"]);
        assert_eq!(shown(&Level::of_pool(2, "p", None)), ["", "2/n"]);
        assert_eq!(shown(&Level::of_pool(2, "p", Some("n"))), ["2/n"]);
        assert_eq!(shown(&Level::of_pool(3, "q", None)), [""]);
    }
}
