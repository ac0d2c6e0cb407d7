//! The outcome as a table: for the screen, and as docs/clients.md.

use std::fmt::Write;

use rbdgate_tests::generations::Mode;
use rbdgate_tests::table::aligned;

/// One generation in one mode.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Passed,
    /// Steps that failed, each with what was seen.
    Failed(Vec<(&'static str, String)>),
    /// The server does not listen for this mode.
    NotServed,
    /// No such clients on this machine.
    NotRun,
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Passed => "passes".to_owned(),
            Self::Failed(steps) => {
                let names: Vec<&str> = steps.iter().map(|(name, _)| *name).collect();
                format!("fails: {}", names.join(", "))
            }
            Self::NotServed => "not served".to_owned(),
            Self::NotRun => "not run".to_owned(),
        }
    }
}

/// One generation in all modes.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Empty if not run.
    pub(crate) version: String,
    pub(crate) origin: String,
    /// In the order of [`Mode::ALL`].
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    fn words(&self) -> Vec<String> {
        let mut words = vec![self.name.clone(), self.version.clone(), self.origin.clone()];
        words.extend(self.cells.iter().map(Cell::text));
        words
    }
}

/// Oldest first: Ceph's generations are in alphabetical order.
pub(crate) fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| (&a.name, &a.origin).cmp(&(&b.name, &b.origin)));
}

fn heads() -> Vec<String> {
    let mut heads = vec!["Generation".to_owned(), "Version".to_owned(), "From".to_owned()];
    heads.extend(Mode::ALL.map(|mode| mode.title().to_owned()));
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
    for step in super::life::STEPS {
        let _ = writeln!(page, "- **{}**: {}", step.name, step.what);
    }
    page
}

/// What failed, in full.
pub(crate) fn failures(rows: &[Row]) -> Vec<String> {
    let mut failures = Vec::new();
    for row in rows {
        for (cell, mode) in row.cells.iter().zip(Mode::ALL) {
            let Cell::Failed(steps) = cell else { continue };
            for (step, why) in steps {
                failures.push(format!(
                    "{} {} ({}), {}, {step}:\n{why}",
                    row.name,
                    row.version,
                    row.origin,
                    mode.title()
                ));
            }
        }
    }
    failures
}

const ABOVE: &str = "\
# Clients

Stock clients from Debian's packages against rbdgate, each through the life of an image. Written by
`tests/run.sh generations`; do not edit.

";

const BELOW: &str = "
- **v2 crc**, **v2 secure**: `ms_client_mode` and `ms_mon_client_mode` set to that mode; the server's log confirms
  that every session with monitor, manager and OSDs had it.
- **default**: the ceph.conf that rbdgate writes, nothing set. Clients then choose secure for the monitor and crc for
  the OSDs; for the manager nautilus chooses crc, pacific and later secure.
- **v1 mon_host**: `mon_host` has the monitor's v1 address alone. With the maps that it gets
  there the client goes on by v2, as it does with Ceph.
- **v1 only**: the server speaks v1 alone (`--max-msgr v1`), so every session is v1.
- **v2.0 only**: the server speaks v2.0 at most (`--max-msgr v2.0`), where clients get by with crc.

*Not served*: the server does not listen for that mode. *Not run*: the clients were not to be had where this was
written.

What each has to do:

";
