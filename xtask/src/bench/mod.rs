//! `xtask bench`: rbdgate beside Ceph's own OSD and beside what the disk and the socket allow; same disk, same client, same
//! run.
//!
//! Each job runs on all sides in turn, in rounds that alternate who goes first; the figures are medians over the rounds. The
//! client is fio's rbd engine without librbd's cache, so each figure includes what librbd costs, and next to it a lean
//! client, the same for both servers, which shows the server.

pub(crate) mod client;
pub(crate) mod curve;
mod footprint;
mod jobs;
mod loopback;
mod references;
mod report;
pub(crate) mod sample;
pub(crate) mod server;
mod targets;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::lean::{Lean, Load};
use crate::{Failure, Result};
use footprint::Footprint;
use jobs::{Client, JOBS, Job};
use references::References;
use sample::Sample;
use server::Server;

/// What else the help says.
const HELP: &str = "\
What is measured beside rbdgate:
  ceph    ceph-mon and ceph-osd of this machine (bluestore, pools of size 1), the same jobs by the same client
  limits  the disk itself (fio, io_uring, O_DIRECT, writes O_DSYNC), qemu-nbd over loopback TCP with fio's
          nbd engine, and a bare round trip over loopback TCP

Packages: ceph-mon ceph-osd ceph-common python3-rbd fio qemu-utils. The folder takes 20 GB, a fifth of it with --quick.
Nothing else should run on the machine: compare ratios of one run, never figures of two.

Examples:
  xtask bench                               the whole table, three rounds, about a quarter of an hour
  xtask bench --quick                       the same table from one short round, below three minutes
  xtask bench --side rbdgate --only '4k'    rbdgate alone, the small jobs
  xtask bench --side rbdgate --only memory  memory and start with a thousand images
  xtask bench --folder /mnt/disk/bench      another disk";

/// Options of `bench`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Options {
    /// Short jobs, a small image, one round: for a first impression.
    #[arg(long)]
    quick: bool,
    /// Rounds (3; with --quick 1).
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each job (4; with --quick 1.2).
    #[arg(long)]
    seconds: Option<f64>,
    /// Only the jobs whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// What to measure; may be given more than once. Without it all.
    #[arg(long, value_enum)]
    side: Vec<Side>,
    /// The folder for the data of all sides, on the disk to measure (target/bench).
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What a job runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// Ceph's own daemons.
    Ceph,
    /// rbdgate.
    Rbdgate,
    /// What the figures are to come near.
    Limits,
}

impl Side {
    const ALL: [Self; 3] = [Self::Ceph, Self::Rbdgate, Self::Limits];

    fn name(self) -> &'static str {
        match self {
            Self::Ceph => "ceph",
            Self::Rbdgate => "rbdgate",
            Self::Limits => "limit",
        }
    }
}

/// The length of the run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    /// Milliseconds of each job.
    millis: u64,
    /// Bytes of the image.
    image: u64,
}

impl Plan {
    fn of(options: &Options) -> Result<Self> {
        let seconds = options.seconds.unwrap_or(if options.quick { 1.2 } else { 4.0 });
        let time = Duration::try_from_secs_f64(seconds).map_err(|e| Failure::new("--seconds", e))?;
        Ok(Self {
            rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 3 }),
            millis: time.as_millis().clamp(100, 3_600_000) as u64,
            image: if options.quick { 1 << 30 } else { 4 << 30 },
        })
    }

    /// Bytes of the image that each of several clients has.
    fn small_image(self) -> u64 {
        self.image / 8
    }
}

/// The samples of a job.
#[derive(Debug)]
struct Row {
    job: Job,
    /// By [`Side::ALL`].
    samples: [Vec<Sample>; 3],
}

impl Row {
    /// The median of a figure on a side.
    fn median(&self, side: Side, figure: impl Fn(&Sample) -> f64) -> Option<f64> {
        let samples = &self.samples[side as usize];
        sample::median(samples.iter().map(figure))
    }
}

/// All that was measured.
#[derive(Debug)]
struct Results {
    rows: Vec<Row>,
    /// Median round trip over loopback TCP, microseconds.
    loopback: Option<f64>,
    footprint: Option<Footprint>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let plan = Plan::of(options)?;
    let folder = server::folder(options.folder.as_deref())?;
    let wanted = |name: &str| options.only.as_deref().is_none_or(|part| name.contains(part));
    let chosen = |side| options.side.is_empty() || options.side.contains(&side);
    let jobs = JOBS.iter().filter(|job| wanted(job.name));
    let mut rows: Vec<Row> = jobs
        .map(|&job| Row {
            job,
            samples: Default::default(),
        })
        .collect();
    let mut loopback = None;
    if !rows.is_empty() {
        let mut sides = Sides::start(&rows, plan, &folder, chosen)?;
        sides.measure(&mut rows, plan)?;
        loopback = sample::median(sides.loopback.into_iter());
    }
    let footprint = if chosen(Side::Rbdgate) && wanted(report::FOOTPRINT) {
        eprintln!("{}", report::FOOTPRINT);
        Some(footprint::measure(&folder)?)
    } else {
        None
    };
    let results = Results {
        rows,
        loopback,
        footprint,
    };
    report::print(&results, plan, &folder);
    Ok(())
}

/// What runs while the jobs are measured.
struct Sides {
    ceph: Option<(Server, Lean)>,
    rbdgate: Option<(Server, Lean)>,
    limits: Option<References>,
    /// Round trips over loopback TCP, one of each round.
    loopback: Vec<f64>,
}

impl Sides {
    /// Starts those chosen, and fills the images and files.
    fn start(rows: &[Row], plan: Plan, folder: &Path, chosen: impl Fn(Side) -> bool) -> Result<Self> {
        let several = rows
            .iter()
            .any(|row| matches!(row.job.client, Client::Several(_)));
        let filled = |server: Server| {
            eprintln!("filling the images on {}", server.name());
            client::fill(&server, client::IMAGE, plan.image)?;
            if several {
                client::fill_several(&server, plan)?;
            }
            let lean = Lean::of(&server, client::IMAGE, plan.image.min(1 << 30))?;
            Ok::<_, Failure>((server, lean))
        };
        let mut sides = Self {
            ceph: None,
            rbdgate: None,
            limits: None,
            loopback: Vec::new(),
        };
        if chosen(Side::Limits) && rows.iter().any(|row| row.job.reference.is_some()) {
            eprintln!("filling the file of the references");
            sides.limits = Some(References::start(folder, plan)?);
        }
        if chosen(Side::Ceph) && rows.iter().any(|row| row.job.on_ceph()) {
            sides.ceph = Some(filled(Server::ceph(folder)?)?);
        }
        if chosen(Side::Rbdgate) {
            sides.rbdgate = Some(filled(Server::rbdgate(folder)?)?);
        }
        Ok(sides)
    }

    /// Runs the rounds.
    fn measure(&mut self, rows: &mut [Row], plan: Plan) -> Result<()> {
        let mut order = Side::ALL;
        for round in 1..=plan.rounds {
            for row in &mut *rows {
                for side in order {
                    if let Some(sample) = self.sample(side, &row.job, plan)? {
                        eprintln!("round {round}: {:<44} {:<8} {sample}", row.job.name, side.name());
                        row.samples[side as usize].push(sample);
                    }
                }
            }
            if self.limits.is_some() {
                let time = Duration::from_millis(plan.millis / 4);
                self.loopback.push(loopback::round_trip(time)?);
            }
            order.rotate_left(1);
        }
        Ok(())
    }

    /// Runs a job on a side, if it is one for that.
    fn sample(&self, side: Side, job: &Job, plan: Plan) -> Result<Option<Sample>> {
        let measured = match (side, &self.ceph, &self.rbdgate, &self.limits) {
            (Side::Ceph, Some(server), ..) if job.on_ceph() => ask(server, job, plan),
            (Side::Rbdgate, _, Some(server), _) => ask(server, job, plan),
            (Side::Limits, .., Some(limits)) => match job.reference {
                Some(reference) => limits.run(job, reference, plan),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        measured.map(Some)
    }
}

/// Runs a job on a server.
fn ask((server, lean): &(Server, Lean), job: &Job, plan: Plan) -> Result<Sample> {
    let Client::Lean(how) = job.client else {
        return client::run(server, job, plan);
    };
    let load = Load {
        writes: job.writes(),
        block: job.block_bytes(),
        depth: job.depth as usize,
        secure: how == jobs::Lean::Secure,
        snapshot: None,
        time: Duration::from_millis(plan.millis),
    };
    if how != jobs::Lean::AfterSnapshot {
        return lean.measure(server, load);
    }
    client::after_snapshot(server, |newest| {
        let snapshot = Some(newest);
        lean.measure(server, Load { snapshot, ..load })
    })
}
