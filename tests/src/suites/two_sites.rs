//! The scripts of `qa/workunits/rbd` for rbd-mirror: they want two clusters, `cluster1` and `cluster2`, which this gives
//! them, and start and stop the daemons between them themselves.

use std::fmt::Write as _;
use std::path::Path;

use crate::cluster::Cluster;
use crate::{Failure, Result};

/// The scripts, each with the values of `RBD_MIRROR_MODE` that it is run with; those without one know theirs.
const SCRIPTS: [(&str, &[&str]); 6] = [
    ("rbd_mirror_bootstrap.sh", &[]),
    ("rbd_mirror_ha.sh", &[]),
    ("rbd_mirror_journal.sh", &[]),
    ("rbd_mirror_snapshot.sh", &[]),
    ("rbd_mirror_stress.sh", &[]),
    ("rbd_mirror.sh", &["journal", "snapshot"]),
];
/// The capabilities of the users that the scripts call `mirror` and `mirror.0`, `mirror.1`...; rbd_mirror_ha.sh has most daemons.
const USER: [&str; 6] = ["mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd"];
const DAEMON: [&str; 6] = [
    "mon",
    "profile rbd-mirror",
    "osd",
    "profile rbd",
    "mgr",
    "profile rbd",
];
const DAEMONS: usize = 5;

/// Whether a script is one of them.
pub(super) fn wants(script: &str) -> bool {
    SCRIPTS.iter().any(|(name, _)| *name == script)
}

/// The modes that a script is run in, one test each.
pub(super) fn modes(script: &str) -> &'static [&'static str] {
    let found = SCRIPTS.iter().find(|(name, _)| *name == script);
    found.map_or(&[], |(_, modes)| modes)
}

/// The variables that a script is run with; its files are in `folder`.
pub(super) fn variables(mode: &str, folder: &str) -> String {
    let set = format!("RBD_MIRROR_USE_EXISTING_CLUSTER=1 RBD_MIRROR_TEMDIR={folder}");
    match mode {
        "" => set,
        mode => format!("{set} RBD_MIRROR_MODE={mode}"),
    }
}

/// Gives the chroot's `/etc/ceph` (the folder `etc`) what clients and daemons of both clusters need; `files` is where the scripts
/// look for the daemons' files.
pub(super) fn prepare(etc: &Path, files: &str, clusters: [&Cluster; 2]) -> Result<()> {
    for (cluster, name) in clusters.into_iter().zip(["cluster1", "cluster2"]) {
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| Failure::new(path.display(), e));
        let mut keyring = read(&cluster.keyring())?;
        let mut conf = cluster.conf_without_keyring();
        let mut user = |user: &str, caps: &[&str]| {
            let get = [&["auth", "get-or-create", user][..], caps].concat();
            keyring.push_str(&format!("{}\n", cluster.ceph(&get).text()));
        };
        user("client.mirror", &USER);
        for n in 0..DAEMONS {
            let daemon = format!("client.mirror.{n}");
            user(&daemon, &DAEMON);
            let _ = writeln!(
                conf,
                "[{daemon}]\nadmin socket = {files}/rbd-mirror.$cluster-$name.asok\n\
                 pid file = {files}/rbd-mirror.$cluster-$name.pid\n\
                 log file = {files}/rbd-mirror.{name}_daemon.{n}.log"
            );
        }
        let write = |file: String, text: String| {
            let path = etc.join(file);
            std::fs::write(&path, text).map_err(|e| Failure::new(path.display(), e))
        };
        write(format!("{name}.conf"), conf)?;
        write(format!("{name}.keyring"), keyring)?;
    }
    Ok(())
}
