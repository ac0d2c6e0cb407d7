//! `xtask crowd`: what ten thousand idle clients and two thousand half-open handshakes cost a client that works. Rounds without
//! and with them take turns.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use msgr::auth::ConMode;
use rbdgate_tests::crowd::{Crowd, IDLE, STRANGERS};
use rbdgate_tests::raw_client::RawClient;

use crate::Result;
use crate::bench::client;
use crate::bench::sample::{Sample, median};
use crate::bench::server::{Server, folder};
use crate::lean::{Lean, Load};

/// Bytes of the image, which the page cache holds.
const IMAGE_SIZE: u64 = 256 << 20;

/// So long the server has to take a crowd in, or to see that it went.
const SETTLE: Duration = Duration::from_secs(1);

/// Options of `crowd`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds of each job; strangers are cut off before long.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds without and with the crowd; the table has the medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The folder for the server's data: the disk to measure.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// A load, and what it measured without and with the crowd.
struct Job {
    name: &'static str,
    load: Load,
    alone: Vec<Sample>,
    crowded: Vec<Sample>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let server = Server::rbdgate(&folder(options.folder.as_deref())?)?;
    client::fill(&server, client::IMAGE, IMAGE_SIZE)?;
    let lean = Lean::of(&server, client::IMAGE, IMAGE_SIZE)?;
    let (mon_port, keyring) = server.raw_client();
    let mut jobs = jobs(Duration::from_secs(options.seconds));
    for round in 1..=options.rounds.max(1) {
        eprintln!("round {round}");
        for job in &mut jobs {
            // Anew each time: strangers are cut off when their time is over. What works alone comes behind a crowd, too, so that
            // the server and its disk had the same to do before.
            for stays in [false, true] {
                let client = RawClient::start(mon_port, &keyring, &[ConMode::CRC])?;
                let crowd = Some(Crowd::gather(&client, mon_port)?).filter(|_| stays);
                sleep(SETTLE);
                let samples = if stays { &mut job.crowded } else { &mut job.alone };
                samples.push(lean.measure(&server, job.load)?);
                drop(crowd);
            }
        }
    }
    println!(
        "Requests of 4 KiB at random beside {IDLE} idle clients and {STRANGERS} half-open handshakes; medians of {} rounds of {} s.\n",
        options.rounds, options.seconds
    );
    println!("| job | alone /s | beside them /s | ratio |");
    println!("|---|---|---|---|");
    for job in &jobs {
        let rate = |samples: &[Sample]| median(samples.iter().map(|sample| sample.iops)).unwrap_or(f64::NAN);
        let (alone, crowded) = (rate(&job.alone), rate(&job.crowded));
        println!(
            "| {} | {alone:.0} | {crowded:.0} | {:.2} |",
            job.name,
            crowded / alone
        );
    }
    Ok(())
}

fn jobs(time: Duration) -> Vec<Job> {
    let job = |name, writes, depth| Job {
        name,
        load: Load {
            writes,
            block: 4096,
            depth,
            secure: false,
            snapshot: None,
            time,
        },
        alone: Vec::new(),
        crowded: Vec::new(),
    };
    vec![
        job("read, one at a time", false, 1),
        job("read, 32 under way", false, 32),
        job("write, one at a time", true, 1),
        job("write, 32 under way", true, 32),
    ]
}
