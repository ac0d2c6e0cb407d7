//! Mirroring between two clusters by Ceph's own rbd-mirror, which takes both for clusters of Ceph: by an image's journal
//! and by its snapshots, there and back again.
//!
//! With `RBDGATE_TEST_MIRROR_FROM=ceph` the first site is a real Ceph: that is how its images can move to rbdgate.

use std::process::Child;
use std::time::{Duration, Instant};

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::exec::{Program, pid, wait};
use rbdgate_tests::images::{export, fill};
use rbdgate_tests::tasks::{add, has_parent, wait_for_all};
use rustix::process::{Signal, kill_process};

const MEGABYTE: usize = 1 << 20;
const SIZE: usize = 24 * MEGABYTE;

/// How long a mirror may take to come to what is waited for: it looks for changes every few seconds.
const PATIENCE: Duration = Duration::from_secs(150);

/// A cluster, and the rbd-mirror that brings it what others have.
struct Site {
    name: &'static str,
    cluster: Cluster,
    daemon: Option<Child>,
}

impl Site {
    fn new(name: &'static str, cluster: Cluster) -> Self {
        cluster.rbd(&["pool", "init", "rbd"]);
        cluster.rbd(&["mirror", "pool", "enable", "rbd", "image"]);
        Self {
            name,
            cluster,
            daemon: None,
        }
    }

    /// Starts rbd-mirror, which knows clusters by the names of configuration files.
    fn start_daemon(&mut self) {
        let caps = ["mon", "profile rbd-mirror", "osd", "profile rbd"];
        let user = format!("rbd-mirror.{}", self.name);
        let keyring = self.cluster.user(&user, &caps);
        let conf = self.cluster.conf_without_keyring();
        let folder = self.cluster.folder().display();
        let own = format!(
            "[client]\nkeyring = {keyring}\nadmin_socket = {folder}/mirror.asok\nrun_dir = {folder}\nlog_file = {folder}/mirror.log\n\
             rbd_mirror_image_state_check_interval = 2\nrbd_mirror_pool_replayers_refresh_interval = 2\n"
        );
        let _ = self
            .cluster
            .file(&format!("{}.conf", self.name), format!("{conf}{own}"));
        let daemon = Program::new("rbd-mirror")
            .args(["-f", "--cluster", self.name, "--id", &user])
            .folder(self.cluster.folder());
        self.daemon = Some(daemon.spawn().expect("rbd-mirror starts"));
    }

    /// What `mirror image status` says of an image, if there is one.
    fn status(&self, image: &str) -> String {
        let args = ["mirror", "image", "status", image];
        self.cluster.attempt(self.cluster.client("rbd", &args)).text()
    }

    /// Whether rbd-mirror brings an image here. (The other site's state is in the status too, below.)
    fn replays(&self, image: &str) -> bool {
        let status = self.status(image);
        let own = status
            .lines()
            .find(|line| line.trim_start().starts_with("state:"));
        own.is_some_and(|line| line.contains("up+replaying"))
    }

    fn wait_for(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < end,
                "not within {PATIENCE:?} at {}: {what}\n{}\n{}",
                self.name,
                self.cluster
                    .attempt(
                        self.cluster
                            .client("rbd", &["mirror", "pool", "status", "--verbose"])
                    )
                    .text(),
                self.cluster.log_tail(),
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Makes the image primary here, as soon as rbd-mirror has brought all that the other site wrote.
    fn promote(&self, image: &str) {
        self.wait_for("the image can be promoted", |site| {
            let promote = site.cluster.client("rbd", &["mirror", "image", "promote", image]);
            site.cluster.attempt(promote).status.success()
        });
    }

    /// Tells rbd-mirror of what was written, for images that are mirrored by their snapshots.
    fn publish(&self, image: &Image) {
        if image.mode == "snapshot" {
            self.cluster.rbd(&["mirror", "image", "snapshot", image.name]);
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else {
            return;
        };
        if let Some(pid) = pid(&daemon) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = wait(&mut daemon, Duration::from_secs(20));
    }
}

/// An image that is mirrored, and what is in it.
struct Image {
    name: &'static str,
    mode: &'static str,
    bytes: Vec<u8>,
}

impl Image {
    fn create(on: &Site, name: &'static str, mode: &'static str) -> Self {
        let features = match mode {
            "journal" => "exclusive-lock,journaling",
            _ => "exclusive-lock,object-map,fast-diff",
        };
        Self::create_with(on, name, mode, features)
    }

    fn create_with(on: &Site, name: &'static str, mode: &'static str, features: &str) -> Self {
        let size = format!("{}M", SIZE / MEGABYTE);
        on.cluster
            .rbd(&["create", "--size", &size, "--image-feature", features, name]);
        on.cluster.rbd(&["mirror", "image", "enable", name, mode]);
        Self {
            name,
            mode,
            bytes: vec![0; SIZE],
        }
    }

    fn write(&mut self, on: &Site, pattern: u8, at: usize) {
        fill(
            &on.cluster,
            self.name,
            &mut self.bytes,
            pattern,
            at,
            MEGABYTE + 4096,
        );
    }

    /// Waits until the site's journal of the image has another reader: the other site's rbd-mirror, which looks for it now and
    /// then. Were the image promoted before, that reader would begin after the demotion's tag and take the promotion for a
    /// split: so it is with Ceph, too.
    fn has_reader(&self, at: &Site) {
        if self.mode == "journal" {
            at.wait_for("the journal has a reader", |site| {
                let status = site.cluster.rbd(&["journal", "status", "--image", self.name]);
                status.text().matches("[id=").count() > 1
            });
        }
    }

    /// Waits until a site has the image as it is.
    fn arrives(&self, at: &Site) {
        at.wait_for("the image is as it was written", |site| {
            let listed = site.cluster.rbd(&["ls"]).lines();
            listed.iter().any(|name| name == self.name)
                && site.replays(self.name)
                && export(&site.cluster, self.name) == self.bytes
        });
    }
}

fn first_site() -> Cluster {
    match std::env::var_os("RBDGATE_TEST_MIRROR_FROM") {
        Some(from) if from == "ceph" => Cluster::start_ceph(),
        _ => Cluster::start(),
    }
}

/// Two sites that mirror from each other.
fn sites() -> (Site, Site) {
    let mut west = Site::new("west", first_site());
    let mut east = Site::new("east", Cluster::start());
    let create = ["mirror", "pool", "peer", "bootstrap", "create", "--site-name"];
    let token = west.cluster.rbd(&[&create[..], &["west", "rbd"]].concat()).text();
    let token = east.cluster.file("token", token);
    let import = ["mirror", "pool", "peer", "bootstrap", "import", "--site-name"];
    east.cluster
        .rbd(&[&import[..], &["east", "--direction", "rx-tx", "rbd", &token]].concat());
    west.start_daemon();
    east.start_daemon();
    (west, east)
}

#[test]
fn images_are_mirrored_by_journal_and_by_snapshots_fail_over_and_come_back() {
    let (west, east) = sites();
    let mut images = [
        Image::create(&west, "by-journal", "journal"),
        Image::create(&west, "by-snapshots", "snapshot"),
    ];
    for image in &mut images {
        image.write(&west, 1, 0);
        image.write(&west, 2, 5 * MEGABYTE);
        // librbd leaves alone what is less than 64 KiB of a discard.
        image.write(&west, 0, 64 << 10);
        west.publish(image);
    }
    for image in &images {
        image.arrives(&east);
        image.has_reader(&east);
        west.cluster.rbd(&["mirror", "image", "demote", image.name]);
    }
    for image in &mut images {
        east.promote(image.name);
        image.write(&east, 3, 11 * MEGABYTE);
        east.publish(image);
    }
    for image in &images {
        image.arrives(&west);
    }
    let services = west.cluster.ceph(&["-s"]).text();
    assert!(services.contains("rbd-mirror: 1 daemon active"), "{services}");
}

#[test]
fn a_clone_that_nobody_has_open_is_flattened_by_a_task_here_and_there() {
    let (west, east) = sites();
    let mut parent = Image::create_with(&west, "parent", "journal", "layering,exclusive-lock,journaling");
    parent.write(&west, 1, 0);
    parent.write(&west, 2, 9 * MEGABYTE);
    west.cluster.rbd(&["snap", "create", "--no-progress", "parent@s"]);
    east.wait_for("the parent has its snapshot", |site| {
        let snaps = site.cluster.client("rbd", &["info", "parent@s"]);
        site.cluster.attempt(snaps).status.success()
    });
    let features = "layering,exclusive-lock,object-map,fast-diff,deep-flatten,journaling";
    west.cluster.rbd(&[
        "clone",
        "--rbd-default-clone-format",
        "2",
        "--image-feature",
        features,
        "parent@s",
        "clone",
    ]);
    west.cluster
        .rbd(&["mirror", "image", "enable", "clone", "journal"]);
    let mut clone = Image {
        name: "clone",
        mode: "journal",
        bytes: parent.bytes.clone(),
    };
    clone.write(&west, 3, 4 * MEGABYTE);
    clone.arrives(&east);
    assert!(has_parent(&west.cluster, "clone") && has_parent(&east.cluster, "clone"));

    add(&west.cluster, &["flatten", "clone"]);
    wait_for_all(&west.cluster);
    assert!(!has_parent(&west.cluster, "clone"));
    east.wait_for("the clone is flattened", |site| {
        !has_parent(&site.cluster, "clone")
    });
    assert!(export(&west.cluster, "clone") == clone.bytes);
    // Clients go on where the task's entries end.
    clone.write(&west, 4, 12 * MEGABYTE);
    clone.arrives(&east);
}

#[test]
fn a_mirror_goes_on_after_both_servers_were_killed() {
    let (mut west, mut east) = sites();
    if rbdgate_tests::cluster::against_ceph() || west.cluster.v1_port().is_none() {
        return;
    }
    let mut image = Image::create(&west, "disk", "journal");
    for round in 0..3_u8 {
        image.write(&west, 1 + round, usize::from(round) * 7 * MEGABYTE);
        east.cluster.kill();
        west.cluster.kill();
        west.cluster.launch();
        east.cluster.launch();
    }
    image.arrives(&east);
}

#[test]
fn an_image_that_both_sites_wrote_to_is_brought_back_to_one_by_a_resync() {
    let (west, east) = sites();
    let mut image = Image::create(&west, "disk", "snapshot");
    image.write(&west, 1, 0);
    west.publish(&image);
    image.arrives(&east);
    east.cluster
        .rbd(&["mirror", "image", "promote", "--force", image.name]);
    let mut other = image.bytes.clone();
    fill(&east.cluster, image.name, &mut other, 9, 2 * MEGABYTE, MEGABYTE);
    image.write(&west, 2, 4 * MEGABYTE);
    west.publish(&image);
    east.cluster.rbd(&["mirror", "image", "demote", image.name]);
    east.wait_for("the split is seen", |site| {
        site.status(image.name).contains("split-brain")
    });
    east.cluster.rbd(&["mirror", "image", "resync", image.name]);
    image.arrives(&east);
}
