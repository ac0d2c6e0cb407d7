//! A lean client: one thread that speaks msgr v2 without librados and keeps many requests under way. So what is measured is
//! the server, where librbd itself would be the limit.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encoding::messages::{MOsdOp, MOsdOpReply};
use encoding::types::OpCode;
use encoding::{Message, MessageType, RawMessage};
use msgr::auth::ConMode;
use rbdgate_tests::exec::Program;
use rbdgate_tests::old_client::{on_range, request};
use rbdgate_tests::raw_client::{Pipeline, RawClient};

use crate::bench::sample::Sample;
use crate::bench::server::Server;
use crate::{Failure, Result};

/// Bytes of an object of an image with the default options.
pub(crate) const OBJECT: u64 = 4 << 20;
/// How long a load runs before it is measured.
const WARM: Duration = Duration::from_millis(200);

/// A load of requests for blocks at random.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Whether it writes; else it reads.
    pub(crate) writes: bool,
    /// Bytes of a request; at most those of an object.
    pub(crate) block: u64,
    /// Requests under way at a time.
    pub(crate) depth: usize,
    /// Secure mode, else crc.
    pub(crate) secure: bool,
    /// The newest snapshot of the image, which writes have to preserve.
    pub(crate) snapshot: Option<u64>,
    /// How long it runs.
    pub(crate) time: Duration,
}

/// A client for blocks at random in the objects of an image.
pub(crate) struct Lean {
    mon_port: u16,
    keyring: PathBuf,
    /// A read and a write of each object, without its range.
    objects: Vec<(MOsdOp, MOsdOp)>,
}

impl Lean {
    /// For the first objects of an image, `bytes` of it, which has to be written.
    pub(crate) fn of(server: &Server, image: &str, bytes: u64) -> Result<Self> {
        let conf = server.conf().display().to_string();
        let info = Program::new("rbd")
            .args(["-c", &conf, "info", "--format", "json", image])
            .run()?
            .success()?
            .json();
        let prefix = info["block_name_prefix"].as_str().unwrap_or_default();
        let (mon_port, keyring) = server.raw_client();
        let client = RawClient::start(mon_port, &keyring, &[ConMode::CRC])?;
        let on = |object, writes| {
            let oid = format!("{prefix}.{object:016x}");
            request(&client.map, "rbd", &oid, writes, Vec::new())
        };
        let objects = (0..(bytes / OBJECT).max(1)).map(|object| Ok((on(object, false)?, on(object, true)?)));
        Ok(Self {
            objects: objects.collect::<Result<_>>()?,
            mon_port,
            keyring,
        })
    }

    /// Runs a load on `server`, and measures it.
    pub(crate) fn measure(&self, server: &Server, load: Load) -> Result<Sample> {
        let mut requests = self.connect(load)?;
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let data = Bytes::from(vec![0xa5; load.block as usize]);
        if load.snapshot.is_none() {
            self.run(&mut requests, load, WARM, &mut random, &data)?;
            requests.latencies.clear();
        }
        let (cpu, begun) = (server.cpu_micros(), Instant::now());
        self.run(&mut requests, load, load.time, &mut random, &data)?;
        let (elapsed, cpu) = (begun.elapsed(), server.cpu_micros().saturating_sub(cpu));
        let mut latencies = std::mem::take(&mut requests.latencies);
        latencies.sort_unstable();
        let percentile = |of: usize| {
            let at = latencies.get(latencies.len() * of / 100);
            at.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
        };
        let count = latencies.len() as f64;
        let iops = count / elapsed.as_secs_f64();
        Ok(Sample {
            iops,
            bandwidth: iops * load.block as f64,
            p50: percentile(50),
            p99: percentile(99),
            cpu: cpu as f64 / count,
        })
    }

    /// Writes each block once, at most so many at a time: then the server's page cache has them.
    pub(crate) fn write_all(&self, load: Load) -> Result<()> {
        let mut requests = self.connect(load)?;
        let data = Bytes::from(vec![0xa5; load.block as usize]);
        for object in 0..self.objects.len() {
            for offset in (0..OBJECT).step_by(load.block as usize) {
                requests.queue(&self.request(load, object, offset, &data));
                while requests.under_way() >= load.depth {
                    requests.receive()?;
                }
            }
        }
        while requests.under_way() > 0 {
            requests.receive()?;
        }
        Ok(())
    }

    fn connect(&self, load: Load) -> Result<Requests> {
        let mode = if load.secure {
            ConMode::SECURE
        } else {
            ConMode::CRC
        };
        let client = RawClient::start(self.mon_port, &self.keyring, &[mode])?;
        Ok(Requests::over(client.osd(0)?))
    }

    /// Keeps requests under way for a time.
    fn run(
        &self,
        requests: &mut Requests,
        load: Load,
        time: Duration,
        random: &mut Random,
        data: &Bytes,
    ) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            while requests.under_way() < load.depth {
                requests.queue(&self.next(load, random, data));
            }
            requests.receive()?;
        }
        Ok(())
    }

    /// A request for a block at random.
    fn next(&self, load: Load, random: &mut Random, data: &Bytes) -> MOsdOp {
        let object = random.below(self.objects.len() as u64) as usize;
        let offset = random.below(OBJECT / load.block) * load.block;
        self.request(load, object, offset, data)
    }

    fn request(&self, load: Load, object: usize, offset: u64, data: &Bytes) -> MOsdOp {
        let (read, write) = &self.objects[object];
        let (mut request, op) = match load.writes {
            true => (write.clone(), OpCode::WRITE),
            false => (read.clone(), OpCode::READ),
        };
        let mut op = on_range(op, offset, load.block, &[]);
        if load.writes {
            op.indata = data.clone();
            request.snap_seq = load.snapshot.unwrap_or_default();
            request.snaps = load.snapshot.into_iter().collect();
        }
        request.ops = vec![op];
        request
    }
}

/// Requests under way over one connection.
pub(crate) struct Requests {
    osd: Pipeline,
    sent: u64,
    begun: HashMap<u64, Instant>,
    /// How long those took that are over.
    latencies: Vec<Duration>,
}

impl Requests {
    /// Over a session with an OSD.
    pub(crate) fn over(osd: Pipeline) -> Self {
        Self {
            osd,
            sent: 0,
            begun: HashMap::new(),
            latencies: Vec::new(),
        }
    }

    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.begun.len()
    }

    /// Queues one; [`Self::receive`] sends it.
    pub(crate) fn queue(&mut self, request: &MOsdOp) {
        self.sent += 1;
        let message = request.encode(self.osd.info().features).with_tid(self.sent);
        self.osd.queue(&message);
        self.begun.insert(self.sent, Instant::now());
    }

    /// Sends what was queued, and waits for answers. A request that failed is an error.
    pub(crate) fn receive(&mut self) -> Result<()> {
        self.osd.flush()?;
        self.osd.wait()?;
        while let Some(message) = self.osd.received()? {
            if !is_answer(&message)? {
                continue;
            }
            if let Some(begun) = self.begun.remove(&message.header.tid) {
                self.latencies.push(begun.elapsed());
            }
        }
        Ok(())
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
