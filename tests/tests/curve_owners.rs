//! Whose volumes are on a simulated CurveBS cluster, in which directories they lie, and how they become images and plain volumes
//! again while the server runs.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::time::{Duration, Instant};

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::curve::on_curve;
use rbdgate_tests::exec::{Outcome, until};
use rbdgate_tests::images;
use serde_json::Value;

const CAPS: [&str; 4] = ["mon", "profile rbd", "osd", "profile rbd"];

/// A cluster with users, and this in `[backend.curve]`.
fn start(section: &str, users: &[&str]) -> Option<Cluster> {
    if !on_curve() {
        eprintln!("skipped: not on CurveBS");
        return None;
    }
    let cluster = Cluster::start_on_curve_as(section);
    for user in users {
        let _ = cluster.user(user, &CAPS);
    }
    Some(cluster)
}

fn succeed(cluster: &Cluster, args: &[&str]) -> String {
    cluster.run(cluster.command(args)).text()
}

fn fail(cluster: &Cluster, args: &[&str]) -> String {
    let outcome = cluster.attempt(cluster.command(args));
    assert!(!outcome.status.success(), "{outcome}");
    outcome.to_string()
}

/// Runs `rbd` as a user.
fn rbd_as(cluster: &Cluster, user: &str, args: &[&str]) -> Outcome {
    let keyring = cluster.path(&format!("{user}.keyring"));
    let program = cluster.client("rbd", &["--id", user, "--keyring", &keyring]);
    cluster.run(program.args(args))
}

/// Makes an image as a user and writes to it.
fn image(cluster: &Cluster, user: &str, name: &str) {
    let _ = rbd_as(cluster, user, &["create", "--size", "1G", name]);
    bench(cluster, user, name);
}

fn bench(cluster: &Cluster, user: &str, name: &str) {
    let outcome = rbd_as(cluster, user, &images::bench("write", "4K", "64K", &[name]));
    assert!(!outcome.errors().contains("error"), "{outcome}");
}

fn map(cluster: &Cluster, image: &str) -> Value {
    serde_json::from_str(&succeed(cluster, &["map", "--json", image])).unwrap()
}

fn owner(cluster: &Cluster, path: &str) -> String {
    cluster.curve().unwrap().tell(&format!("owner {path}")).unwrap()
}

#[test]
fn by_default_all_volumes_belong_to_one_owner_whoever_made_the_image() {
    let section = "owner = \"lab\"\n";
    let Some(cluster) = start(section, &["alice"]) else {
        return;
    };
    image(&cluster, "alice", "disk");
    let found = map(&cluster, "rbd/disk");
    assert_eq!(found["owner"], "lab");
    assert_eq!(found["creator"], "client.alice");
    let volume = found["volume"].as_str().unwrap();
    assert!(volume.starts_with("/rbd/"), "{found}");
    assert_eq!(owner(&cluster, volume), "lab");
}

#[test]
fn the_root_owner_gives_each_user_the_volumes_and_directories_of_his_images() {
    let section = "owner = \"root\"\npassword = \"root_password\"\nvolume-owner = \"user\"\ndirectory = \"/ceph/{owner}/{pool}\"\n\
                   [backend.curve.owners]\nbob = \"openstack\"\n";
    let Some(cluster) = start(section, &["alice", "bob"]) else {
        return;
    };
    image(&cluster, "alice", "hers");
    image(&cluster, "bob", "his");
    // Who writes is not who created.
    let _ = rbd_as(&cluster, "alice", &["create", "--size", "1G", "shared"]);
    bench(&cluster, "bob", "shared");
    for (name, whose) in [("hers", "alice"), ("his", "openstack"), ("shared", "alice")] {
        let found = map(&cluster, &format!("rbd/{name}"));
        assert_eq!(found["owner"], whose, "{found}");
        let volume = found["volume"].as_str().unwrap();
        let directory = format!("/ceph/{whose}/rbd");
        assert!(volume.starts_with(&directory), "{volume}");
        assert_eq!(owner(&cluster, volume), whose);
        assert_eq!(owner(&cluster, &directory), whose);
        assert_eq!(owner(&cluster, &format!("/ceph/{whose}")), whose);
    }
    assert_eq!(owner(&cluster, "/ceph"), "root");
    // What belongs to no image is the gateway's own.
    let _ = rbd_as(&cluster, "alice", &["snap", "create", "hers@s"]);
    bench(&cluster, "alice", "hers");
    assert_eq!(owner(&cluster, "/ceph/root/rbd/.slots-1"), "root");
}

#[test]
fn without_the_root_owner_volumes_are_made_read_and_removed_on_behalf_of_their_users() {
    let section = "owner = \"rbdgate\"\nvolume-owner = \"user\"\ndirectory = \"/{owner}/{pool}\"\n";
    let Some(mut cluster) = start(section, &["alice", "bob"]) else {
        return;
    };
    image(&cluster, "alice", "hers");
    image(&cluster, "bob", "his");
    let hers = map(&cluster, "rbd/hers")["volume"].as_str().unwrap().to_owned();
    assert!(hers.starts_with("/alice/rbd/"), "{hers}");
    assert_eq!(owner(&cluster, &hers), "alice");
    // The server knows owners from its metadata: they are there after a crash, and a creator who is gone is no matter.
    let _ = cluster.ceph(&["auth", "rm", "client.alice"]);
    cluster.kill();
    cluster.launch();
    bench(&cluster, "bob", "hers");
    let _ = rbd_as(&cluster, "bob", &["snap", "create", "hers@s"]);
    bench(&cluster, "bob", "hers");
    let _ = rbd_as(&cluster, "bob", &["snap", "rm", "hers@s"]);
    let found = map(&cluster, "rbd/hers");
    assert_eq!(
        (&found["owner"], &found["creator"]),
        (&"alice".into(), &"client.alice".into())
    );
    // It does not see whose a volume is that it may not look at.
    release(&cluster, "rbd/hers");
    assert!(fail(&cluster, &["adopt", &hers, "rbd/hers"]).contains(&hers));
    let _ = succeed(&cluster, &["adopt", &hers, "rbd/hers", "--owner", "alice"]);
    let found = map(&cluster, "rbd/hers");
    assert_eq!(
        (&found["owner"], &found["creator"]),
        (&"alice".into(), &Value::Null)
    );
    bench(&cluster, "bob", "hers");
    let _ = rbd_as(&cluster, "bob", &["rm", "hers"]);
    let gone = || cluster.curve().unwrap().tell(&format!("owner {hers}")).is_err();
    until("the volume is removed", Duration::from_secs(30), gone);
}

#[test]
fn pools_lie_in_the_directories_that_the_settings_name() {
    let section = "owner = \"root\"\npassword = \"root_password\"\ndirectory = \"/ceph/{pool}\"\n\
                   [backend.curve.directories]\nimages = \"/glance\"\n";
    let Some(cluster) = start(section, &["alice"]) else {
        return;
    };
    let _ = cluster.ceph(&["osd", "pool", "create", "images", "8"]);
    let _ = cluster.rbd(&["pool", "init", "images"]);
    image(&cluster, "alice", "rbd/a");
    image(&cluster, "alice", "images/b");
    let place = |cluster: &Cluster, image: &str| succeed(cluster, &["map", image]);
    assert!(place(&cluster, "rbd/a").starts_with("/ceph/rbd/"));
    assert!(place(&cluster, "images/b").starts_with("/glance/"));
}

#[test]
fn an_image_is_released_and_adopted_again_while_the_server_runs() {
    let section = "owner = \"root\"\npassword = \"root_password\"\nvolume-owner = \"user\"\n";
    let Some(mut cluster) = start(section, &["alice"]) else {
        return;
    };
    let data = rbdgate_tests::data::bytes(7, 3 << 20);
    let file = cluster.file("disk.img", &data);
    let _ = rbd_as(&cluster, "alice", &["import", &file, "disk"]);
    let _ = cluster.rbd(&["create", "--size", "1G", "other"]);
    let place = map(&cluster, "rbd/disk")["volume"].as_str().unwrap().to_owned();
    let used = || {
        let df = cluster.ceph(&["df", "--format", "json"]).json();
        df["pools"][0]["stats"]["objects"].as_u64().unwrap()
    };
    let before = used();
    let released = succeed(&cluster, &["release", "rbd/disk"]);
    assert!(
        released.contains(&place) && released.contains("alice"),
        "{released}"
    );
    assert_eq!(cluster.rbd(&["ls"]).text().trim(), "other");
    let _ = cluster.rbd_fails(2, &["info", "disk"]);
    assert_eq!(owner(&cluster, &place), "alice");
    assert!(fail(&cluster, &["adopt", &place, "rbd/other"]).contains("there is an image of that name"));
    let _ = succeed(&cluster, &["adopt", &place, "rbd/disk"]);
    assert!(fail(&cluster, &["adopt", &place, "rbd/twice"]).contains("already"));
    assert_eq!(map(&cluster, "rbd/disk")["owner"], "alice");
    let _ = cluster.rbd(&[
        "resize",
        "--size",
        "3M",
        "--allow-shrink",
        "--no-progress",
        "disk",
    ]);
    let to = cluster.path("exported");
    let _ = cluster.rbd(&["export", "disk", &to]);
    assert!(cluster.read("exported") == data);
    // The same number of objects: those of the data, the header, and the id; the object map is gone.
    let used = cluster.ceph(&["df", "--format", "json"]).json()["pools"][0]["stats"]["objects"].as_u64();
    assert_eq!(used, Some(before - 1));
    // It is there after a crash, too.
    cluster.kill();
    cluster.launch();
    let again = cluster.path("again");
    let _ = cluster.rbd(&["export", "disk", &again]);
    assert!(cluster.read("again") == data);
    cluster.rbdgate().stop(rustix::process::Signal::TERM).unwrap();
    let checked = cluster.attempt(cluster.command(&["fsck"]));
    assert!(checked.status.success(), "{checked}");
}

#[test]
fn an_image_in_use_or_with_snapshots_a_parent_or_a_group_is_not_released() {
    let section = "owner = \"root\"\npassword = \"root_password\"\n";
    let Some(cluster) = start(section, &["alice"]) else {
        return;
    };
    image(&cluster, "alice", "disk");
    let _ = cluster.rbd(&["snap", "create", "disk@monday"]);
    assert!(fail(&cluster, &["release", "rbd/disk"]).contains("monday"));
    let _ = cluster.rbd(&["clone", "--rbd_default_clone_format=2", "disk@monday", "child"]);
    bench(&cluster, "alice", "child");
    assert!(fail(&cluster, &["release", "rbd/child"]).contains("flatten it first"));
    let _ = cluster.rbd(&["rm", "child"]);
    let _ = cluster.rbd(&["snap", "rm", "disk@monday"]);
    let _ = cluster.rbd(&["group", "create", "g"]);
    let _ = cluster.rbd(&["group", "image", "add", "g", "disk"]);
    assert!(fail(&cluster, &["release", "rbd/disk"]).contains("in a group"));
    let _ = cluster.rbd(&["group", "image", "remove", "g", "disk"]);
    let _ = cluster.rbd(&["feature", "enable", "disk", "journaling"]);
    assert!(fail(&cluster, &["release", "rbd/disk"]).contains("journal"));
    let _ = cluster.rbd(&["feature", "disable", "disk", "journaling"]);
    let slow = images::bench("write", "4K", "1G", &["--rbd_qos_iops_limit=50", "disk"]);
    let mut keeper = cluster.client("rbd", &slow).spawn().unwrap();
    let watched = || {
        let status = cluster.rbd(&["status", "disk"]).text();
        status.contains("watcher=")
    };
    until("it is watched", Duration::from_secs(30), watched);
    let refused = fail(&cluster, &["release", "rbd/disk"]);
    assert!(refused.contains("watched by client."), "{refused}");
    keeper.kill().unwrap();
    let _ = keeper.wait().unwrap();
    let _ = cluster.rbd(&["info", "disk"]);
    release(&cluster, "rbd/disk");
}

/// Releases an image: snapshots are trimmed in the background, and a killed client's watch ends after half a minute.
fn release(cluster: &Cluster, image: &str) {
    let since = Instant::now();
    loop {
        let outcome = cluster.attempt(cluster.command(&["release", image]));
        if outcome.status.success() {
            return;
        }
        let text = outcome.to_string();
        assert!(
            text.contains("still being trimmed") || text.contains("watched by"),
            "{text}"
        );
        assert!(since.elapsed().as_secs() < 60, "{text}");
        std::thread::sleep(Duration::from_secs(1));
    }
}
