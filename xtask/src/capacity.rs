//! `xtask capacity`: what the server itself can do. A lean client keeps many requests of 4 KiB under way; the figure is the
//! server's processor time for each.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::Result;
use crate::bench::client;
use crate::bench::server::{Server, folder};
use crate::lean::{Lean, Load};

/// Bytes of the image. Memory holds it: for reads the server's read cache, for writes the page cache.
const IMAGE_SIZE: u64 = 1 << 30;

/// Options of `capacity`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Requests under way at a time.
    #[arg(long, default_value_t = 64)]
    depth: usize,
    /// Seconds of each job.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds; the table has the median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only this job.
    #[arg(long, value_enum)]
    only: Option<Job>,
    /// The folder for the server's data: the disk to measure.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Job {
    /// Random reads of 4 KiB, from the page cache.
    Read,
    /// Random writes of 4 KiB, durable.
    Write,
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let server = Server::rbdgate(&folder(options.folder.as_deref())?)?;
    client::fill(&server, client::IMAGE, IMAGE_SIZE)?;
    let lean = Lean::of(&server, client::IMAGE, IMAGE_SIZE)?;
    println!(
        "Requests of 4 KiB at random, {} under way; medians of {} rounds of {} s.\n",
        options.depth, options.rounds, options.seconds
    );
    println!("| job | mode | requests/s | server CPU us each | per second of CPU |");
    println!("|---|---|---|---|---|");
    for job in [Job::Read, Job::Write] {
        if options.only.is_some_and(|only| only != job) {
            continue;
        }
        for secure in [false, true] {
            let load = Load {
                writes: job == Job::Write,
                block: 4096,
                snapshot: None,
                depth: options.depth,
                secure,
                time: Duration::from_secs(options.seconds),
            };
            if load.writes && !secure {
                // The image was written in large pieces, which go past the page cache.
                lean.write_all(load)?;
            }
            let rounds = 0..options.rounds.max(1);
            let measured = rounds.map(|_| lean.measure(&server, load));
            let mut samples = measured.collect::<Result<Vec<_>>>()?;
            samples.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
            let middle = samples[samples.len() / 2];
            println!(
                "| {} | {} | {:.0} | {:.2} | {:.0} |",
                job.name(),
                if secure { "secure" } else { "crc" },
                middle.iops,
                middle.cpu,
                1e6 / middle.cpu
            );
        }
    }
    Ok(())
}
