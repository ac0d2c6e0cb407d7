//! `xtask snapshots`: what snapshots cost. An image with many snapshots beside one without, on the same server in the
//! same run, through librbd (`tests/python/snapshot_cost.py`).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rbdgate_tests::exec::Program;
use serde_json::Value;

use crate::bench::server::{Server, folder};
use crate::{Result, root};

/// Options of `snapshots`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many snapshots the image gets.
    #[arg(long, default_value_t = 1000)]
    snapshots: u32,
    /// Seconds of each of the 31 rounds.
    #[arg(long, default_value_t = 0.2)]
    seconds: f64,
    /// Measures Ceph's own daemons too, which takes a second for each snapshot.
    #[arg(long)]
    ceph: bool,
    /// The folder for the data of the servers: the disk to measure.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = folder(options.folder.as_deref())?;
    println!(
        "{} snapshots, random reads and writes of 4 KiB, one at a time\n",
        options.snapshots
    );
    println!("| | without /s | with /s | ratio | create ms, few | many | remove ms, few | many |");
    println!("|---|---|---|---|---|---|---|---|");
    if options.ceph {
        measure(&Server::ceph(&folder)?, options)?;
    }
    measure(&Server::rbdgate(&folder)?, options)
}

fn measure(server: &Server, options: &Options) -> Result<()> {
    let (count, seconds) = (options.snapshots.to_string(), options.seconds.to_string());
    let script = root().join("tests/python/snapshot_cost.py");
    let outcome = Program::new("/usr/bin/python3")
        .args([script.as_os_str(), server.conf().as_os_str()])
        .args([count, seconds])
        .deadline(Duration::from_secs(3600))
        .run()?
        .success()?;
    let found = outcome.json();
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    for kind in ["read", "write"] {
        let row = &found[kind];
        let rates = [&row["plain"], &row["snapped"]].map(|rate| format!("{:.0}", number(rate)));
        let times = [
            "create_few_ms",
            "create_many_ms",
            "remove_few_ms",
            "remove_many_ms",
        ];
        let times = times.map(|time| format!("{:.1}", number(&found[time])));
        println!(
            "| {} {kind} | {} | {:.2} | {} |",
            server.name(),
            rates.join(" | "),
            number(&row["ratio"]),
            times.join(" | ")
        );
    }
    Ok(())
}
