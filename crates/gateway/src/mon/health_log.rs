//! Lines of the cluster's log about its health as it changes (`Monitor::log_health` in Ceph), which programs that read the log look for.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{commands::review, log::LogLevel, shared::MonShared};

/// How often health is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often a check whose text changes is told again (`mon_health_log_update_period`).
const UPDATE_PERIOD: Duration = Duration::from_secs(5);

/// Something that is not as it should be, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Its name.
    pub code: &'static str,
    /// Whether it is an error, and not a warning.
    pub error: bool,
    /// What it is.
    pub summary: String,
}

/// What was told last, by name, and when.
#[derive(Debug, Default)]
struct Told(BTreeMap<&'static str, (Failing, Instant)>);

impl Told {
    /// The lines that a new state is worth.
    fn lines(&mut self, failing: &[Failing], now: Instant) -> Vec<(LogLevel, String)> {
        let mut out = Vec::new();
        for check in failing {
            let level = if check.error {
                LogLevel::ERROR
            } else {
                LogLevel::WARN
            };
            let line = |what| {
                (
                    level,
                    format!("Health check {what}: {} ({})", check.summary, check.code),
                )
            };
            match self.0.get(check.code) {
                None => out.push(line("failed")),
                Some((before, _)) if before == check => continue,
                Some((before, at)) if before.error == check.error && now - *at < UPDATE_PERIOD => continue,
                Some(_) => out.push(line("update")),
            }
            self.0.insert(check.code, (check.clone(), now));
        }
        let had = !self.0.is_empty();
        self.0.retain(|code, (before, _)| {
            let stays = failing.iter().any(|check| check.code == *code);
            if !stays {
                let line = format!("Health check cleared: {code} (was: {})", before.summary);
                out.push((LogLevel::INFO, line));
            }
            stays
        });
        if had && self.0.is_empty() {
            out.push((LogLevel::INFO, "Cluster is now healthy".to_owned()));
        }
        out
    }
}

/// Writes such lines until told to stop.
///
/// # Errors
/// None.
pub async fn run(shared: Arc<MonShared>, mut stopping: watch::Receiver<bool>) -> io::Result<()> {
    let mut ticks = tokio::time::interval(EVERY);
    let mut told = Told::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
        }
        let cluster = Arc::clone(shared.cluster());
        let reviewed = match tokio::task::spawn_blocking(move || review(&cluster)).await {
            Ok(Ok(reviewed)) => reviewed,
            Ok(Err(error)) => {
                tracing::error!(%error, "muted health checks cannot be looked after");
                continue;
            }
            Err(panicked) => return Err(io::Error::other(panicked)),
        };
        for line in reviewed.unmuted {
            shared.log().say("cluster", LogLevel::INFO, line);
        }
        for (level, line) in told.lines(&reviewed.failing, Instant::now()) {
            shared.log().say("cluster", level, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(summary: &str) -> Failing {
        Failing {
            code: "OSDMAP_FLAGS",
            error: false,
            summary: summary.to_owned(),
        }
    }

    fn texts(lines: Vec<(LogLevel, String)>) -> Vec<String> {
        lines.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_check_is_told_as_it_fails_changes_and_passes_again() {
        let (mut told, begin) = (Told::default(), Instant::now());
        assert!(told.lines(&[], begin).is_empty());
        let failed = told.lines(&[flags("noout flag(s) set")], begin);
        assert_eq!(
            failed,
            [(
                LogLevel::WARN,
                "Health check failed: noout flag(s) set (OSDMAP_FLAGS)".to_owned()
            )]
        );
        assert!(told.lines(&[flags("noout flag(s) set")], begin).is_empty());
        let later = begin + UPDATE_PERIOD;
        let updated = told.lines(&[flags("noout,noin flag(s) set")], later);
        assert_eq!(
            texts(updated),
            ["Health check update: noout,noin flag(s) set (OSDMAP_FLAGS)"]
        );
        assert_eq!(
            texts(told.lines(&[], later)),
            [
                "Health check cleared: OSDMAP_FLAGS (was: noout,noin flag(s) set)",
                "Cluster is now healthy"
            ]
        );
    }

    #[test]
    fn a_text_that_keeps_changing_is_told_now_and_then() {
        let (mut told, begin) = (Told::default(), Instant::now());
        told.lines(&[flags("1")], begin);
        assert!(told.lines(&[flags("2")], begin + EVERY).is_empty());
        assert_eq!(told.lines(&[flags("3")], begin + UPDATE_PERIOD).len(), 1);
    }

    #[test]
    fn a_check_that_becomes_worse_is_told_at_once() {
        let (mut told, now) = (Told::default(), Instant::now());
        told.lines(&[flags("x")], now);
        let worse = Failing {
            error: true,
            ..flags("x")
        };
        assert_eq!(told.lines(&[worse], now)[0].0, LogLevel::ERROR);
    }
}
