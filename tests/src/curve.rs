//! A simulated CurveBS cluster below the server under test (`RBDGATE_TEST_BACKEND=curve`), as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Failure, Result};

/// Whether the tests run with images on a simulated CurveBS cluster.
#[must_use]
pub fn on_curve() -> bool {
    std::env::var_os("RBDGATE_TEST_BACKEND").is_some_and(|backend| backend == "curve")
}

/// A running simulator; killed when dropped.
#[derive(Debug)]
pub struct CurveSim {
    child: Child,
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
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::new(binary.display(), e))?;
        let mut line = String::new();
        let read = child
            .stdout
            .take()
            .map(|out| BufReader::new(out).read_line(&mut line));
        let mds = line.trim().strip_prefix("serving, MDS ").map(str::to_owned);
        let this = |mds| Self { child, mds };
        match (read, mds) {
            (Some(Ok(_)), Some(mds)) => Ok(this(mds)),
            _ => {
                drop(this(String::new()));
                Err(Failure(format!("curve-sim said {line:?}")))
            }
        }
    }

    /// Writes a configuration file for `rbdgate serve` that puts images on this cluster.
    pub fn configuration(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("curve.toml");
        let mds: Vec<String> = self.mds.split(',').map(|at| format!("{at:?}")).collect();
        let text = format!(
            "[backend.curve]\nmds = [{}]\nowner = \"root\"\npassword = \"root_password\"\ndelete = \"purge\"\n",
            mds.join(", ")
        );
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
