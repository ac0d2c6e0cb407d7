//! The reference: Ceph's own daemons on this machine, one of each, for comparison.
//!
//! One `ceph-mon`, one `ceph-osd` (bluestore on a sparse file, pools of size 1) and, where wanted, one `ceph-mgr`,
//! on loopback ports, everything in one folder, cephx on, with the pool `rbd`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::exec::{Program, shorten};
use crate::ports::Ports;
use crate::{Failure, Result};

const FSID: &str = "c0ffee00-0000-4000-8000-0000000000e2";
const OSD_UUID: &str = "c0ffee00-0000-4000-8000-000000000050";
/// A key for a cluster that lives as long as a test and listens on loopback only.
const KEY: &str = "AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==";
const DAEMONS: [&str; 3] = ["mon", "mgr", "osd"];

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether to start a manager: statistics of pools and PGs come from it.
    pub manager: bool,
    /// Size of the OSD's (sparse) device file, in bytes.
    pub osd_size: u64,
    /// PGs of the pool `rbd`.
    pub pg_count: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            manager: true,
            osd_size: 20 << 30,
            pg_count: 8,
        }
    }
}

/// Real Ceph, running.
#[derive(Debug)]
pub struct Reference {
    folder: PathBuf,
    options: Options,
    ports: Ports,
    daemons: Vec<(&'static str, Child)>,
}

impl Reference {
    /// Makes a cluster in `folder` and starts it; returns when the pool `rbd` takes writes.
    pub fn start(folder: &Path, options: Options) -> Result<Self> {
        let ports = Ports::take()?;
        let addresses = format!(
            "[v2:127.0.0.1:{},v1:127.0.0.1:{}]",
            ports.mon_v2(),
            ports.mon_v1()
        );
        for name in ["mon", "osd", "mgr"] {
            std::fs::create_dir_all(folder.join(name)).map_err(|e| Failure::new(folder.display(), e))?;
        }
        let conf = configuration(folder, &addresses, options.osd_size, &ports);
        write(&folder.join("ceph.conf"), &conf)?;
        write(&folder.join("keyring"), &keyring())?;
        let mut cluster = Self {
            folder: folder.to_owned(),
            options,
            ports,
            daemons: Vec::new(),
        };
        cluster.make_monitor(&addresses)?;
        cluster.spawn("mon")?;
        cluster.client("ceph", &["osd", "new", OSD_UUID])?;
        cluster.daemon_mkfs("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", OSD_UUID])?;
        cluster.spawn("osd")?;
        if options.manager {
            cluster.spawn("mgr")?;
        }
        let pg_count = options.pg_count.to_string();
        cluster.client(
            "ceph",
            &[
                "config",
                "set",
                "mon",
                "auth_allow_insecure_global_id_reclaim",
                "false",
            ],
        )?;
        cluster.client("ceph", &["osd", "pool", "create", "rbd", &pg_count])?;
        cluster.client("ceph", &["osd", "pool", "application", "enable", "rbd", "rbd"])?;
        // Waits for the PGs, and for the write behind pool initialisation.
        cluster.client("rbd", &["pool", "init", "rbd"])?;
        cluster.wait_for_manager()?;
        Ok(cluster)
    }

    fn make_monitor(&self, addresses: &str) -> Result<()> {
        let monmap = self.folder.join("monmap").display().to_string();
        let keyring = self.folder.join("keyring").display().to_string();
        Program::new("monmaptool")
            .args([
                "--create",
                "--clobber",
                "--fsid",
                FSID,
                "--addv",
                "a",
                addresses,
                &monmap,
            ])
            .run()?
            .success()?;
        self.daemon_mkfs(
            "ceph-mon",
            &["-i", "a", "--mkfs", "--monmap", &monmap, "--keyring", &keyring],
        )
    }

    fn daemon_mkfs(&self, program: &str, args: &[&str]) -> Result<()> {
        let conf = self.conf().display().to_string();
        Program::new(program)
            .args(["-c", &conf])
            .args(args)
            .run()?
            .success()
            .map(drop)
    }

    fn spawn(&mut self, daemon: &'static str) -> Result<()> {
        let output = self.folder.join(format!("{daemon}.out"));
        let output = File::create(&output).map_err(|e| Failure::new(output.display(), e))?;
        let id = match daemon {
            "mon" => "a",
            "mgr" => "x",
            _ => "0",
        };
        let program = format!("ceph-{daemon}");
        let child = Command::new(&program)
            .arg("-c")
            .arg(self.conf())
            .args(["-i", id, "-f"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|e| Failure::new(program, e))?;
        self.daemons.push((daemon, child));
        Ok(())
    }

    fn client(&self, program: &str, args: &[&str]) -> Result<()> {
        let conf = self.conf().display().to_string();
        let outcome = Program::new(program).args(["-c", &conf]).args(args).run();
        outcome
            .and_then(crate::exec::Outcome::success)
            .map(drop)
            .map_err(|e| Failure(format!("{e}\n{}", self.log_tail())))
    }

    /// Starts the daemons again after [`Self::kill`].
    pub fn launch(&mut self) -> Result<()> {
        for daemon in DAEMONS {
            if daemon != "mgr" || self.options.manager {
                self.spawn(daemon)?;
            }
        }
        Ok(())
    }

    /// Waits until the manager has reported all PGs and nothing is wrong with them.
    fn wait_for_manager(&self) -> Result<()> {
        if !self.options.manager {
            return Ok(());
        }
        let end = Instant::now() + Duration::from_secs(60);
        let conf = self.conf().display().to_string();
        loop {
            let outcome = Program::new("ceph")
                .args(["-c", &conf, "-s", "-f", "json"])
                .run()?
                .success()?;
            let status = outcome.json();
            let pgmap = &status["pgmap"];
            let clean = &pgmap["pgs_by_state"][0];
            let settled = clean["state_name"] == "active+clean" && clean["count"] == pgmap["num_pgs"];
            if settled && status["mgrmap"]["available"] == true && status["health"]["status"] == "HEALTH_OK" {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Failure(format!(
                    "the reference cluster does not settle\n{outcome}"
                )));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// `kill -9` of all daemons.
    pub fn kill(&mut self) {
        for (_, mut child) in self.daemons.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The clients' ceph.conf.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.folder.join("ceph.conf")
    }

    /// The administrator's keyring.
    #[must_use]
    pub fn keyring(&self) -> PathBuf {
        self.folder.join("keyring")
    }

    /// The ports of its monitor.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The process ids of the running daemons.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.daemons.iter().map(|(_, child)| child.id()).collect()
    }

    /// The end of what the daemons wrote to standard error.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let read =
            |daemon: &str| std::fs::read(self.folder.join(format!("{daemon}.out"))).unwrap_or_default();
        DAEMONS
            .map(|daemon| {
                format!(
                    "--- ceph-{daemon}\n{}",
                    shorten(&String::from_utf8_lossy(&read(daemon)))
                )
            })
            .join("\n")
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Failure::new(path.display(), e))
}

fn keyring() -> String {
    let daemon = "caps mds = \"allow *\"\n\tcaps mgr = \"allow *\"\n\tcaps mon = \"allow *\"\n\tcaps osd = \"allow *\"\n";
    ["mon.", "osd.0", "mgr.x", "client.admin"]
        .map(|name| format!("[{name}]\n\tkey = {KEY}\n\t{daemon}"))
        .concat()
}

/// Ceph's defaults but for folders, addresses and replica count: comparisons are with what users get.
fn configuration(folder: &Path, addresses: &str, osd_size: u64, ports: &Ports) -> String {
    let folder = folder.display();
    format!(
        "[global]\n\
         fsid = {FSID}\n\
         mon_host = {addresses}\n\
         keyring = {folder}/keyring\n\
         mon_data = {folder}/mon\n\
         mgr_data = {folder}/mgr\n\
         osd_data = {folder}/osd\n\
         run_dir = {folder}\n\
         public_addr = 127.0.0.1\n\
         ms_bind_port_min = {}\n\
         ms_bind_port_max = {}\n\
         osd_pool_default_size = 1\n\
         osd_pool_default_min_size = 1\n\
         osd_crush_chooseleaf_type = 0\n\
         osd_objectstore = bluestore\n\
         bluestore_block_size = {osd_size}\n\
         mon_warn_on_pool_no_redundancy = false\n\
         mon_data_avail_warn = 0\n\
         mon_data_avail_crit = 0\n\
         mgr_initial_modules =\n\
         [mon]\nlog_file = {folder}/mon.log\nadmin_socket = {folder}/mon.asok\n\
         [mgr]\nlog_file = {folder}/mgr.log\nadmin_socket = {folder}/mgr.asok\n\
         [osd]\nlog_file = {folder}/osd.log\nadmin_socket = {folder}/osd.asok\n",
        ports.osd(),
        ports.last(),
    )
}
