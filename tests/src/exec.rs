//! Programs run to their end, with a deadline and all of their output kept.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Failure, Result};

/// How long a client may take where a test does not say: far more than any of them needs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A program to run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    line: String,
    stdin: Option<Vec<u8>>,
    deadline: Duration,
}

impl Program {
    /// A program found by name in `PATH`, with no standard input and none of the caller's Ceph settings.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        for name in ["CEPH_ARGS", "CEPH_CONF", "CEPH_KEYRING", "LD_PRELOAD"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C.UTF-8").process_group(0);
        Self {
            command,
            line: program.as_ref().to_string_lossy().into_owned(),
            stdin: None,
            deadline: DEADLINE,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for arg in args {
            self.line.push(' ');
            self.line.push_str(&arg.as_ref().to_string_lossy());
            self.command.arg(arg);
        }
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Sets the folder to run in.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives the program `bytes` as its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Replaces [`DEADLINE`].
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the program to its end. An error means that it could not be started or had to be killed at its
    /// deadline; its exit code is the caller's to judge.
    pub fn run(mut self) -> Result<Outcome> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let begun = Instant::now();
        let mut child = self.command.spawn().map_err(|e| Failure::new(&self.line, e))?;
        let feed = child.stdin.take().zip(self.stdin.take());
        let feeder = std::thread::spawn(move || {
            if let Some((mut pipe, bytes)) = feed {
                // A program may well stop reading before the end.
                let _ = pipe.write_all(&bytes);
            }
        });
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status = wait(&mut child, self.deadline).map_err(|e| Failure::new(&self.line, e))?;
        let elapsed = begun.elapsed();
        let _ = feeder.join();
        let outcome = Outcome {
            line: self.line,
            status: status.unwrap_or_default(),
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
            elapsed,
        };
        match status {
            Some(_) => Ok(outcome),
            None => Err(Failure(format!(
                "no end after {:?}, killed\n{outcome}",
                self.deadline
            ))),
        }
    }

    /// Starts the program with piped input and output, to be talked to while it runs.
    pub fn spawn(mut self) -> Result<Child> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        self.command.spawn().map_err(|e| Failure::new(&self.line, e))
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Waits until something holds.
///
/// # Panics
/// If it does not within the deadline: that is a failed test.
#[track_caller]
pub fn until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits for `child`, at most for `deadline`; then kills it with its process group and returns `None`.
pub fn wait(child: &mut Child, deadline: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            if let Some(pid) = pid(child) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The process id of `child`.
#[must_use]
pub fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    /// The command line.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: Vec<u8>,
    /// All it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Time from its start to its end.
    pub elapsed: Duration,
}

impl Outcome {
    /// The outcome itself if the exit code was 0, else a failure that shows everything.
    pub fn success(self) -> Result<Self> {
        if self.status.success() {
            Ok(self)
        } else {
            Err(Failure(format!("failed\n{self}")))
        }
    }

    /// Standard output as text, without the blanks around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Standard error as text, without the blanks around it.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }

    /// The lines of standard output.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// If it is no JSON: that is a failed test.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.stdout) {
            Ok(value) => value,
            Err(e) => panic!("output is not JSON: {e}\n{self}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$ {}\n  after {:?}: ", self.line, self.elapsed)?;
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => writeln!(f, "exit code {code}")?,
            (None, signal) => writeln!(f, "killed by signal {signal:?}")?,
        }
        writeln!(f, "  stdout: {}", shorten(&self.text()))?;
        write!(f, "  stderr: {}", shorten(&self.errors()))
    }
}

/// The last 4,000 characters of `text`: enough to see the reason, not the whole of a dump.
#[must_use]
pub fn shorten(text: &str) -> String {
    let count = text.chars().count();
    if count <= 4000 {
        return text.to_owned();
    }
    let tail: String = text.chars().skip(count - 4000).collect();
    format!("... {tail}")
}
