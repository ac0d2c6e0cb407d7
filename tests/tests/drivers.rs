//! Drivers of clouds as Debian packages them, put through their main operations: Cinder's volumes and backups, Glance's store,
//! Nova's disks, libvirt's storage pool. With clones of format 1 and 2, as users with the capabilities that Ceph's
//! documentation gives them.
//!
//! They run in the chroots of `tests/chroots.sh`; what is not there is shown as not run. With `RBDGATE_DRIVERS_TABLE=FILE` the
//! outcome is written there as Markdown (`tests/run.sh drivers` installs the drivers first and writes docs/drivers.md).

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

#[path = "drivers/table.rs"]
mod table;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::exec::Program;
use rbdgate_tests::generations::Generation;
use serde_json::Value;

use table::{Cell, Row};

/// How long one driver may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// A driver: its name for people, the package that has it, and the script that drives it.
pub(crate) struct Driver {
    pub(crate) name: &'static str,
    package: &'static str,
    script: &'static str,
}

pub(crate) const DRIVERS: [Driver; 4] = [
    Driver {
        name: "Cinder, volumes and backups",
        package: "python3-cinder",
        script: "drivers/cinder_rbd.py",
    },
    Driver {
        name: "Glance, store",
        package: "python3-glance-store",
        script: "drivers/glance_rbd.py",
    },
    Driver {
        name: "Nova, rbd_utils",
        package: "python3-nova",
        script: "drivers/nova_rbd.py",
    },
    Driver {
        name: "libvirt, pool of type rbd",
        package: "libvirt-daemon-driver-storage-rbd",
        script: "drivers/libvirt.py",
    },
];

/// Users with their capabilities for monitor and OSDs, as Ceph's documentation of OpenStack has them.
const USERS: [(&str, &str); 2] = [
    ("glance", "profile rbd pool=images"),
    (
        "cinder",
        "profile rbd pool=volumes, profile rbd pool=vms, profile rbd pool=backups, profile rbd-read-only pool=images",
    ),
];

/// Which clones librbd makes, by what the cluster demands of clients.
pub(crate) const CLONES: [(&str, &str); 2] = [("format 1", "luminous"), ("format 2", "mimic")];

#[test]
fn drivers_of_clouds_work_as_they_are_packaged() {
    let places = Generation::all().unwrap();
    let mut rows: Vec<Row> = Vec::new();
    for generation in places
        .iter()
        .filter(|g| ["pacific", "reef"].contains(&g.name().unwrap().as_str()) && g.origin() != "this machine")
    {
        rows.extend(try_all(generation));
    }
    // Past the capture of the test runner: the table is what this run is for.
    let _ = std::io::stderr().write_all(table::plain(&rows).as_bytes());
    if let Some(file) = std::env::var_os("RBDGATE_DRIVERS_TABLE") {
        std::fs::write(file, table::markdown(&rows)).unwrap();
    }
    let failures = table::failures(&rows);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// All drivers of a release of Debian.
fn try_all(generation: &Generation) -> Vec<Row> {
    let mut rows: Vec<Row> = DRIVERS
        .iter()
        .map(|driver| Row {
            driver: driver.name,
            version: version(generation, driver.package),
            origin: generation.origin(),
            cells: Vec::new(),
        })
        .collect();
    for (_, release) in CLONES {
        if rows.iter().all(|row| row.version.is_none()) {
            rows.iter_mut().for_each(|row| row.cells.push(Cell::NotRun));
            continue;
        }
        let cluster = prepared(release);
        for (row, driver) in rows.iter_mut().zip(&DRIVERS) {
            row.cells.push(match row.version {
                Some(_) => run(generation, &cluster, driver),
                None => Cell::NotRun,
            });
        }
    }
    rows
}

/// The version of a package; none if it is not installed.
fn version(generation: &Generation, package: &str) -> Option<String> {
    if !generation.is_there() {
        return None;
    }
    let query = generation.program(Path::new("/tmp"), "dpkg-query");
    let said = query
        .args(["-W", "-f", "${db:Status-Status} ${Version}", package])
        .run();
    let said = said.ok()?.success().ok()?.text();
    said.strip_prefix("installed ").map(str::to_owned)
}

/// A cluster with the pools and users of a cloud, and an image of Glance's with a snapshot.
fn prepared(release: &str) -> Cluster {
    let cluster = Cluster::start();
    cluster.ceph(&["osd", "set-require-min-compat-client", release]);
    let work = cluster.folder().join("work");
    std::fs::create_dir_all(work.join("etc-ceph")).unwrap();
    std::fs::create_dir_all(work.join("conversion")).unwrap();
    for pool in ["images", "volumes", "vms", "backups"] {
        cluster.ceph(&["osd", "pool", "create", pool, "8"]);
        cluster.rbd(&["pool", "init", pool]);
    }
    for (name, caps) in USERS {
        let entity = format!("client.{name}");
        let made = [
            "auth",
            "get-or-create",
            &entity,
            "mon",
            "profile rbd",
            "osd",
            caps,
            "mgr",
            "profile rbd",
        ];
        let keyring = cluster.ceph(&made).text();
        std::fs::write(
            work.join(format!("etc-ceph/ceph.{entity}.keyring")),
            keyring + "\n",
        )
        .unwrap();
    }
    std::fs::write(work.join("etc-ceph/ceph.conf"), cluster.conf_without_keyring()).unwrap();
    let mut base = b"base".to_vec();
    base.resize(4 << 20, 0);
    let base = cluster.file("base", base);
    cluster.rbd(&["import", "--no-progress", &base, "images/base"]);
    cluster.rbd(&["snap", "create", "--no-progress", "images/base@snap"]);
    cluster.rbd(&["snap", "protect", "images/base@snap"]);
    cluster
}

/// `HOST:PORT` of msgr v1 in a ceph.conf.
fn v1_monitor(conf: &str) -> &str {
    let (_, rest) = conf.split_once("v1:").expect("the monitor speaks v1");
    rest.split([',', ']', '/', '\n']).next().unwrap_or_default()
}

fn run(generation: &Generation, cluster: &Cluster, driver: &Driver) -> Cell {
    let work = cluster.folder().join("work");
    let conf = std::fs::read_to_string(cluster.conf()).unwrap();
    let script: Program = generation.python(&work, driver.script).args([v1_monitor(&conf)]);
    let outcome = match script.deadline(DEADLINE).run().and_then(|o| o.success()) {
        Ok(outcome) => outcome,
        Err(failure) => return Cell::Run(vec![("the script".to_owned(), Some(failure.to_string()))]),
    };
    // The last line: libraries may print before.
    let text = outcome.text();
    let steps: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap();
    let steps = steps.as_array().unwrap().iter();
    let step = |step: &Value| {
        let error = step[1].as_str().map(|why| format!("{why}\n{}", outcome.errors()));
        (step[0].as_str().unwrap_or_default().to_owned(), error)
    };
    Cell::Run(steps.map(step).collect())
}
