//! A Python suite, by pytest with the plugin `tests/python/suite_report.py`.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{
    Outcome, Outcomes, PYTHON_FOLDER, Release,
    excluded::{Excluded, Kind},
};
use crate::exec::shorten;
use crate::{Failure, Result};

/// How long the whole of it may take.
const DEADLINE: Duration = Duration::from_secs(900);
/// How long a test may take, in seconds: far more than any needs.
const TEST_SECONDS: &str = "90";
/// How often a run that a test has ended is gone on with. More such tests mean that nothing works.
const RUNS: usize = 8;
/// How often a test whose client is known to crash is run.
const ATTEMPTS: usize = 4;
/// What Ceph's own runs of the suite set: `rbd_default_features`, all with journaling but without striping. Tests that do not apply to
/// such images are run for others: with striping and without journaling, and without exclusive lock.
const FEATURES: [&str; 3] = ["125", "63", "3"];

/// Runs a suite's tests; those that are skipped once more for images with other features.
pub(super) fn run(release: &Release, excluded: &Excluded, name: &str, work: &Path) -> Result<Outcomes> {
    let left_out: String = excluded
        .of_kind(Kind::NotRun, name)
        .iter()
        .map(|test| format!(" --deselect {test}"))
        .collect();
    let mut suite = Suite {
        release,
        crashing: excluded.of_kind(Kind::Crashes, name),
        work,
        crashes: 0,
    };
    let mut outcomes = Outcomes::new();
    let mut tests = format!("{name}{left_out}");
    for features in FEATURES {
        outcomes.extend(suite.run(&tests, features)?);
        let skipped = outcomes
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Skipped(_)));
        tests = skipped
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        if tests.is_empty() {
            break;
        }
    }
    Ok(outcomes)
}

struct Suite<'a> {
    release: &'a Release,
    /// Tests whose client is known to crash.
    crashing: Vec<&'a str>,
    work: &'a Path,
    /// How often it did.
    crashes: usize,
}

impl Suite<'_> {
    /// Runs pytest, again after each test that took the whole run with it (by a crash, or by a call that never
    /// returned). A test whose client is known to crash is then run again. `tests`: words of pytest's command line.
    fn run(&mut self, tests: &str, features: &str) -> Result<Outcomes> {
        let report = self.work.join(format!("report-{features}.jsonl"));
        let mut outcomes = Outcomes::new();
        for _ in 0..RUNS {
            let ended = self.pytest(tests, features);
            let text = std::fs::read_to_string(&report).unwrap_or_default();
            let said = read(&text).map_err(|e| Failure::new(report.display(), e))?;
            outcomes.extend(said.outcomes);
            if said.finished {
                return Ok(outcomes);
            }
            match said.unfinished {
                Some(test) if self.crashing.contains(&test.as_str()) && self.crashes + 1 < ATTEMPTS => {
                    self.crashes += 1;
                    let text = without(&text, &test);
                    std::fs::write(&report, text).map_err(|e| Failure::new(report.display(), e))?;
                }
                Some(test) if !outcomes.contains_key(&test) => {
                    outcomes.insert(test, Outcome::Failed(format!("it ended the run: {ended}")));
                }
                _ => return Err(Failure(format!("pytest ended between tests: {ended}"))),
            }
        }
        Err(Failure(format!("{RUNS} of the tests ended the run")))
    }

    /// One run of pytest; returns what it wrote.
    fn pytest(&self, tests: &str, features: &str) -> String {
        let command = format!(
            "cd /mnt/work/ceph/{PYTHON_FOLDER} && exec python3 -m pytest -p no:cacheprovider -p suite_report -q \
             --timeout {TEST_SECONDS} --timeout-method thread {tests}"
        );
        let pytest = self
            .release
            .program(self.work, &["sh", "-c", &command])
            .env("RBD_FEATURES", features)
            .env("PYTHONPATH", "/mnt/python")
            .env("SUITE_REPORT", format!("/mnt/work/report-{features}.jsonl"))
            .deadline(DEADLINE);
        match pytest.run() {
            Ok(outcome) => shorten(&format!("{}\n{}", outcome.text(), outcome.errors())),
            Err(failure) => failure.0,
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    outcomes: Outcomes,
    /// The last test that began, if its end is not reported.
    unfinished: Option<String>,
    finished: bool,
}

/// What the plugin wrote, as if that test had not begun yet: the next run begins with it.
fn without(text: &str, test: &str) -> String {
    let begun = |line: &&str| {
        let fields: Value = serde_json::from_str(line).unwrap_or_default();
        fields["begun"] != test
    };
    text.lines()
        .filter(begun)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// What the plugin wrote.
fn read(text: &str) -> serde_json::Result<Report> {
    let mut report = Report::default();
    for line in text.lines() {
        let fields: Value = serde_json::from_str(line)?;
        if let Some(test) = fields["begun"].as_str() {
            report.unfinished = Some(test.to_owned());
        }
        if let Some(test) = fields["test"].as_str() {
            let why = fields["why"].as_str().unwrap_or_default();
            let outcome = match fields["outcome"].as_str() {
                Some("passed") => Outcome::Passed,
                Some("skipped") => Outcome::Skipped(why.to_owned()),
                _ => Outcome::Failed(shorten(why)),
            };
            report.outcomes.insert(test.to_owned(), outcome);
            report.unfinished = None;
        }
        report.finished |= fields["finished"] == true;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_without_an_end_is_the_one_that_ended_the_run() {
        let text =
            "{\"begun\":\"a\"}\n{\"test\":\"a\",\"outcome\":\"passed\",\"why\":\"\"}\n{\"begun\":\"b\"}\n";
        let report = read(text).unwrap_or_default();
        assert_eq!(report.outcomes.get("a"), Some(&Outcome::Passed));
        assert_eq!(report.unfinished.as_deref(), Some("b"));
        assert!(!report.finished);
    }

    #[test]
    fn a_test_that_is_forgotten_has_not_begun() {
        let text = "{\"begun\":\"a\"}\n{\"begun\":\"b\"}\n";
        assert_eq!(without(text, "b"), "{\"begun\":\"a\"}\n");
    }

    #[test]
    fn a_failure_has_its_reason() {
        let text = "{\"test\":\"a\",\"outcome\":\"failed\",\"why\":\"call: boom\"}\n{\"finished\":true}\n";
        let report = read(text).unwrap_or_default();
        assert_eq!(
            report.outcomes.get("a"),
            Some(&Outcome::Failed("call: boom".to_owned()))
        );
        assert!(report.finished);
    }
}
