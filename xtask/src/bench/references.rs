//! What the figures are to come near: the disk itself, an NBD server, and the bare way over loopback TCP.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rbdgate_tests::fio::{self, Report};
use rbdgate_tests::ports::Ports;
use tempfile::TempDir;

use super::Plan;
use super::client::{all_of, load};
use super::jobs::{Client, Job, Reference};
use super::sample::Sample;
use super::server::{cpu_micros, needs, temporary};
use crate::{Failure, Result};

/// The options of fio on the disk: no cache, and writes are durable when they are answered.
const DISK: [&str; 3] = ["--ioengine=io_uring", "--direct=1", "--sync=dsync"];
/// How long `qemu-nbd` may take to start.
const READY: Duration = Duration::from_secs(10);

/// A file on the disk that is measured, and an NBD server on it.
#[derive(Debug)]
pub(super) struct References {
    // Dropped before its file.
    nbd: Nbd,
    file: PathBuf,
    _folder: TempDir,
}

impl References {
    /// Writes the file in full, reads it again, and starts the NBD server.
    pub(super) fn start(folder: &Path, plan: Plan) -> Result<Self> {
        needs(&["fio", "qemu-nbd"], "fio qemu-utils")?;
        let folder = temporary(folder, "raw-")?;
        let file = folder.path().join("file");
        let all = |rw, options: &[&str]| {
            fio::with_report()
                .args(all_of(rw, plan.image))
                .args([format!("--filename={}", file.display())])
                .args(options)
                .run()?
                .success()
        };
        all("write", &DISK)?;
        all("read", &["--ioengine=psync"])?;
        let nbd = Nbd::start(&file)?;
        Ok(Self {
            nbd,
            file,
            _folder: folder,
        })
    }

    /// Runs a job on its reference.
    pub(super) fn run(&self, job: &Job, reference: Reference, plan: Plan) -> Result<Sample> {
        let program = fio::with_report()
            .args(load(job, plan))
            .args(["--name=reference"]);
        let program = match reference {
            Reference::Disk => program
                .args(DISK)
                .args([format!("--filename={}", self.file.display())]),
            Reference::Nbd => {
                program.args(["--ioengine=nbd".to_owned(), format!("--uri={}", self.nbd.uri())])
            }
        };
        let program = match job.client {
            Client::Several(count) => {
                let each = plan.image / u64::from(count);
                program.args([
                    format!("--numjobs={count}"),
                    format!("--size={each}"),
                    format!("--offset_increment={each}"),
                ])
            }
            _ => program.args([format!("--size={}", plan.image)]),
        };
        let cpu = || match reference {
            Reference::Disk => 0,
            Reference::Nbd => cpu_micros([self.nbd.child.id()]),
        };
        let before = cpu();
        let outcome = program.run()?.success()?;
        Sample::of(&Report::of(&outcome)?, cpu().saturating_sub(before))
    }
}

/// A running `qemu-nbd`: reads through the page cache, writes durable before they are answered.
#[derive(Debug)]
struct Nbd {
    child: Child,
    ports: Ports,
}

impl Nbd {
    fn start(file: &Path) -> Result<Self> {
        let ports = Ports::take()?;
        let child = Command::new("qemu-nbd")
            .args(["--persistent", "--shared=8", "--bind=127.0.0.1", "--format=raw"])
            .args(["--cache=writethrough", "--aio=io_uring"])
            .arg(format!("--port={}", ports.osd()))
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| Failure::new("qemu-nbd", e))?;
        let mut nbd = Self { child, ports };
        let end = Instant::now() + READY;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, nbd.ports.osd())).is_err() {
            let ended = nbd.child.try_wait().map_err(|e| Failure::new("qemu-nbd", e))?;
            if ended.is_some() || Instant::now() > end {
                return Err(Failure(format!("qemu-nbd does not listen: {ended:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nbd)
    }

    fn uri(&self) -> String {
        format!("nbd://127.0.0.1:{}/", self.ports.osd())
    }
}

impl Drop for Nbd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
