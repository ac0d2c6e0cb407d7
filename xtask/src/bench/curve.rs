//! `xtask bench-curve`: what rbdgate adds to a CurveBS cluster. The same jobs with stock clients through rbdgate, and with the example
//! client of `crates/curve`, on the same simulated cluster in memory.

use std::path::{Path, PathBuf};

use clap::Args;
use rbdgate_tests::curve::{BY_ROOT, CurveSim};
use rbdgate_tests::exec::Program;
use std::time::Duration;

use super::Plan;
use super::client;
use super::jobs::{Job, job};
use super::sample::{Sample, median};
use super::server::{Server, build, folder};
use crate::{Failure, Result, root};

/// Options of `bench-curve`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each job.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// The folder for rbdgate's metadata; a file system in memory shows what rbdgate costs without its disk.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// The jobs by the names that the example gives them.
const JOBS: [(&str, Job); 8] = [
    ("write 4K qd1", job("4k random write, qd 1", "randwrite", "4k", 1)),
    ("read  4K qd1", job("4k random read, qd 1", "randread", "4k", 1)),
    (
        "write 4K qd32",
        job("4k random write, qd 32", "randwrite", "4k", 32),
    ),
    (
        "read  4K qd32",
        job("4k random read, qd 32", "randread", "4k", 32),
    ),
    ("write 4M qd1", job("4M random write, qd 1", "randwrite", "4M", 1)),
    ("read  4M qd1", job("4M random read, qd 1", "randread", "4M", 1)),
    ("write 4M qd4", job("4M random write, qd 4", "randwrite", "4M", 4)),
    ("read  4M qd4", job("4M random read, qd 4", "randread", "4M", 4)),
];

/// What the client alone does.
#[derive(Debug, Clone, Copy)]
struct Direct {
    /// MiB a second.
    bandwidth: f64,
    /// Median of an operation, microseconds.
    p50: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    build(&["-p", "rbdgate", "-p", "curve-sim"])?;
    build(&["-p", "rbdgate-curve", "--example", "bench"])?;
    let folder = folder(options.folder.as_deref())?;
    let curve = CurveSim::start(&[])?;
    let config = curve.configuration(&folder, BY_ROOT)?;
    let server = Server::rbdgate_with(&folder, &["--config", &config.display().to_string()])?;
    let plan = Plan {
        rounds: options.rounds,
        millis: options.seconds * 1000,
        image: 1 << 30,
    };
    eprintln!("filling the image");
    client::fill(&server, client::IMAGE, plan.image)?;
    let mut rows: Vec<(Job, Vec<Direct>, Vec<Sample>)> = JOBS
        .iter()
        .map(|(_, job)| (*job, Vec::new(), Vec::new()))
        .collect();
    for round in 1..=plan.rounds {
        eprintln!("round {round}: the client alone");
        let direct = client_alone(&curve, options.seconds)?;
        for (row, direct) in rows.iter_mut().zip(direct) {
            row.1.push(direct);
            let sample = client::run(&server, &row.0, plan)?;
            eprintln!("round {round}: {:<24} {sample}", row.0.name);
            row.2.push(sample);
        }
    }
    print(&rows, &folder);
    Ok(())
}

/// Runs the example on the cluster; its figures in the order of [`JOBS`].
fn client_alone(curve: &CurveSim, seconds: u64) -> Result<Vec<Direct>> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let outcome = Program::new(target.join("release/examples/bench"))
        .args([curve.mds()])
        .env("SECONDS_EACH", seconds.to_string())
        .deadline(Duration::from_secs(600))
        .run()?
        .success()?;
    let text = outcome.text();
    let figures = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let before = |unit: &[&str]| {
            let at = words.windows(unit.len()).position(|window| window == unit)?;
            words.get(at.checked_sub(1)?)?.parse().ok()
        };
        Some(Direct {
            bandwidth: before(&["MiB/s"])?,
            p50: before(&["us", "median"])?,
        })
    };
    JOBS.iter()
        .map(|(name, _)| figures(&format!("{name} ")).ok_or_else(|| Failure::new(name, &outcome)))
        .collect()
}

fn print(rows: &[(Job, Vec<Direct>, Vec<Sample>)], folder: &Path) {
    println!(
        "Metadata in {}; medians of {} rounds.\n",
        folder.display(),
        rows[0].1.len()
    );
    println!(
        "| job | client p50 us | rbdgate p50 us | added us | client MiB/s | rbdgate MiB/s | throughput | rbdgate CPU us/op |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (job, direct, sample) in rows {
        let median = |values: &mut dyn Iterator<Item = f64>| median(values).unwrap_or(f64::NAN);
        let alone = median(&mut direct.iter().map(|direct| direct.p50));
        let through = median(&mut sample.iter().map(|sample| sample.p50));
        let rate_alone = median(&mut direct.iter().map(|direct| direct.bandwidth));
        let rate_through = median(&mut sample.iter().map(|sample| sample.bandwidth / f64::from(1 << 20)));
        println!(
            "| {} | {alone:.0} | {through:.0} | {:.0} | {rate_alone:.0} | {rate_through:.0} | {:.0} % | {:.0} |",
            job.name,
            through - alone,
            rate_through / rate_alone * 100.0,
            median(&mut sample.iter().map(|sample| sample.cpu)),
        );
    }
}
