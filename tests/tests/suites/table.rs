//! What came out, as a table: for the screen and for the documentation.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fmt::{self, Write};
use std::time::Duration;

use rbdgate_tests::suites::{Outcome, Outcomes, Release};

/// One suite file of one release.
#[derive(Debug)]
pub(crate) struct Row {
    debian: String,
    version: String,
    file: String,
    passed: usize,
    skipped: usize,
    failed: usize,
    elapsed: Duration,
}

impl Row {
    pub(crate) fn new(release: &Release, file: &str, outcomes: &Outcomes, elapsed: Duration) -> Self {
        let count = |wanted: fn(&Outcome) -> bool| outcomes.values().filter(|outcome| wanted(outcome)).count();
        Self {
            debian: release.debian.clone(),
            version: release.version.clone(),
            file: file.to_owned(),
            passed: count(|outcome| matches!(outcome, Outcome::Passed)),
            skipped: count(|outcome| matches!(outcome, Outcome::Skipped(_))),
            failed: count(|outcome| matches!(outcome, Outcome::Failed(_))),
            elapsed,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:6} {:52} {:4} passed {:3} skipped {:3} failed {:4} s",
            self.debian,
            self.file,
            self.passed,
            self.skipped,
            self.failed,
            self.elapsed.as_secs()
        )
    }
}

/// By release, then by name; the parts of a script are one row.
pub(crate) fn merge(rows: Vec<Row>) -> Vec<Row> {
    let mut merged = BTreeMap::<_, Row>::new();
    for mut row in rows {
        row.file = row.file.split("::").next().unwrap_or_default().to_owned();
        match merged.entry((row.version.clone(), row.file.clone())) {
            Entry::Vacant(place) => drop(place.insert(row)),
            Entry::Occupied(mut place) => {
                let sum = place.get_mut();
                sum.passed += row.passed;
                sum.skipped += row.skipped;
                sum.failed += row.failed;
                sum.elapsed += row.elapsed;
            }
        }
    }
    merged.into_values().collect()
}

/// For the screen.
pub(crate) fn plain(rows: &[Row]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// The page of the documentation.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "# Ceph's own suites\n\n\
         Tests from Ceph's source packages, unmodified, each run with the clients of its release against rbdgate. Written by\n\
         `tests/run.sh suites`; do not edit. The tests that fail or are skipped stand in\n\
         [tests/suites/excluded.toml](../tests/suites/excluded.toml), each with its reason, as do the files that are not run.\n\n\
         | Source package | Suite | Passed | Skipped | Failed |\n\
         | -------------- | ----- | ------ | ------- | ------ |\n",
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            row.version, row.file, row.passed, row.skipped, row.failed
        );
    }
    text
}
