//! Intervals and times of day, as people write them and Ceph stores them (`Interval`, `StartTime` of
//! `src/pybind/mgr/rbd_support/schedule.py`; times as python-dateutil reads them).

use std::{fmt, sync::LazyLock};

use encoding::Errno;
use regex::Regex;

use super::{failure::Failure, spec::pattern};

/// Every so many minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval(u64);

/// Longer ones would never come.
const MAX_MINUTES: u64 = 1000 * 366 * 24 * 60;

static INTERVAL: LazyLock<Regex> = LazyLock::new(|| pattern("^([0-9]+)([dhm])?$"));

impl Interval {
    /// `90`, `90m`, `2h`, `1d`.
    ///
    /// # Errors
    /// EINVAL if it is not of that form, or zero.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let parse = || {
            let found = INTERVAL.captures(text)?;
            let number: u64 = found.get(1)?.as_str().parse().ok()?;
            let unit = match found.get(2).map(|m| m.as_str()) {
                Some("d") => 24 * 60,
                Some("h") => 60,
                _ => 1,
            };
            let minutes = number.checked_mul(unit)?;
            (1..=MAX_MINUTES).contains(&minutes).then_some(Self(minutes))
        };
        parse().ok_or_else(|| Failure::new(Errno::EINVAL, format!("Invalid interval ({text})")))
    }

    /// In minutes; never zero.
    pub(super) const fn minutes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            m if m % (24 * 60) == 0 => write!(f, "{}d", m / (24 * 60)),
            m if m % 60 == 0 => write!(f, "{}h", m / 60),
            m => write!(f, "{m}m"),
        }
    }
}

/// A time of day, maybe in a time zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartTime {
    hour: u32,
    minute: u32,
    /// Minutes east of Greenwich.
    zone: Option<i32>,
}

/// Times are the same that begin schedules at the same minute.
impl PartialEq for StartTime {
    fn eq(&self, other: &Self) -> bool {
        self.minutes() == other.minutes()
    }
}

impl Eq for StartTime {}

/// `[YYYY-MM-DD[T ]]HH[:MM[:SS[.F]]][ ][am|pm][ ][ZONE]`; a date is read over.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?xi) ^ \s* (?: [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: T | \s+ | $ ) )?
        (?: ([0-9]{1,2}) (?: :([0-9]{2}) (?: :[0-9]{2} (?: [.,][0-9]+ )? )? )? )? \s* (am|pm|a|p)? \s*
        (?: (z|utc|gmt) | ([+-])([0-9]{2}):?([0-9]{2})? )? \s* $",
    )
});

impl StartTime {
    /// `01:30`, `5pm`, `2026-11-26T01:30+02:00`.
    ///
    /// # Errors
    /// EINVAL if it is no time.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let read = || {
            let found = TIME.captures(text).filter(|_| !text.trim().is_empty())?;
            let part = |n| found.get(n).map(|m| m.as_str());
            let number = |n| part(n).map(str::parse::<u32>).transpose().ok();
            let half = part(3).map(str::to_ascii_lowercase);
            let hour = match (number(1)?, half.as_deref()) {
                // Without a colon or a half of the day a number is a day, at midnight.
                (Some(1..=31), None) if part(2).is_none() => 0,
                (Some(h @ 1..=12), Some(half)) => h % 12 + if half.starts_with('p') { 12 } else { 0 },
                (Some(h), None) if part(2).is_some() => h,
                (None, None) => 0,
                _ => return None,
            };
            let minute = number(2)?.unwrap_or(0);
            let zone = match (part(4), part(5)) {
                (Some(_), _) => Some(0),
                (None, Some(sign)) => {
                    let minutes = (number(6)?? * 60 + number(7)?.unwrap_or(0)) as i32;
                    Some(if sign == "-" { -minutes } else { minutes })
                }
                (None, None) => None,
            };
            let valid = hour < 24 && minute < 60 && zone.is_none_or(|z| z.abs() < 24 * 60);
            valid.then_some(Self { hour, minute, zone })
        };
        read().ok_or_else(|| {
            let text = format!("Invalid start time {text}: Unknown string format: {text}");
            Failure::new(Errno::EINVAL, text)
        })
    }

    /// Minutes after midnight that a schedule begins. As in Ceph a zone's offset is added, and one to the west is
    /// counted round the world.
    pub(super) fn minutes(self) -> u64 {
        let zone = self.zone.unwrap_or(0).rem_euclid(24 * 60);
        u64::from(self.hour * 60 + self.minute) + u64::from(zone.unsigned_abs())
    }
}

impl fmt::Display for StartTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:00", self.hour, self.minute)?;
        let Some(zone) = self.zone else { return Ok(()) };
        let sign = if zone < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", zone.abs() / 60, zone.abs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_shown_in_their_largest_unit() {
        let shown = |text| Interval::parse(text).map(|i| i.to_string()).map_err(|e| e.text);
        for (text, show) in [
            ("90", "90m"),
            ("120m", "2h"),
            ("24h", "1d"),
            ("2d", "2d"),
            ("1m", "1m"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(show));
        }
        for bad in ["", "d", "1w", "-1m", "0", "1.5h", "99999999999999999999d"] {
            assert_eq!(shown(bad), Err(format!("Invalid interval ({bad})")));
        }
    }

    #[test]
    fn times_are_read_as_python_dateutil_reads_them() {
        for (text, shown, minutes) in [
            ("01:30", "01:30:00", 90),
            ("1:30:59", "01:30:00", 90),
            ("5pm", "17:00:00", 1020),
            ("12 AM", "00:00:00", 0),
            ("12:05 pm", "12:05:00", 725),
            ("2026-11-26T01:30", "01:30:00", 90),
            ("2026-11-26", "00:00:00", 0),
            ("00:15Z", "00:15:00+00:00", 15),
            ("01:30+02:00", "01:30:00+02:00", 210),
            ("01:30-0100", "01:30:00-01:00", 90 + 23 * 60),
            ("10", "00:00:00", 0),
        ] {
            let time = StartTime::parse(text).unwrap();
            assert_eq!(
                (time.to_string().as_str(), time.minutes()),
                (shown, minutes),
                "{text}"
            );
        }
        for bad in ["dummy", "25:00", "01:60", "13pm", " ", "1d"] {
            assert!(StartTime::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            StartTime::parse("dummy").unwrap_err().text,
            "Invalid start time dummy: Unknown string format: dummy"
        );
    }
}
