//! The server as it is built, with its data on a disk that loses power (`disk-fuse`): what it had not synced by then is
//! forgotten, reordered or torn. Clients go on by themselves afterwards, everything that was acknowledged to them is there, and
//! `rbdgate fsck` finds nothing wrong.
//!
//! Seeds are printed. `RBDGATE_POWER_SEED` chooses another one and `RBDGATE_POWER_ROUNDS` how often power is lost;
//! `tests/run.sh power` does it some hundred times.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::path::Path;
use std::time::{Duration, Instant};

use disk_fuse::PowerDisk;
use rbdgate_tests::cluster::{Cluster, against_ceph, temporary_folder};
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::data::{Random, chosen};
use rbdgate_tests::exec::Program;
use rbdgate_tests::verified_writer::Writer;
use rustix::process::{Pid, Signal, kill_process};

/// How long the walk through images, snapshots and clones may take.
const DEADLINE: Duration = Duration::from_secs(1800);

/// A cluster with its data on a disk that loses power.
struct Unreliable {
    // Before the disk it uses, and the folder that the disk is mounted in.
    cluster: Cluster,
    disk: PowerDisk,
    random: Random,
}

impl Unreliable {
    /// `None` where such a disk cannot be had.
    fn start(seed: u64) -> Option<Self> {
        if against_ceph() || on_curve() {
            return None;
        }
        if !disk_fuse::is_supported() {
            eprintln!("not tested: no file system can be mounted by FUSE here (/dev/fuse, as root)");
            return None;
        }
        println!("RBDGATE_POWER_SEED={seed}");
        let folder = temporary_folder().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mut random = Random::new(seed);
        let disk = PowerDisk::mount(&data, random.below(u64::MAX)).unwrap();
        let cluster = Cluster::start_in(folder, &[], &[]);
        Some(Self {
            cluster,
            disk,
            random,
        })
    }

    /// Loses power, checks what that left, and starts the server on it.
    fn lose_power(&mut self) {
        let calls = self.disk.calls();
        let pid = self
            .cluster
            .rbdgate()
            .pid()
            .and_then(|pid| Pid::from_raw(pid.cast_signed()));
        self.disk
            .cut(|| kill_process(pid.unwrap(), Signal::KILL).unwrap());
        self.cluster.kill();
        self.disk.restore(self.random.below(u64::MAX)).unwrap();
        println!("power lost after {calls} calls of files");
        self.check();
        self.cluster.launch();
    }

    /// Random operations on images. The client has its configuration from elsewhere: it begins at any time.
    fn walk(&self, seed: u64) -> Program {
        let keyring = self.cluster.keyring();
        let elsewhere = self.cluster.file("keyring", std::fs::read(&keyring).unwrap());
        let conf = std::fs::read_to_string(self.cluster.conf()).unwrap();
        let conf = conf.replace(&keyring.display().to_string(), &elsewhere);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/snapshot_model.py");
        Program::new("/usr/bin/python3")
            .args([
                &script.display().to_string(),
                &self.cluster.file("elsewhere.conf", conf),
            ])
            .args([&seed.to_string(), "1000"])
            .deadline(DEADLINE)
    }

    /// What `rbdgate fsck` says of the server's folder, which no server uses.
    fn check(&self) {
        let outcome = self.cluster.attempt(self.cluster.command(&["fsck"]));
        assert_eq!(
            outcome.status.code(),
            Some(0),
            "{outcome}\n{}",
            self.cluster.log_tail()
        );
    }

    /// A time within which much or little happens.
    fn pause(&mut self, over: &mut dyn FnMut() -> bool) {
        let until = Instant::now() + Duration::from_millis(100 + self.random.below(1500));
        while Instant::now() < until && !over() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Unreliable {
    fn drop(&mut self) {
        self.cluster.kill();
    }
}

#[test]
fn acknowledged_writes_survive_power_loss_and_the_client_goes_on() {
    let Some(mut it) = Unreliable::start(chosen("RBDGATE_POWER_SEED", 1)) else {
        return;
    };
    it.cluster.rbd(&["create", "--size", "64M", "disk"]);
    let mut writer = Writer::start(&it.cluster);
    writer.ask(&it.cluster, "check", "checked ");
    for round in 0..chosen("RBDGATE_POWER_ROUNDS", 10) {
        it.pause(&mut || false);
        it.lose_power();
        let answer = writer.ask(&it.cluster, "check", "checked ");
        println!("round {round}: {answer}");
    }
    writer.ask(&it.cluster, "finish", "finished ");
    it.cluster.kill();
    it.check();
}

#[test]
fn images_snapshots_and_clones_survive_power_loss_as_their_model_has_them() {
    let seed = chosen("RBDGATE_POWER_SEED", 2);
    let Some(mut it) = Unreliable::start(seed) else {
        return;
    };
    let mut losses = 0;
    let rounds = chosen("RBDGATE_POWER_ROUNDS", 10);
    let mut walks = 0;
    while losses < rounds {
        walks += 1;
        let walk = it.walk(seed + walks);
        let walker = std::thread::spawn(move || walk.run());
        while !walker.is_finished() {
            it.pause(&mut || walker.is_finished());
            if losses < rounds && !walker.is_finished() {
                it.lose_power();
                losses += 1;
            }
        }
        let outcome = walker.join().unwrap().unwrap();
        let last = outcome.lines().pop();
        assert_eq!(
            last.as_deref(),
            Some("ok"),
            "{outcome}\n{}",
            it.cluster.log_tail()
        );
    }
    println!("{losses} losses of power in {walks} walks");
    it.cluster.kill();
    it.check();
}
