//! A simulated CurveBS cluster below the server under test (`RBDGATE_TEST_BACKEND=curve`), as a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::{Failure, Result};

/// Whether the tests run with images on a simulated CurveBS cluster.
#[must_use]
pub fn on_curve() -> bool {
    std::env::var_os("RBDGATE_TEST_BACKEND").is_some_and(|backend| backend == "curve")
}

/// What a configuration says beside the MDS, if a test does not care.
pub const BY_ROOT: &str = "owner = \"root\"\npassword = \"root_password\"\ndelete = \"purge\"\n";

/// A running simulator; killed when dropped.
#[derive(Debug)]
pub struct CurveSim {
    child: Child,
    /// Its standard input and output.
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    mds: String,
}

impl CurveSim {
    /// Starts `curve-sim`, which lies beside rbdgate's binary (or is `CURVE_SIM_BIN`), with everything in memory.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let binary = match std::env::var_os("CURVE_SIM_BIN") {
            Some(path) => PathBuf::from(path),
            None => crate::rbdgate::binary()?.with_file_name("curve-sim"),
        };
        let mut child = Command::new(&binary)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::new(binary.display(), e))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure("curve-sim has no pipes".to_owned()));
        };
        let mut this = Self {
            child,
            talk: Mutex::new((input, BufReader::new(output))),
            mds: String::new(),
        };
        let line = this.exchange(None)?;
        match line.strip_prefix("serving, MDS ") {
            Some(mds) => mds.clone_into(&mut this.mds),
            None => return Err(Failure(format!("curve-sim said {line:?}"))),
        }
        Ok(this)
    }

    /// Says a line if there is one to say, and hears one.
    fn exchange(&self, say: Option<&str>) -> Result<String> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let (input, output) = &mut *talk;
        let mut heard = String::new();
        say.map_or(Ok(()), |line| writeln!(input, "{line}"))
            .and_then(|()| output.read_line(&mut heard))
            .map_err(|e| Failure::new("curve-sim", e))?;
        Ok(heard.trim_end().to_owned())
    }

    /// Gives a command (`curve_sim::control` lists them), and returns what it answers.
    pub fn tell(&self, command: &str) -> Result<String> {
        let line = self.exchange(Some(command))?;
        match line.strip_prefix("ok") {
            Some(answer) => Ok(answer.trim_start().to_owned()),
            None => Err(Failure(format!("curve-sim, told to {command}, said {line:?}"))),
        }
    }

    /// The addresses of the MDS, as the client's tools take them.
    #[must_use]
    pub fn mds(&self) -> &str {
        &self.mds
    }

    /// Writes a configuration file for `rbdgate serve` that puts images on this cluster. `section`: all but the MDS.
    pub fn configuration(&self, folder: &Path, section: &str) -> Result<PathBuf> {
        let path = folder.join("curve.toml");
        let mds: Vec<String> = self.mds.split(',').map(|at| format!("{at:?}")).collect();
        let text = format!("[backend.curve]\nmds = [{}]\n{section}", mds.join(", "));
        std::fs::write(&path, text).map_err(|e| Failure::new(path.display(), e))?;
        Ok(path)
    }
}

impl Drop for CurveSim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
