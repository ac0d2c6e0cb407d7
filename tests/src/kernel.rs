//! Real kernels, started in QEMU: clients that no package of programs can stand in for.
//!
//! `tests/kernels.sh` makes them. A test that starts one has a network of its own (see [`in_own_network`]), since the
//! guest must reach the server under the address that the server's maps name.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};

use crate::exec::Program;
use crate::{Failure, Result};

/// The address of servers in a network of [`in_own_network`]: the guest reaches it by way of QEMU.
pub const ADDRESS: &str = "10.77.0.1";

/// A kernel with its initramfs.
#[derive(Debug)]
pub struct Kernel {
    /// The Debian suite that it is from.
    pub suite: String,
    /// Its release: `6.1.0-50-amd64`. Empty if it is not there.
    pub release: String,
    folder: PathBuf,
}

impl Kernel {
    /// All kernels that `tests/kernels.sh` knows, made or not.
    pub fn all() -> Result<Vec<Self>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels.sh");
        let list = Program::new(script).args(["list"]).run()?.success()?;
        let kernel = |line: &String| {
            let mut words = line.split(' ').map(str::to_owned);
            Some(Self {
                suite: words.next()?,
                release: words.next().filter(|word| word != "missing").unwrap_or_default(),
                folder: words.next()?.into(),
            })
        };
        Ok(list.lines().iter().filter_map(kernel).collect())
    }

    /// Whether it can be started.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !self.release.is_empty()
            && Program::new("qemu-system-x86_64")
                .args(["--version"])
                .run()
                .is_ok()
    }

    /// Major and minor number.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        let mut numbers = self.release.split('.').map(|word| word.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// Starts it, has it run `job` (a script of busybox's shell), and returns what it wrote to its console.
    /// Fails if the job does, or if the machine is not off by the deadline.
    pub fn run(&self, work: &Path, job: &str, deadline: Duration) -> Result<String> {
        let root = work.join("guest");
        let create = |path: &Path| std::fs::create_dir_all(path).map_err(|e| Failure::new(path.display(), e));
        create(&root)?;
        std::fs::write(root.join("job"), job).map_err(|e| Failure::new(root.display(), e))?;
        let job = Program::new("busybox")
            .args(["cpio", "-o", "-H", "newc"])
            .folder(&root)
            .stdin(*b"job\n")
            .run()?
            .success()?;
        // The kernel unpacks one archive after the other.
        let base = self.folder.join("initramfs.gz");
        let mut archives = std::fs::read(&base).map_err(|e| Failure::new(base.display(), e))?;
        let mut packer = GzEncoder::new(&mut archives, Compression::fast());
        let packed = packer.write_all(&job.stdout).and_then(|()| packer.try_finish());
        packed.map_err(|e| Failure::new("gzip", e))?;
        drop(packer);
        let initramfs = work.join("initramfs");
        std::fs::write(&initramfs, archives).map_err(|e| Failure::new(initramfs.display(), e))?;
        let outcome = self.qemu(&initramfs).deadline(deadline).run()?.success()?;
        let console = outcome.text().replace('\r', "");
        if console.lines().any(|line| line == "JOB DONE") {
            Ok(console)
        } else {
            Err(Failure(format!("the job failed\n{}", outcome)))
        }
    }

    fn qemu(&self, initramfs: &Path) -> Program {
        let path = |path: &Path| path.display().to_string();
        Program::new("qemu-system-x86_64")
            .args([
                "-machine",
                "q35,accel=tcg",
                "-cpu",
                "max",
                "-smp",
                "1",
                "-m",
                "512",
            ])
            .args([
                "-display",
                "none",
                "-serial",
                "stdio",
                "-monitor",
                "none",
                "-no-reboot",
            ])
            .args(["-kernel", &path(&self.folder.join("vmlinuz"))])
            .args(["-initrd", &path(initramfs)])
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .args([
                "-netdev",
                "user,id=net",
                "-device",
                "virtio-net-pci,netdev=net,romfile=",
            ])
    }
}

/// Runs the calling test again in a network namespace of its own, where the only addresses are loopback's and
/// [`ADDRESS`]. Returns true there; in the first run, after the second has passed, false.
///
/// # Panics
/// If the second run fails.
#[must_use]
pub fn in_own_network(test: &str) -> bool {
    const INSIDE: &str = "RBDGATE_TEST_ADDRESS";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let root = rustix::process::geteuid().is_root();
    let program = std::env::current_exe().expect("the path of this program");
    let status = Command::new("unshare")
        .args(if root {
            &["--net"][..]
        } else {
            &["--net", "--map-root-user"][..]
        })
        .args([
            "sh",
            "-ec",
            "ip link set lo up; ip address add \"$1/32\" dev lo; shift; exec \"$@\"",
            "sh",
            ADDRESS,
        ])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, ADDRESS)
        .status()
        .expect("unshare, of util-linux");
    assert!(status.success(), "{test} failed in a network of its own");
    false
}
