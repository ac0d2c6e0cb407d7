//! `xtask capacity`: what the server itself can do. A lean client, one thread and msgr v2 without librados, keeps many
//! requests of 4 KiB under way; the figure is the server's processor time for each.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use encoding::messages::{MOsdOp, MOsdOpReply};
use encoding::types::OpCode;
use encoding::{Message, MessageType, RawMessage};
use msgr::auth::ConMode;
use rbdgate_tests::exec::Program;
use rbdgate_tests::old_client::{on_range, request};
use rbdgate_tests::raw_client::{Pipeline, RawClient};

use crate::bench::server::Server;
use crate::{Failure, Result, root};

const BLOCK: u64 = 4096;
const OBJECT: u64 = 4 << 20;
/// Objects written before: 1 GiB, which the page cache holds.
const OBJECTS: u64 = 256;

/// How long a job runs before it is measured.
const WARM: Duration = Duration::from_millis(300);

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

/// What one run of a job measured.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Requests a second.
    rate: f64,
    /// Microseconds of the server's processor time for each.
    cpu: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = options.folder.clone();
    let folder = folder.unwrap_or_else(|| root().join("target/bench"));
    std::fs::create_dir_all(&folder).map_err(|e| Failure::new(folder.display(), e))?;
    let folder = std::path::absolute(&folder).map_err(|e| Failure::new(folder.display(), e))?;
    let server = Server::rbdgate(&folder)?;
    let requests = Requests::fill(&server)?;
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
        for mode in [ConMode::CRC, ConMode::SECURE] {
            let mut samples = Vec::new();
            for _ in 0..options.rounds.max(1) {
                samples.push(requests.measure(&server, options, job, mode)?);
            }
            samples.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
            let Sample { rate, cpu } = samples[samples.len() / 2];
            println!(
                "| {} | {} | {rate:.0} | {cpu:.2} | {:.0} |",
                match job {
                    Job::Read => "read",
                    Job::Write => "write",
                },
                if mode == ConMode::CRC { "crc" } else { "secure" },
                1e6 / cpu
            );
        }
    }
    Ok(())
}

/// Requests for the objects of an image, without their ranges.
struct Requests {
    mon_port: u16,
    keyring: PathBuf,
    reads: Vec<MOsdOp>,
    writes: Vec<MOsdOp>,
}

impl Requests {
    /// Creates the image, writes all its objects, and reads them.
    fn fill(server: &Server) -> Result<Self> {
        let conf = server.conf().display().to_string();
        let rbd = |args: &[&str]| {
            Program::new("rbd")
                .args(["-c", &conf])
                .args(args)
                .run()?
                .success()
        };
        rbd(&["create", "--size", &format!("{}B", OBJECTS * OBJECT), "capacity"])?;
        let info = rbd(&["info", "--format", "json", "capacity"])?.json();
        let prefix = info["block_name_prefix"].as_str().unwrap_or_default();
        let Server::Rbdgate { server: rbdgate, .. } = server else {
            return Err(Failure("only for rbdgate".to_owned()));
        };
        let keyring = rbdgate.data().join("ceph.client.admin.keyring");
        let mon_port = rbdgate.ports().mon_v2();
        let client = RawClient::start(mon_port, &keyring, &[ConMode::CRC])?;
        let mut osd = client.osd(0)?;
        let all = |writes| {
            let names = (0..OBJECTS).map(|n| format!("{prefix}.{n:016x}"));
            let made = names.map(|oid| request(&client.map, "rbd", &oid, writes, Vec::new()));
            made.collect::<Result<Vec<_>>>()
        };
        let (reads, writes) = (all(false)?, all(true)?);
        let content = vec![0x5a; OBJECT as usize];
        for (tid, mut whole) in (1..).zip(writes.clone()) {
            whole.ops = vec![on_range(OpCode::WRITEFULL, 0, OBJECT, &content)];
            osd.queue(&whole.encode(osd.info().features).with_tid(tid));
            osd.flush()?;
            answer(&mut osd)?;
        }
        // Large writes do not stay in the page cache; what was read does.
        for (tid, mut whole) in (OBJECTS + 1..).zip(reads.clone()) {
            whole.ops = vec![on_range(OpCode::READ, 0, OBJECT, &[])];
            osd.queue(&whole.encode(osd.info().features).with_tid(tid));
            osd.flush()?;
            answer(&mut osd)?;
        }
        Ok(Self {
            mon_port,
            keyring,
            reads,
            writes,
        })
    }

    fn measure(&self, server: &Server, options: &Options, job: Job, mode: ConMode) -> Result<Sample> {
        let client = RawClient::start(self.mon_port, &self.keyring, &[mode])?;
        let mut load = Load {
            osd: client.osd(0)?,
            requests: match job {
                Job::Read => &self.reads,
                Job::Write => &self.writes,
            },
            job,
            data: Bytes::from(vec![0xa5; BLOCK as usize]),
            random: Random(0x9e37_79b9_7f4a_7c15),
            sent: 0,
            done: 0,
        };
        load.run(options.depth as u64, WARM)?;
        let (cpu, done, begun) = (server.cpu_micros(), load.done, Instant::now());
        load.run(options.depth as u64, Duration::from_secs(options.seconds))?;
        let count = (load.done - done) as f64;
        Ok(Sample {
            rate: count / begun.elapsed().as_secs_f64(),
            cpu: server.cpu_micros().saturating_sub(cpu) as f64 / count,
        })
    }
}

/// Requests under way over one connection.
struct Load<'a> {
    osd: Pipeline,
    requests: &'a [MOsdOp],
    job: Job,
    data: Bytes,
    random: Random,
    sent: u64,
    done: u64,
}

impl Load<'_> {
    /// Keeps `depth` of them under way for a time.
    fn run(&mut self, depth: u64, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            while self.sent - self.done < depth {
                self.sent += 1;
                let request = self.next().encode(self.osd.info().features);
                self.osd.queue(&request.with_tid(self.sent));
            }
            self.osd.flush()?;
            self.osd.wait()?;
            while let Some(message) = self.osd.received()? {
                self.done += u64::from(is_answer(&message)?);
            }
        }
        Ok(())
    }

    /// A request for a block at random.
    fn next(&mut self) -> MOsdOp {
        let mut request = self.requests[self.random.below(OBJECTS) as usize].clone();
        let offset = self.random.below(OBJECT / BLOCK) * BLOCK;
        let mut op = match self.job {
            Job::Read => on_range(OpCode::READ, offset, BLOCK, &[]),
            Job::Write => on_range(OpCode::WRITE, offset, BLOCK, &[]),
        };
        if self.job == Job::Write {
            op.indata = self.data.clone();
        }
        request.ops = vec![op];
        request
    }
}

fn answer(osd: &mut Pipeline) -> Result<()> {
    loop {
        osd.wait()?;
        while let Some(message) = osd.received()? {
            if is_answer(&message)? {
                return Ok(());
            }
        }
    }
}

/// Whether a message is an answer to a request, which must have succeeded.
fn is_answer(message: &RawMessage) -> Result<bool> {
    if message.header.kind != MessageType::OSD_OPREPLY {
        return Ok(false);
    }
    let reply = MOsdOpReply::decode(message).map_err(|e| Failure::new("MOSDOpReply", e))?;
    if reply.result < 0 {
        return Err(Failure::new("a request failed", reply.result));
    }
    Ok(true)
}

/// Numbers that are random enough for offsets (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }
}
