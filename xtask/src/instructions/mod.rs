//! `xtask instructions`: how many instructions the paths take that each request goes through, counted by valgrind, beside
//! stored figures. Unlike times they are the same on a busy machine, so a test can hold them.

mod paths;

use std::collections::BTreeMap;

use clap::Args;
use rbdgate_tests::exec::Program;

use crate::{Failure, Result, root};
use paths::PATHS;

/// Where the figures are kept.
const FILE: &str = "xtask/instructions.toml";
/// How much more than the figure is too much. Compilers differ by a few hundredths.
const TOO_MUCH: f64 = 1.15;
/// How often a path is run; twice as often, too, and the difference counts.
const TIMES: u32 = 2000;

/// Options of `instructions`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Stores what was counted as the new figures.
    #[arg(long)]
    store: bool,
    /// Runs a path so many times, without counting: this is what is counted.
    #[arg(long, num_args = 2, value_names = ["PATH", "TIMES"], hide = true)]
    run: Option<Vec<String>>,
}

/// Counts and compares.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some([name, times]) = options.run.as_deref() {
        let path = PATHS.iter().find(|path| path.name == name);
        let path = path.ok_or_else(|| Failure::new("no such path", name))?;
        return path.run(times.parse().map_err(|e| Failure::new(times, e))?);
    }
    let file = root().join(FILE);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let stored: BTreeMap<String, u64> = toml::from_str(&text).map_err(|e| Failure::new(file.display(), e))?;
    let mut counted = BTreeMap::new();
    let mut too_much = Vec::new();
    println!("| path | instructions | stored | ratio |\n|---|---|---|---|");
    for path in PATHS {
        let once = count(path.name, TIMES)?;
        let each = (count(path.name, 2 * TIMES)?.saturating_sub(once)) / u64::from(TIMES);
        let before = stored.get(path.name).copied();
        let ratio = before.map_or(1.0, |before| each as f64 / before as f64);
        let shown = before.map_or_else(|| "-".to_owned(), |before| before.to_string());
        println!("| {} | {each} | {shown} | {ratio:.2} |", path.name);
        if ratio > TOO_MUCH || (before.is_none() && !options.store) {
            too_much.push(path.name);
        }
        counted.insert(path.name.to_owned(), each);
    }
    if options.store {
        let figures = toml::to_string(&counted).map_err(|e| Failure::new(FILE, e))?;
        let text = format!(
            "# Instructions of each path: cargo run --release -p xtask -- instructions --store\n{figures}"
        );
        return std::fs::write(&file, text).map_err(|e| Failure::new(file.display(), e));
    }
    if too_much.is_empty() {
        return Ok(());
    }
    Err(Failure(format!(
        "more than {TOO_MUCH} times the stored figure, or none is stored: {}; if that is meant to be, run with --store",
        too_much.join(", ")
    )))
}

/// The instructions of the whole program that runs a path.
fn count(path: &str, times: u32) -> Result<u64> {
    let me = std::env::current_exe().map_err(|e| Failure::new("this program", e))?;
    let outcome = Program::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .args([me])
        .args(["instructions", "--run", path, &times.to_string()])
        .run()?
        .success()?;
    let report = String::from_utf8_lossy(&outcome.stderr).into_owned();
    let line = report.lines().find_map(|line| line.split_once("refs:"));
    let digits: String = line.map_or_else(String::new, |(_, rest)| {
        rest.chars().filter(char::is_ascii_digit).collect()
    });
    digits.parse().map_err(|e| Failure::new(report, e))
}
