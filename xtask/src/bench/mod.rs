//! `xtask bench`: rbdgate beside Ceph's own OSD, same disk, same client, same run.
//!
//! Each job runs on both servers in turn, in rounds that alternate who goes first; the figures are medians over the
//! rounds. The client is fio's rbd engine without librbd's cache, so each figure includes what librbd costs.

pub(crate) mod curve;
mod fio;
mod report;
pub(crate) mod server;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{Failure, Result, root};
use fio::{JOBS, Job, Sample};
use server::Server;

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Short jobs, a small image, one round: about three minutes, for a first impression.
    #[arg(long)]
    quick: bool,
    /// Rounds (3; with --quick 1).
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each job (15; with --quick 4).
    #[arg(long)]
    seconds: Option<u64>,
    /// Only the jobs whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// The servers to measure.
    #[arg(long, value_enum, default_value_t = Side::Both)]
    side: Side,
    /// The folder for the data of both servers: the disk to measure.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Which servers to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// One against the other.
    Both,
    /// rbdgate alone.
    Rbdgate,
    /// Ceph's daemons alone.
    Ceph,
}

/// The length of the run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    /// Of each job.
    seconds: u64,
    /// Bytes of the image.
    image: u64,
}

/// The samples of a job.
#[derive(Debug)]
struct Row {
    job: Job,
    ceph: Vec<Sample>,
    rbdgate: Vec<Sample>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let plan = Plan {
        rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 3 }),
        seconds: options.seconds.unwrap_or(if options.quick { 4 } else { 15 }),
        image: if options.quick { 1 << 30 } else { 4 << 30 },
    };
    let folder = options
        .folder
        .clone()
        .unwrap_or_else(|| root().join("target/bench"));
    std::fs::create_dir_all(&folder).map_err(|e| Failure::new(folder.display(), e))?;
    let folder = std::path::absolute(&folder).map_err(|e| Failure::new(folder.display(), e))?;
    let mut servers = Vec::new();
    if options.side != Side::Rbdgate {
        eprintln!("starting ceph-mon and ceph-osd");
        servers.push(Server::ceph(&folder)?);
    }
    if options.side != Side::Ceph {
        eprintln!("starting rbdgate");
        servers.push(Server::rbdgate(&folder)?);
    }
    for server in &servers {
        eprintln!("filling the image on {}", server.name());
        fio::fill(server, plan.image)?;
    }
    let rows = measure(&mut servers, plan, options.only.as_deref())?;
    report::print(&rows, plan, &folder);
    Ok(())
}

fn measure(servers: &mut [Server], plan: Plan, only: Option<&str>) -> Result<Vec<Row>> {
    let chosen = JOBS
        .iter()
        .filter(|job| only.is_none_or(|part| job.name.contains(part)));
    let mut rows: Vec<Row> = chosen
        .map(|&job| Row {
            job,
            ceph: Vec::new(),
            rbdgate: Vec::new(),
        })
        .collect();
    for round in 0..plan.rounds {
        for row in &mut rows {
            for server in servers.iter() {
                let sample = fio::run(server, row.job, plan)?;
                eprintln!(
                    "round {}: {:<24} {:<8} {sample}",
                    round + 1,
                    row.job.name,
                    server.name()
                );
                match server {
                    Server::Ceph { .. } => row.ceph.push(sample),
                    Server::Rbdgate { .. } => row.rbdgate.push(sample),
                }
            }
        }
        servers.reverse();
    }
    Ok(rows)
}
