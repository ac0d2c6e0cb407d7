//! The server under test, known by its command line only.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::exec::{pid, shorten, wait};
use crate::ports::Ports;
use crate::{Failure, Result};

/// The ready line must come within this time.
const READY: Duration = Duration::from_secs(30);

/// The path of the program: `RBDGATE_BIN`, else the newer of the workspace's release and debug builds.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("RBDGATE_BIN") {
        return Ok(path.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    let age = |path: &PathBuf| path.metadata().and_then(|m| m.modified()).ok();
    ["release", "debug"]
        .map(|profile| target.join(profile).join("rbdgate"))
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(age)
        .ok_or_else(|| {
            Failure(format!(
                "no rbdgate in {}: run cargo build --release first",
                target.display()
            ))
        })
}

/// The address that servers listen on: loopback, or that of the network namespace that a test made for itself
/// (`RBDGATE_TEST_ADDRESS`, which [`crate::kernel::in_own_network`] sets).
#[must_use]
pub fn address() -> String {
    std::env::var("RBDGATE_TEST_ADDRESS").unwrap_or_else(|_| "127.0.0.1".to_owned())
}

/// A running (or killed, and to be started again) `rbdgate serve`.
#[derive(Debug)]
pub struct Rbdgate {
    data: PathBuf,
    log: PathBuf,
    ports: Ports,
    extra: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    stdout: Option<Mutex<Receiver<String>>>,
}

impl Rbdgate {
    /// Starts a server with its data in `folder/data` and its log in `folder/server.log`; `extra` are further
    /// arguments of `serve`. Returns when the ready line has been seen.
    pub fn start(folder: &Path, extra: &[&str]) -> Result<Self> {
        Self::start_with(folder, extra, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(folder: &Path, extra: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let mut server = Self {
            data: folder.join("data"),
            log: folder.join("server.log"),
            ports: Ports::take()?,
            extra: extra.iter().map(|&arg| arg.to_owned()).collect(),
            environment: environment.iter().map(owned).collect(),
            child: None,
            stdout: None,
        };
        server.launch()?;
        Ok(server)
    }

    /// The arguments of `serve`: every address is given, so that a restart comes back on the same ones.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut args = vec![
            "serve".to_owned(),
            "--data".to_owned(),
            self.data.display().to_string(),
        ];
        let addresses = [
            ("--mon-v2", self.ports.mon_v2()),
            ("--mon-v1", self.ports.mon_v1()),
            ("--osd", self.ports.osd()),
            ("--http", self.ports.http()),
        ];
        for (flag, port) in addresses {
            args.extend([flag.to_owned(), format!("{}:{port}", address())]);
        }
        args.extend(self.extra.iter().cloned());
        args
    }

    /// Starts the server again after [`Self::kill`] or [`Self::stop`], on the same data and ports.
    pub fn launch(&mut self) -> Result<()> {
        let binary = binary()?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log: File = log.map_err(|e| Failure::new(self.log.display(), e))?;
        let mut child = Command::new(&binary)
            .args(self.arguments())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|e| Failure::new(binary.display(), e))?;
        let (sender, lines) = channel();
        if let Some(pipe) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(std::result::Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        self.child = Some(child);
        let wanted = format!("rbdgate is ready: ceph -c {} -s", self.conf().display());
        let line = lines.recv_timeout(READY).map_err(|_| {
            Failure(format!(
                "no ready line from rbdgate in {READY:?}\n{}",
                self.log_tail()
            ))
        })?;
        if line != wanted {
            return Err(Failure(format!(
                "rbdgate printed {line:?}, not {wanted:?}\n{}",
                self.log_tail()
            )));
        }
        self.stdout = Some(Mutex::new(lines));
        Ok(())
    }

    /// The ceph.conf that the server wrote.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.data.join("ceph.conf")
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The ports.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it runs. One that has ended by itself is still to be killed before it is launched again.
    pub fn is_running(&mut self) -> bool {
        let ended = self.child.as_mut().map(|child| child.try_wait());
        matches!(ended, Some(Ok(None)))
    }

    /// Lines on standard output since the ready line.
    #[must_use]
    pub fn further_output(&self) -> Vec<String> {
        let lines = self
            .stdout
            .as_ref()
            .map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner));
        lines.map(|lines| lines.try_iter().collect()).unwrap_or_default()
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends `signal` and waits for the end, at most 15 s; returns how it ended and how long that took.
    pub fn stop(&mut self, signal: Signal) -> Result<(ExitStatus, Duration)> {
        let Some(mut child) = self.child.take() else {
            return Err(Failure("rbdgate does not run".to_owned()));
        };
        let begun = Instant::now();
        if let Some(pid) = pid(&child) {
            kill_process(pid, signal).map_err(|e| Failure::new("kill", e))?;
        }
        match wait(&mut child, Duration::from_secs(15)) {
            Ok(Some(status)) => Ok((status, begun.elapsed())),
            Ok(None) => Err(Failure(format!(
                "no end 15 s after {signal:?}\n{}",
                self.log_tail()
            ))),
            Err(e) => Err(Failure::new("wait", e)),
        }
    }

    /// The end of the server's log, to be shown when a test fails.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        format!(
            "--- end of the server's log\n{}",
            shorten(&String::from_utf8_lossy(&log))
        )
    }
}

impl Drop for Rbdgate {
    fn drop(&mut self) {
        self.kill();
    }
}
