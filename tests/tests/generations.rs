//! Stock clients of several Ceph generations, in each mode in which they can connect, through the life of an image.
//!
//! The clients are this machine's own and those of the chroots that `tests/chroots.sh` has made; what is not there
//! is shown as not run. With `RBDGATE_CLIENTS_TABLE=FILE` the table is written there as Markdown
//! (`tests/run.sh generations` makes the chroots first and writes docs/clients.md).

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

#[path = "generations/life.rs"]
mod life;
#[path = "generations/sessions.rs"]
mod sessions;
#[path = "generations/table.rs"]
mod table;

use std::io::Write;
use std::sync::Mutex;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::exec::Program;
use rbdgate_tests::generations::{Generation, Mode, speaks_v1};
use rbdgate_tests::rbdgate::binary;

use life::Life;
use table::{Cell, Row};

/// How many generations run at the same time.
const WORKERS: usize = 2;

#[test]
fn every_generation_lives_through_an_image_in_every_mode() {
    let (mut todo, missing): (Vec<Generation>, Vec<Generation>) = Generation::all()
        .unwrap()
        .into_iter()
        .partition(Generation::is_there);
    forget_a_twin_of_this_machine(&mut todo);
    todo.reverse();
    let (todo, rows) = (Mutex::new(todo), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().unwrap().pop();
                    let Some(generation) = next else { break };
                    let row = try_all_modes(&generation);
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.extend(missing.iter().map(|generation| Row {
        name: generation.name().unwrap(),
        version: String::new(),
        origin: generation.origin(),
        cells: vec![Cell::NotRun; Mode::ALL.len()],
    }));
    table::sort(&mut rows);
    // Past the capture of the test runner: the table is what this run is for.
    let _ = std::io::stderr().write_all(table::plain(&rows).as_bytes());
    if let Some(path) = std::env::var_os("RBDGATE_CLIENTS_TABLE") {
        std::fs::write(path, table::markdown(&rows)).unwrap();
    }
    let failures = table::failures(&rows);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Where a chroot has the version of this machine's own clients, one of them is enough.
fn forget_a_twin_of_this_machine(generations: &mut Vec<Generation>) {
    let versions: Vec<_> = generations.iter().map(|g| g.version().ok()).collect();
    let twin = versions.first().is_some_and(|own| versions[1..].contains(own));
    // A machine without Ceph's clients tests the chroots alone.
    if twin || versions.first().is_some_and(Option::is_none) {
        generations.remove(0);
    }
}

/// One row of the table, with a server of its own.
fn try_all_modes(generation: &Generation) -> Row {
    let cluster = start(&[]);
    let (version, name) = generation.version().unwrap();
    let cells = Mode::ALL.map(|mode| match mode.max_msgr() {
        Some(limit) if can_be_limited(limit) => try_mode(&start(&["--max-msgr", limit]), generation, mode),
        Some(_) => Cell::NotServed,
        None if mode == Mode::V1Mon && !v1_port(&cluster).is_some_and(speaks_v1) => Cell::NotServed,
        None => try_mode(&cluster, generation, mode),
    });
    Row {
        name,
        version,
        origin: generation.origin(),
        cells: cells.into(),
    }
}

fn start(extra: &[&str]) -> Cluster {
    if against_ceph() {
        return Cluster::start();
    }
    Cluster::start_with(&[&["--log", sessions::LOG], extra].concat())
}

fn try_mode(cluster: &Cluster, generation: &Generation, mode: Mode) -> Cell {
    let life = Life::new(cluster, generation, mode, v1_port(cluster).unwrap_or(0));
    let before = sessions::log(cluster).len();
    let mut failures = life.live();
    if !against_ceph() {
        let said = sessions::log(cluster);
        if let Err(other) = sessions::check(said.get(before..).unwrap_or_default(), mode) {
            failures.push(("sessions", other));
        }
    }
    if failures.is_empty() {
        return Cell::Passed;
    }
    Cell::Failed(failures)
}

/// The monitor's v1 port as the ceph.conf names it, else the one that the server was told to use.
fn v1_port(cluster: &Cluster) -> Option<u16> {
    let conf = std::fs::read_to_string(cluster.conf()).ok()?;
    let named = conf.split("v1:127.0.0.1:").nth(1);
    let named = named.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    named
        .and_then(|port| port.parse().ok())
        .or_else(|| cluster.v1_port())
}

/// Whether rbdgate can be told to speak this protocol at most.
fn can_be_limited(protocol: &str) -> bool {
    if against_ceph() {
        return false;
    }
    let program = Program::new(binary().unwrap());
    let help = program.args(["serve", "--help"]).run().unwrap().text();
    help.lines()
        .any(|line| line.contains("--max-msgr") && line.contains(protocol))
}
