//! Ports for a server that must come back on the same ones after a restart.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use crate::{Failure, Result};

/// Ports in one run: three named ones, then those of the OSDs and the manager.
const RUN: u16 = 20;
/// Below the range that the kernel gives to outgoing connections (32768 and up): no client's socket takes the port
/// while its server is down.
const FIRST: u16 = 12_000;
const RUNS: u16 = 900;

/// A run of consecutive free ports on 127.0.0.1, no other test's as long as the value lives.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    /// Locked while the run is in use; the lock goes with the file, so a killed test leaves none.
    _lock: File,
}

impl Ports {
    /// Takes a free run.
    pub fn take() -> Result<Self> {
        let folder = std::env::temp_dir().join("rbdgate-test-ports");
        std::fs::create_dir_all(&folder).map_err(|e| Failure::new(folder.display(), e))?;
        let start = u16::try_from(std::process::id() % u32::from(RUNS)).unwrap_or(0);
        for step in 0..RUNS {
            let run = (start + step) % RUNS;
            let path = folder.join(run.to_string());
            let lock = File::create(&path).map_err(|e| Failure::new(path.display(), e))?;
            if lock.try_lock().is_err() {
                continue;
            }
            let first = FIRST + run * RUN;
            if (first..first + RUN).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
                return Ok(Self { first, _lock: lock });
            }
        }
        Err(Failure("no run of free ports on 127.0.0.1".to_owned()))
    }

    /// The monitor's msgr v2 port.
    #[must_use]
    pub fn mon_v2(&self) -> u16 {
        self.first
    }

    /// The monitor's msgr v1 port.
    #[must_use]
    pub fn mon_v1(&self) -> u16 {
        self.first + 1
    }

    /// The HTTP port.
    #[must_use]
    pub fn http(&self) -> u16 {
        self.first + 2
    }

    /// The first port of the OSDs.
    #[must_use]
    pub fn osd(&self) -> u16 {
        self.first + 4
    }

    /// The last port of the run.
    #[must_use]
    pub fn last(&self) -> u16 {
        self.first + RUN - 1
    }
}
