//! Further listeners (`--listen`): clients that come in there stay there, under its restrictions, and others do not notice.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

use std::process::Child;
use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::Program;
use rbdgate_tests::ports::Ports;
use serde_json::Value;

/// The daemons that a client has sessions with.
const ALL: [&str; 3] = ["mgr.x", "mon.a", "osd.0"];

/// A client that ends with the test.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cluster with a further listener.
struct Further {
    cluster: Cluster,
    /// A ceph.conf with the listener's monitor.
    conf: String,
    ports: Ports,
}

impl Further {
    /// `options` follow the listener's address; `mon` is its monitor for `mon_host`, by the first port.
    fn start(options: &str, mon: impl Fn(u16) -> String) -> Self {
        let ports = Ports::take().unwrap();
        let first = ports.mon_v2();
        let cluster = Cluster::start_with(&["--listen", &format!("127.0.0.1:{first}{options}")]);
        let conf = std::fs::read_to_string(cluster.conf()).unwrap();
        let host = conf.lines().find(|l| l.starts_with("mon_host")).unwrap();
        let conf = conf.replace(host, &format!("mon_host = {}", mon(first)));
        let conf = cluster.file("further.conf", conf);
        Self { cluster, conf, ports }
    }

    /// A client that comes in at the listener.
    fn client(&self, program: &str, args: &[&str]) -> Program {
        Program::new(program).args(["-c", &self.conf]).args(args)
    }

    /// Holds an image open, hence sessions to the monitor and the OSD: there, or at the usual ports.
    fn hold_open(&self, image: &str, there: bool) -> Holder {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/hold_open.py");
        let usual = self.cluster.conf().display().to_string();
        let conf = if there { &self.conf } else { &usual };
        let program = Program::new("/usr/bin/python3").args([script, conf, image, "60"]);
        let mut holder = Holder(program.spawn().unwrap());
        std::thread::sleep(Duration::from_secs(3));
        assert!(
            holder.0.try_wait().unwrap().is_none(),
            "the image is not held open"
        );
        holder
    }

    /// The sessions at the listener, and the others.
    fn sessions(&self) -> (Vec<Value>, Vec<Value>) {
        let data = self.cluster.path("data");
        let binary = rbdgate_tests::rbdgate::binary().unwrap();
        let args = ["sessions", "--json", "--data", &data];
        let all = self.cluster.run(Program::new(binary).args(args)).json();
        let (first, last) = (self.ports.mon_v2(), self.ports.last());
        let there = |session: &Value| {
            let at = session["listener"].as_str().unwrap();
            let port: u16 = at.rsplit_once(':').unwrap().1.parse().unwrap();
            (first..=last).contains(&port)
        };
        all.as_array().unwrap().iter().cloned().partition(there)
    }
}

fn daemons(sessions: &[Value]) -> Vec<&str> {
    let mut daemons: Vec<&str> = sessions.iter().map(|s| s["daemon"].as_str().unwrap()).collect();
    daemons.sort_unstable();
    daemons.dedup();
    daemons
}

#[test]
fn clients_of_a_listener_for_v1_alone_stay_on_it_and_others_speak_v2() {
    if against_ceph() {
        return;
    }
    let mut further = Further::start(",max-msgr=v1", |port| format!("v1:127.0.0.1:{}", port + 1));
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let file = further.cluster.file("image.bin", &bytes);
    let import = further.client("rbd", &["import", &file, "disk"]);
    further.cluster.run(import);
    let copy = further.cluster.path("copy.bin");
    further.cluster.rbd(&["export", "disk", &copy]);
    assert!(std::fs::read(copy).unwrap() == bytes);
    further.cluster.run(further.client("ceph", &["pg", "stat"]));

    let (mine, other) = (further.hold_open("disk", true), further.hold_open("disk", false));
    // Changes of the map must keep the client where it is.
    further.cluster.ceph(&["osd", "pool", "create", "another"]);
    std::thread::sleep(Duration::from_secs(6));
    let (there, usual) = further.sessions();
    assert_eq!(daemons(&there), ALL, "{there:?}");
    assert_eq!(daemons(&usual), ALL, "{usual:?}");
    assert!(there.iter().all(|s| s["protocol"] == "v1"), "{there:?}");
    assert!(usual.iter().all(|s| s["protocol"] == "v2"), "{usual:?}");
    drop(other);

    // A client that lives through a restart finds its listener again.
    further.cluster.kill();
    further.cluster.launch();
    std::thread::sleep(Duration::from_secs(8));
    let (there, usual) = further.sessions();
    assert_eq!(daemons(&there), ALL, "{there:?}");
    assert!(usual.is_empty(), "{usual:?}");
    drop(mine);
}

#[test]
fn features_are_withheld_on_one_listener_alone() {
    if against_ceph() {
        return;
    }
    let further = Further::start(",mask-features=OSD_POOLRESEND+SERVER_PACIFIC", |port| {
        format!("v2:127.0.0.1:{port}")
    });
    further
        .cluster
        .run(further.client("rbd", &["create", "--size", "8M", "disk"]));
    let (mine, other) = (further.hold_open("disk", true), further.hold_open("disk", false));
    let (there, usual) = further.sessions();
    assert_eq!(daemons(&there), ALL, "{there:?}");
    let has = |session: &Value, name: &str| {
        session["feature_names"]
            .as_array()
            .unwrap()
            .contains(&name.into())
    };
    for name in ["OSD_POOLRESEND", "SERVER_PACIFIC"] {
        assert!(there.iter().all(|s| !has(s, name)), "{there:?}");
        assert!(usual.iter().all(|s| has(s, name)), "{usual:?}");
    }
    assert!(there.iter().all(|s| s["protocol"] == "v2"), "{there:?}");
    drop((mine, other));
}

#[test]
fn a_client_before_firefly_can_be_tried_with_todays_client_on_a_listener() {
    if against_ceph() {
        return;
    }
    let further = Further::start(
        ",max-msgr=v1,mask-features=OSDMAP_ENC+CRUSH_V4+MSG_ADDR2",
        |port| format!("v1:127.0.0.1:{}", port + 1),
    );
    further
        .cluster
        .run(further.client("rbd", &["create", "--size", "8M", "disk"]));
    let bench = ["bench", "--io-type", "write", "--io-total", "2M", "disk"];
    further.cluster.run(further.client("rbd", &bench));
    let holder = further.hold_open("disk", true);
    let (there, _) = further.sessions();
    assert_eq!(daemons(&there), ALL, "{there:?}");
    drop(holder);
    assert_eq!(further.cluster.rbd(&["ls"]).lines(), ["disk"]);
}
