//! Times as Ceph prints them (`utime_t::gmtime` and friends, `src/include/utime.h`).

use std::time::Duration;

use encoding::types::Utime;

/// Year, month and day of a number of days since 1970 (the proleptic Gregorian calendar).
fn civil(days: u32) -> (u32, u32, u32) {
    // Years begin in March, so that the leap day is the last one; 719468 days from there to 1970.
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u32::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

fn with_zone(t: Utime, zone: &str) -> String {
    let (year, month, day) = civil(t.sec / 86_400);
    let (h, m, s) = (t.sec / 3600 % 24, t.sec / 60 % 60, t.sec % 60);
    let micros = t.nsec / 1000;
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{micros:06}{zone}")
}

/// `2026-11-20T15:49:35.398900+0000`; a time before 1980 is a span in seconds, as in Ceph.
pub(crate) fn local(t: Utime) -> String {
    if t.sec < 60 * 60 * 24 * 365 * 10 {
        return format!("{}.{:06}", t.sec, t.nsec / 1000);
    }
    with_zone(t, "+0000")
}

/// `2026-11-20T15:49:35.398900Z`: how monitor maps show times.
pub(super) fn zulu(t: Utime) -> String {
    with_zone(t, "Z")
}

/// A span in its largest unit that is at least two: `52s`, `5m`, `3h`, `4d` (`timespan_str`).
pub(super) fn span(d: Duration) -> String {
    let secs = d.as_secs();
    const UNITS: [(u64, &str); 5] = [
        (365 * 86_400, "y"),
        (7 * 86_400, "w"),
        (86_400, "d"),
        (3600, "h"),
        (60, "m"),
    ];
    UNITS.iter().find(|(unit, _)| secs >= 2 * unit).map_or_else(
        || format!("{secs}s"),
        |(unit, name)| format!("{}{name}", secs / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_ceph_prints_them() {
        let t = |sec| Utime {
            sec,
            nsec: 398_900_000,
        };
        assert_eq!(local(t(1_795_189_775)), "2026-11-20T15:49:35.398900+0000");
        assert_eq!(zulu(t(951_827_696)), "2000-02-29T12:34:56.398900Z");
        assert_eq!(local(Utime::default()), "0.000000");
        assert_eq!(span(Duration::from_secs(119)), "119s");
        assert_eq!(span(Duration::from_secs(7300)), "2h");
    }
}
