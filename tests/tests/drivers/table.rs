//! The outcome as a table: for the screen, and as docs/drivers.md.

use std::fmt::Write;

use rbdgate_tests::table::aligned;

use super::{CLONES, DRIVERS};

/// A driver with one format of clones.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// Its operations, each with what went wrong.
    Run(Vec<(String, Option<String>)>),
    /// The driver is not installed.
    NotRun,
}

impl Cell {
    fn text(&self) -> String {
        let Self::Run(steps) = self else {
            return "not run".to_owned();
        };
        let failed: Vec<&str> = steps
            .iter()
            .filter(|(_, error)| error.is_some())
            .map(|(name, _)| name.as_str())
            .collect();
        if failed.is_empty() {
            format!("passes ({})", steps.len())
        } else {
            format!("fails: {}", failed.join("; "))
        }
    }
}

/// One driver of one release of Debian.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) driver: &'static str,
    /// None if it is not installed.
    pub(crate) version: Option<String>,
    pub(crate) origin: String,
    /// In the order of [`CLONES`].
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    fn words(&self) -> Vec<String> {
        let version = self.version.clone().unwrap_or_default();
        let mut words = vec![self.driver.to_owned(), version, self.origin.clone()];
        words.extend(self.cells.iter().map(Cell::text));
        words
    }
}

fn heads() -> Vec<String> {
    let mut heads = ["Driver", "Version", "From"].map(str::to_owned).to_vec();
    heads.extend(CLONES.map(|(format, _)| format!("clones of {format}")));
    heads
}

/// Aligned columns, with the bars of a Markdown table.
pub(crate) fn plain(rows: &[Row]) -> String {
    let mut lines = vec![heads()];
    lines.extend(rows.iter().map(Row::words));
    aligned(lines)
}

/// The whole page.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut page = String::from(ABOVE);
    page.push_str(&plain(rows));
    page.push_str(BELOW);
    for driver in &DRIVERS {
        let run = rows
            .iter()
            .filter(|row| row.driver == driver.name)
            .find_map(|row| {
                row.cells.iter().find_map(|cell| match cell {
                    Cell::Run(steps) => Some(steps),
                    Cell::NotRun => None,
                })
            });
        let Some(steps) = run else { continue };
        let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
        let _ = writeln!(page, "- **{}**: {}.", driver.name, names.join("; "));
    }
    page
}

/// What failed, in full.
pub(crate) fn failures(rows: &[Row]) -> Vec<String> {
    let mut failures = Vec::new();
    for row in rows {
        for (cell, (format, _)) in row.cells.iter().zip(CLONES) {
            let Cell::Run(steps) = cell else { continue };
            for (step, why) in steps.iter().filter_map(|(step, why)| Some((step, why.as_ref()?))) {
                failures.push(format!(
                    "{} ({}), clones of {format}, {step}:\n{why}",
                    row.driver, row.origin
                ));
            }
        }
    }
    failures
}

const ABOVE: &str = "\
# Drivers

Drivers of clouds as Debian packages them, unmodified, put through their main operations against rbdgate. Written by
`tests/run.sh drivers`; do not edit.

";

const BELOW: &str = "
The users `client.glance` and `client.cinder` have the capabilities that Ceph's documentation of OpenStack gives them; libvirt's
daemon has the second's key as a secret. librbd makes clones of format 2 where
`ceph osd get-require-min-compat-client` says mimic or later, and else of format 1, whose snapshots must be protected.
In brackets: how many operations. *Not run*: the driver was not installed where this was written.

What each has to do:

";
