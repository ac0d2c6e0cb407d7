//! The two servers of a comparison.

use std::path::{Path, PathBuf};

use rbdgate_tests::exec::Program;
use rbdgate_tests::rbdgate::{Rbdgate, binary};
use rbdgate_tests::reference::{self, Reference};
use tempfile::TempDir;

use crate::{Failure, Result, cargo, root};

/// A running server with its data in a folder that goes with it.
#[derive(Debug)]
pub(crate) enum Server {
    /// Ceph's own daemons.
    Ceph {
        /// The daemons.
        server: Reference,
        /// Their folder.
        folder: TempDir,
    },
    /// rbdgate.
    Rbdgate {
        /// The server.
        server: Rbdgate,
        /// Its folder.
        folder: TempDir,
    },
}

impl Server {
    /// Starts Ceph's daemons in `folder`: no manager, which takes no part in I/O.
    pub(crate) fn ceph(folder: &Path) -> Result<Self> {
        for program in ["ceph-mon", "ceph-osd", "fio"] {
            if Program::new(program).args(["--version"]).run().is_err() {
                return Err(Failure::new(
                    program,
                    "missing: apt-get install ceph-mon ceph-osd fio",
                ));
            }
        }
        let folder = temporary(folder, "ceph-")?;
        let options = reference::Options {
            manager: false,
            pg_count: 32,
            ..reference::Options::default()
        };
        let server = Reference::start(folder.path(), options)?;
        Self::with_client_conf(Self::Ceph { server, folder })
    }

    /// Builds rbdgate with optimization and starts it in `folder`.
    pub(crate) fn rbdgate(folder: &Path) -> Result<Self> {
        Self::rbdgate_with(folder, &[])
    }

    /// The same with further arguments of `serve`.
    pub(crate) fn rbdgate_with(folder: &Path, arguments: &[&str]) -> Result<Self> {
        if std::env::var_os("RBDGATE_BIN").is_none() {
            build(&["-p", "rbdgate"])?;
            let _ = binary()?;
        }
        let folder = temporary(folder, "rbdgate-")?;
        let server = Rbdgate::start(folder.path(), arguments)?;
        Self::with_client_conf(Self::Rbdgate { server, folder })
    }

    /// Writes the ceph.conf of the benchmark's client: the server's own, with librbd's cache off.
    fn with_client_conf(server: Self) -> Result<Self> {
        let conf = match &server {
            Self::Ceph { server, .. } => server.conf(),
            Self::Rbdgate { server, .. } => server.conf(),
        };
        let text = std::fs::read_to_string(&conf).map_err(|e| Failure::new(conf.display(), e))?;
        let path = server.conf();
        std::fs::write(&path, format!("{text}\n[client]\nrbd_cache = false\n"))
            .map_err(|e| Failure::new(path.display(), e))?;
        Ok(server)
    }

    /// The name in the output.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ceph { .. } => "ceph",
            Self::Rbdgate { .. } => "rbdgate",
        }
    }

    /// The client's ceph.conf.
    pub(crate) fn conf(&self) -> PathBuf {
        let (Self::Ceph { folder, .. } | Self::Rbdgate { folder, .. }) = self;
        folder.path().join("client.conf")
    }

    /// CPU time (user and system) that the server's processes have used so far, in microseconds.
    pub(crate) fn cpu_micros(&self) -> u64 {
        let pids = match self {
            Self::Ceph { server, .. } => server.pids(),
            Self::Rbdgate { server, .. } => server.pid().into_iter().collect(),
        };
        let ticks: u64 = pids.into_iter().filter_map(cpu_ticks).sum();
        ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1)
    }
}

/// `cargo build --release` of something.
pub(crate) fn build(what: &[&str]) -> Result<()> {
    let build = cargo()
        .args(["build", "--release"])
        .args(what)
        .current_dir(root())
        .status();
    let status = build.map_err(|e| Failure::new("cargo build", e))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new("cargo build --release", status))
    }
}

/// The clock ticks of a process and all its threads. Format: proc_pid_stat(5), fields 14 and 15.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may contain anything but ends at the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn temporary(folder: &Path, prefix: &str) -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(folder);
    made.map_err(|e| Failure::new(folder.display(), e))
}
