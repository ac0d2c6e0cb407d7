//! Ceph's own test suites, unmodified, with the clients of their release in a chroot: `tests/suites.sh` gets both.
//!
//! A suite file is a Python file for pytest (`test_rbd.py`, with many tests), a script of `qa/workunits/rbd`, or a part of one.
//! [`run`] runs one against a [`Cluster`] and returns what each of its tests did; [`excluded`] knows which are allowed
//! to do anything but pass.

pub mod excluded;
mod python;
mod script;
mod two_sites;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::exec::Program;
use crate::{Failure, Result};
use excluded::Excluded;

/// The Python suites.
const PYTHON: [&str; 2] = ["test_rbd.py", "test_rados.py"];
/// Where they are in Ceph's sources, and where the scripts are.
const PYTHON_FOLDER: &str = "src/test/pybind";
const SCRIPT_FOLDER: &str = "qa/workunits/rbd";

/// What a test did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It said that it does not apply here, and why.
    Skipped(String),
    /// It failed, or came to no end; with what was seen.
    Failed(String),
}

/// Outcomes by the names of the tests: `test_rbd.py::TestImage::test_size`, `cli_generic.sh`.
pub type Outcomes = BTreeMap<String, Outcome>;

/// The suites of one Ceph release.
#[derive(Debug, Clone)]
pub struct Release {
    /// The Debian suite that it is from: `trixie`.
    pub debian: String,
    /// Debian's version of the source package.
    pub version: String,
    folder: PathBuf,
}

impl Release {
    /// The releases whose suites are there.
    pub fn all() -> Result<Vec<Self>> {
        let list = Program::new(tool("suites.sh")).args(["list"]).run()?.success()?;
        let mut all = Vec::new();
        for line in list.lines() {
            if let [debian, version, "there"] = line.split(' ').collect::<Vec<_>>()[..] {
                let folder = Program::new(tool("suites.sh")).args(["folder", debian]);
                all.push(Self {
                    debian: debian.to_owned(),
                    version: version.to_owned(),
                    folder: folder.run()?.success()?.text().into(),
                });
            }
        }
        Ok(all)
    }

    /// The names of all suite files: those for pytest, then the scripts (or their parts) in alphabetical order.
    pub fn files(&self) -> Result<Vec<String>> {
        let folder = self.folder.join(SCRIPT_FOLDER);
        let fail = |e| Failure::new(folder.display(), e);
        let mut scripts = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
            if Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "sh")
            {
                scripts.push(name);
            }
        }
        scripts.sort();
        let mut files: Vec<String> = PYTHON.iter().map(|&name| name.to_owned()).collect();
        for script in scripts {
            files.extend(script::tests(self, &script)?);
        }
        Ok(files)
    }

    /// A program in the chroot whose working folder is `folder`, with the cluster's configuration in `/etc/ceph`.
    ///
    /// It is the first process of a PID namespace of its own, so that nothing of it outlives it.
    fn program(&self, folder: &Path, words: &[&str]) -> Program {
        let run: [OsString; 3] = ["run".into(), self.debian.as_str().into(), folder.into()];
        Program::new(tool("chroots.sh"))
            .args(run)
            .args([
                "unshare",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--propagation",
                "unchanged",
            ])
            .args(words)
    }
}

/// Runs the suite file `name` against `cluster`, in whose folder it leaves its files. An error means that it could not
/// be run; what its tests did is in the outcomes.
pub fn run(release: &Release, excluded: &Excluded, name: &str, cluster: &Cluster) -> Result<Outcomes> {
    let work = cluster.folder().join("suite");
    prepare(release, cluster, &work)?;
    if PYTHON.contains(&name) {
        python::run(release, excluded, name, &work)
    } else {
        let script = name.split("::").next().unwrap_or(name);
        let _second = if two_sites::wants(script) {
            let second = Cluster::start();
            two_sites::prepare(&work.join("etc-ceph"), script::FOLDER, [cluster, &second])?;
            Some(second)
        } else {
            None
        };
        script::run(release, name, &work)
    }
}

/// Makes the folder that the chroot sees as `/mnt/work`: `ceph` has the suites, `etc-ceph` what a client needs.
fn prepare(release: &Release, cluster: &Cluster, work: &Path) -> Result<()> {
    let etc = work.join("etc-ceph");
    let fail = |e| Failure::new(work.display(), e);
    std::fs::create_dir_all(&etc).map_err(fail)?;
    let keyring = "ceph.client.admin.keyring";
    std::fs::copy(cluster.keyring(), etc.join(keyring)).map_err(fail)?;
    let conf = std::fs::read_to_string(cluster.conf()).map_err(fail)?;
    let lines = conf.lines().map(|line| match line.split_once('=') {
        Some((key, _)) if key.trim() == "keyring" => format!("keyring = /etc/ceph/{keyring}\n"),
        _ => format!("{line}\n"),
    });
    std::fs::write(etc.join("ceph.conf"), lines.collect::<String>()).map_err(fail)?;
    let copy = Program::new("cp").args([
        "-r".as_ref(),
        release.folder.as_os_str(),
        work.join("ceph").as_os_str(),
    ]);
    copy.run()?.success().map(drop)
}

/// A script of this crate's folder.
fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
