//! The cluster under test and the stock clients that use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::curve::{BY_ROOT, CurveSim, on_curve};
use crate::exec::{Outcome, Program};
use crate::rbdgate::{Rbdgate, binary};
use crate::reference::{Options, Reference};
use crate::{Failure, Result};

/// Whether the tests run against Ceph's own daemons (`RBDGATE_TEST_TARGET=ceph`), to prove the tests.
#[must_use]
pub fn against_ceph() -> bool {
    std::env::var_os("RBDGATE_TEST_TARGET").is_some_and(|target| target == "ceph")
}

#[derive(Debug)]
enum Server {
    Rbdgate(Box<Rbdgate>),
    Ceph(Box<Reference>),
}

/// A cluster of a test's own, in a temporary folder; all gone when dropped.
///
/// The methods panic where the harness or a client that must succeed fails: that is a failed test, and the message
/// shows the command, its output and the end of the server's log.
#[derive(Debug)]
pub struct Cluster {
    // Dropped before the folder it works in.
    server: Server,
    /// What is below it, if that is not the disk.
    curve: Option<CurveSim>,
    folder: TempDir,
}

impl Cluster {
    /// Starts a cluster.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a cluster with further arguments of `rbdgate serve`. Ceph's own daemons get none of them, so a test
    /// that needs this is one of rbdgate alone (see [`against_ceph`]).
    #[must_use]
    #[track_caller]
    pub fn start_with(extra: &[&str]) -> Self {
        Self::start_at(expect(temporary_folder()), extra)
    }

    /// Starts a cluster that keeps its data in `folder`, for tests that care about the disk.
    #[must_use]
    #[track_caller]
    pub fn start_at(folder: TempDir, extra: &[&str]) -> Self {
        Self::start_in(folder, extra, &[])
    }

    /// The same, and rbdgate gets these variables of the environment.
    #[must_use]
    #[track_caller]
    pub fn start_in(folder: TempDir, extra: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_above(&[], folder, extra, environment)
    }

    /// The same, and the simulated CurveBS cluster below, if there is to be one, gets these arguments.
    #[must_use]
    #[track_caller]
    pub fn start_above(
        simulator: &[&str],
        folder: TempDir,
        extra: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let curve = (on_curve() && !against_ceph()).then(|| expect(CurveSim::start(simulator)));
        Self::start_on(curve, BY_ROOT, folder, extra, environment)
    }

    /// Starts a cluster with images on a simulated CurveBS cluster of its own, which gets these arguments.
    #[must_use]
    #[track_caller]
    pub fn start_on_curve(simulator: &[&str]) -> Self {
        let curve = expect(CurveSim::start(simulator));
        Self::start_on(Some(curve), BY_ROOT, expect(temporary_folder()), &[], &[])
    }

    /// Starts a cluster with images on a simulated CurveBS cluster of its own, and this in `[backend.curve]` beside the MDS.
    #[must_use]
    #[track_caller]
    pub fn start_on_curve_as(section: &str) -> Self {
        let curve = expect(CurveSim::start(&[]));
        Self::start_on(Some(curve), section, expect(temporary_folder()), &[], &[])
    }

    /// Starts Ceph's own daemons, whatever the target is.
    #[must_use]
    #[track_caller]
    pub fn start_ceph() -> Self {
        let folder = expect(temporary_folder());
        Self {
            server: real(folder.path()),
            curve: None,
            folder,
        }
    }

    #[track_caller]
    fn start_on(
        curve: Option<CurveSim>,
        section: &str,
        folder: TempDir,
        extra: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let server = if curve.is_none() && against_ceph() {
            real(folder.path())
        } else {
            let config = curve
                .as_ref()
                .map(|curve| expect(curve.configuration(folder.path(), section)));
            let config = config.map(|path| path.display().to_string());
            let mut arguments = extra.to_vec();
            if let Some(path) = &config {
                arguments.extend(["--config", path]);
            }
            Server::Rbdgate(Box::new(expect(Rbdgate::start_with(
                folder.path(),
                &arguments,
                environment,
            ))))
        };
        Self {
            server,
            curve,
            folder,
        }
    }

    /// The simulated CurveBS cluster below, if there is one.
    #[must_use]
    pub fn curve(&self) -> Option<&CurveSim> {
        self.curve.as_ref()
    }

    /// Kills the simulated CurveBS cluster below.
    pub fn stop_curve(&mut self) {
        self.curve = None;
    }

    /// A folder for the test's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in [`Self::folder`], as text.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }

    /// Writes a file into [`Self::folder`] and returns its path.
    #[must_use]
    #[track_caller]
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        expect(std::fs::write(&path, bytes).map_err(|e| Failure::new(&path, e)));
        path
    }

    /// The bytes of a file in [`Self::folder`].
    #[must_use]
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        expect(std::fs::read(&path).map_err(|e| Failure::new(&path, e)))
    }

    /// The clients' ceph.conf.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        match &self.server {
            Server::Rbdgate(server) => server.conf(),
            Server::Ceph(server) => server.conf(),
        }
    }

    /// The keyring of `client.admin` that the configuration names.
    ///
    /// # Panics
    /// If there is none: that is a failed test.
    #[must_use]
    #[track_caller]
    pub fn keyring(&self) -> PathBuf {
        let conf = std::fs::read_to_string(self.conf()).unwrap_or_default();
        let line = conf.lines().find(|line| line.trim_start().starts_with("keyring"));
        match line.and_then(|line| line.split_once('=')) {
            Some((_, path)) => path.trim().into(),
            None => panic!("no keyring in {conf}"),
        }
    }

    /// The server under test.
    ///
    /// # Panics
    /// If the target is Ceph: a test that needs this must begin with a look at [`against_ceph`].
    #[track_caller]
    pub fn rbdgate(&mut self) -> &mut Rbdgate {
        match &mut self.server {
            Server::Rbdgate(server) => server,
            Server::Ceph(_) => panic!("a test of rbdgate alone ran against Ceph"),
        }
    }

    /// The port that rbdgate was given for the monitor's msgr v1; none of Ceph's own daemons, whose ceph.conf names it.
    #[must_use]
    pub fn v1_port(&self) -> Option<u16> {
        match &self.server {
            Server::Rbdgate(server) => Some(server.ports().mon_v1()),
            Server::Ceph(_) => None,
        }
    }

    /// `kill -9` of the server.
    pub fn kill(&mut self) {
        match &mut self.server {
            Server::Rbdgate(server) => server.kill(),
            Server::Ceph(server) => server.kill(),
        }
    }

    /// Starts the killed or stopped server again on the same ports and data.
    #[track_caller]
    pub fn launch(&mut self) {
        expect(match &mut self.server {
            Server::Rbdgate(server) => server.launch(),
            Server::Ceph(server) => server.launch(),
        });
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        match &self.server {
            Server::Rbdgate(server) => server.log_tail(),
            Server::Ceph(server) => server.log_tail(),
        }
    }

    /// A client program that takes `-c CONF` first: `rbd`, `ceph`, `rados`.
    #[must_use]
    pub fn client(&self, program: &str, args: &[&str]) -> Program {
        let conf = self.conf().display().to_string();
        Program::new(program)
            .args(["-c", &conf])
            .args(args)
            .folder(self.folder())
    }

    /// Runs `program`, which must succeed.
    #[track_caller]
    pub fn run(&self, program: Program) -> Outcome {
        match program.run().and_then(Outcome::success) {
            Ok(outcome) => outcome,
            Err(failure) => panic!("{failure}\n{}", self.log_tail()),
        }
    }

    /// Runs `program`, which must come to an end, whatever its exit code.
    #[track_caller]
    pub fn attempt(&self, program: Program) -> Outcome {
        match program.run() {
            Ok(outcome) => outcome,
            Err(failure) => panic!("{failure}\n{}", self.log_tail()),
        }
    }

    /// `rbd`, which must succeed.
    #[track_caller]
    pub fn rbd(&self, args: &[&str]) -> Outcome {
        self.run(self.client("rbd", args))
    }

    /// `rbd`, which must fail with exit code `errno` (as it does with the server's error).
    #[track_caller]
    pub fn rbd_fails(&self, errno: i32, args: &[&str]) -> Outcome {
        self.fails(errno, self.client("rbd", args))
    }

    /// `ceph`, which must succeed.
    #[track_caller]
    pub fn ceph(&self, args: &[&str]) -> Outcome {
        self.run(self.client("ceph", args))
    }

    /// `rados -p rbd`, which must succeed.
    #[track_caller]
    pub fn rados(&self, args: &[&str]) -> Outcome {
        self.run(self.client("rados", &["-p", "rbd"]).args(args))
    }

    /// `program`, which must fail with exit code `errno`.
    #[track_caller]
    pub fn fails(&self, errno: i32, program: Program) -> Outcome {
        let outcome = self.attempt(program);
        assert_eq!(
            outcome.status.code(),
            Some(errno),
            "{outcome}\n{}",
            self.log_tail()
        );
        outcome
    }

    /// A command of rbdgate on the data folder, whether the server runs or not.
    #[must_use]
    #[track_caller]
    pub fn command(&self, args: &[&str]) -> Program {
        let program = Program::new(expect(binary())).args(args);
        let program = program.args(["--data", &self.path("data")]);
        match self.curve {
            Some(_) => program.args(["--config", &self.path("curve.toml")]),
            None => program,
        }
    }

    /// A user with these capabilities. Returns the path of his keyring.
    #[must_use]
    #[track_caller]
    pub fn user(&self, name: &str, caps: &[&str]) -> String {
        let entity = format!("client.{name}");
        let key = self.ceph(&[&["auth", "get-or-create", &entity], caps].concat());
        self.file(&format!("{name}.keyring"), key.text() + "\n")
    }

    /// The clients' ceph.conf without the line that names the keyring.
    #[must_use]
    #[track_caller]
    pub fn conf_without_keyring(&self) -> String {
        let path = self.conf();
        let conf = expect(std::fs::read_to_string(&path).map_err(|e| Failure::new(path.display(), e)));
        let lines = conf
            .lines()
            .filter(|line| !line.trim_start().starts_with("keyring"));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// A script of `tests/python` with Debian's Python (the one that has python3-rbd); its first argument is the
    /// ceph.conf.
    #[must_use]
    pub fn python(&self, script: &str, args: &[&str]) -> Program {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        Program::new("/usr/bin/python3")
            .args([script.as_os_str(), self.conf().as_os_str()])
            .args(args)
            .folder(self.folder())
            .deadline(Duration::from_secs(180))
    }

    /// How `qemu-img` and `qemu-io` name an image of the pool `rbd`.
    #[must_use]
    pub fn qemu(&self, image: &str) -> String {
        format!("rbd:rbd/{image}:conf={}", self.conf().display())
    }
}

#[track_caller]
fn real(folder: &Path) -> Server {
    Server::Ceph(Box::new(expect(Reference::start(folder, Options::default()))))
}

/// A temporary folder in `TMPDIR` with a short path: daemons make UNIX sockets in it.
pub fn temporary_folder() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("rbdgate-")
        .tempdir()
        .map_err(|e| Failure::new("temporary folder", e))
}

#[track_caller]
fn expect<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(failure) => panic!("{failure}"),
    }
}
