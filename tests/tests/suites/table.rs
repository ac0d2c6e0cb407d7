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
        let count =
            |wanted: fn(&Outcome) -> bool| outcomes.values().filter(|outcome| wanted(outcome)).count();
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
         Tests from Ceph's source packages, unmodified, each run with the clients of its release against rbdgate. The table is\n\
         written by `tests/run.sh suites`.\n\n\
         - `tests/run.sh suites` gets the sources with apt (`tests/suites.sh`), makes the chroots with the clients, and runs\n\
        \u{20} everything. `RBDGATE_SUITES_ONLY=\"trixie/test_rbd.py sid/diff.sh\"` runs a part; `tests/run.sh suites-part`, of the\n\
        \u{20} default stages, runs those that take a minute or two.\n\
         - The tests that fail, are skipped or are not run stand in\n\
        \u{20} [tests/suites/excluded.toml](../tests/suites/excluded.toml), each with its reason. A test that does something else\n\
        \u{20} than is written there fails the run, also if it passes.\n\
         - The calls at the end of `cli_generic.sh` and `permissions.sh` count as a test each.\n\
         - A test that does not end is ended after 90 seconds, a script after half an hour.\n\n\
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
