//! Vectors of operations, answered field by field as a real OSD answered them.
//!
//! `testdata/op_vectors.txt` is what `ceph-osd` 16.2.15 answered. With `RBDGATE_TEST_TARGET=ceph` the same is asked of
//! the one that is installed, which shows that the recording is right; `RBDGATE_OP_VECTORS=write` besides writes it anew.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

#[path = "op_vectors/known.rs"]
mod known;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::data::chosen;
use rbdgate_tests::op_vectors::client::{Client, POOLS};
use rbdgate_tests::op_vectors::{Script, classes, essence, random};

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/op_vectors.txt")
}

fn cluster() -> Cluster {
    with_pools(Cluster::start())
}

fn with_pools(cluster: Cluster) -> Cluster {
    for pool in POOLS {
        cluster.ceph(&["osd", "pool", "create", pool, "1"]);
        cluster.ceph(&["osd", "pool", "set", pool, "pg_autoscale_mode", "off"]);
    }
    cluster
}

/// One line for each step: its number, what it is about, a checksum of the request, and the answer. `script` has the steps for a pool.
fn ask(cluster: &Cluster, script: impl Fn(i64) -> Script) -> Vec<String> {
    let mut client = Client::start(&cluster.conf(), &cluster.keyring()).unwrap();
    let steps = script(client.pool(false).unwrap()).steps;
    // Requests are named as they are for any pool.
    let named = script(0).steps.into_iter().map(|step| format!("{step:?}"));
    let mut lines = Vec::new();
    for (n, (step, named)) in steps.iter().zip(named).enumerate() {
        let reply = match client.run(step) {
            Ok(reply) => reply,
            Err(failure) => panic!("step {n}, {step:?}: {failure}\n{}", cluster.log_tail()),
        };
        let sum = crc32c::crc32c(named.as_bytes());
        let oid = if step.oid.len() > 20 { "(long)" } else { &step.oid };
        let answer = essence::of(&mut client, step, &reply);
        lines.push(format!("{n} {} {oid} {sum:08x}: {answer}", step.group));
    }
    lines
}

/// The request of two lines, and both answers.
fn answers_to_one<'a>(theirs: &'a str, ours: &'a str) -> (&'a str, &'a str, &'a str) {
    let (request, theirs) = theirs.split_once(": ").unwrap();
    let (asked, ours) = ours.split_once(": ").unwrap();
    assert_eq!(request, asked, "the answers are to different vectors");
    (request, theirs, ours)
}

#[test]
fn vectors_of_operations_are_answered_as_a_real_osd_answered_them() {
    let answers = ask(&cluster(), Script::whole);
    if std::env::var_os("RBDGATE_OP_VECTORS").is_some_and(|v| v == "write") {
        let mut text =
            String::from("# What ceph-osd 16.2.15 (Debian 12) answered; see tests/tests/op_vectors.rs.\n");
        answers.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        std::fs::write(recording(), text).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(recording()).unwrap();
    let recorded: Vec<&str> = recorded.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(recorded.len(), answers.len(), "the recording is of other vectors");
    let mut differences = Vec::new();
    let mut used = BTreeSet::new();
    for (theirs, ours) in recorded.iter().zip(&answers) {
        let (request, theirs, ours) = answers_to_one(theirs, ours);
        if theirs == ours {
            continue;
        }
        match known::find(request, theirs, ours) {
            Some(known) if !against_ceph() => drop(used.insert(known)),
            _ => differences.push(format!("{request}\n  recorded {theirs}\n  now      {ours}")),
        }
    }
    let count = differences.len();
    assert!(
        count == 0,
        "{count} of {} answers differ:\n{}",
        answers.len(),
        differences.join("\n")
    );
    if !against_ceph() {
        let unused: Vec<_> = known::all().filter(|known| !used.contains(known)).collect();
        assert!(unused.is_empty(), "no longer different: {unused:?}");
    }
}

/// Asks both what chance makes of other seeds than those of the recording: `RBDGATE_OP_SEED` is the first, `RBDGATE_OP_SEEDS` how many.
#[test]
#[ignore = "needs the package ceph-osd"]
fn vectors_of_other_seeds_are_answered_alike() {
    let first = chosen("RBDGATE_OP_SEED", 100);
    let (ceph, here) = (with_pools(Cluster::start_ceph()), cluster());
    let mut differences = Vec::new();
    for seed in first..first + chosen("RBDGATE_OP_SEEDS", 10) {
        let script = |pool| {
            let mut script = Script::random(seed, 300);
            random::add_rarer(&mut script, seed, 300, pool);
            classes::add(&mut script, seed, 300);
            script
        };
        let (theirs, ours) = (ask(&ceph, script), ask(&here, script));
        for ((theirs, ours), step) in theirs.iter().zip(&ours).zip(script(0).steps) {
            let (request, theirs, ours) = answers_to_one(theirs, ours);
            if theirs != ours && known::find(request, theirs, ours).is_none() {
                let difference =
                    format!("seed {seed}, {request}\n  {step:?}\n  ceph    {theirs}\n  rbdgate {ours}");
                println!("{difference}");
                differences.push(difference);
            }
        }
    }
    assert!(differences.is_empty(), "{} answers differ", differences.len());
}
