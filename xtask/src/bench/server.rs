//! The two servers of a comparison, and what the measured processes use.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
        needs(&["ceph-mon", "ceph-osd"], "ceph-mon ceph-osd")?;
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

    /// Writes the ceph.conf of the benchmark's clients: the server's own, with librbd's cache off.
    fn with_client_conf(server: Self) -> Result<Self> {
        let conf = match &server {
            Self::Ceph { server, .. } => server.conf(),
            Self::Rbdgate { server, .. } => server.conf(),
        };
        let text = std::fs::read_to_string(&conf).map_err(|e| Failure::new(conf.display(), e))?;
        let text = format!("{text}\n[client]\nrbd_cache = false\n");
        let secure = format!("{text}ms_client_mode = secure\n");
        for (path, text) in [(server.conf(), text), (server.secure_conf(), secure)] {
            std::fs::write(&path, text).map_err(|e| Failure::new(path.display(), e))?;
        }
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
        self.folder().join("client.conf")
    }

    /// That of a client in secure mode.
    pub(super) fn secure_conf(&self) -> PathBuf {
        self.folder().join("secure.conf")
    }

    fn folder(&self) -> &Path {
        let (Self::Ceph { folder, .. } | Self::Rbdgate { folder, .. }) = self;
        folder.path()
    }

    /// What a client without librados needs: the monitor's port for msgr v2 and the administrator's keyring.
    pub(crate) fn raw_client(&self) -> (u16, PathBuf) {
        match self {
            Self::Rbdgate { server, .. } => (
                server.ports().mon_v2(),
                server.data().join("ceph.client.admin.keyring"),
            ),
            Self::Ceph { server, .. } => (server.ports().mon_v2(), server.keyring()),
        }
    }

    /// CPU time (user and system) that the server's processes have used so far, in microseconds.
    pub(crate) fn cpu_micros(&self) -> u64 {
        match self {
            Self::Ceph { server, .. } => cpu_micros(server.pids()),
            Self::Rbdgate { server, .. } => cpu_micros(server.pid()),
        }
    }

    /// Waits until the server is done with what it does in the background, such as trimming snapshots, or for a minute.
    pub(super) fn settle(&self) {
        let begun = Instant::now();
        let mut used = self.cpu_micros();
        while begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(QUIET);
            let now = self.cpu_micros();
            if Duration::from_micros(now - used) * 10 < QUIET {
                return;
            }
            used = now;
        }
    }
}

/// A server is at rest that uses less than a tenth of one processor for this long.
const QUIET: Duration = Duration::from_millis(500);

/// The folder for the data of all that is measured, made if it is missing; `target/bench` if none is given.
pub(crate) fn folder(given: Option<&Path>) -> Result<PathBuf> {
    let folder = given.map_or_else(|| root().join("target/bench"), Path::to_owned);
    std::fs::create_dir_all(&folder).map_err(|e| Failure::new(folder.display(), e))?;
    std::path::absolute(&folder).map_err(|e| Failure::new(folder.display(), e))
}

/// Fails if a program is not there, and says what to install.
pub(super) fn needs(programs: &[&str], packages: &str) -> Result<()> {
    for program in programs {
        if Program::new(program).args(["--version"]).run().is_err() {
            return Err(Failure::new(
                program,
                format!("missing: apt-get install {packages}"),
            ));
        }
    }
    Ok(())
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

/// CPU time (user and system) of processes, in microseconds.
pub(super) fn cpu_micros(pids: impl IntoIterator<Item = u32>) -> u64 {
    let ticks: u64 = pids.into_iter().filter_map(cpu_ticks).sum();
    ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1)
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

/// A folder that goes with what is measured in it.
pub(super) fn temporary(folder: &Path, prefix: &str) -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(folder);
    made.map_err(|e| Failure::new(folder.display(), e))
}
