//! Ceph's own suites, each with the clients of its release, pass: all tests but those in `tests/suites/excluded.toml`, which do what
//! is written there.
//!
//! `tests/run.sh suites` gets the suites and runs all of it; with `RBDGATE_SUITES_TABLE=FILE` the counts are written there as Markdown.
//! `RBDGATE_SUITES_ONLY="trixie/test_rbd.py sid/diff.sh"` runs a part.

#![allow(clippy::unwrap_used, reason = "in a test, that is the failure")]

#[path = "suites/table.rs"]
mod table;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::suites::{Release, excluded::Excluded, run};

use table::Row;

/// A suite file to run.
struct Job<'a> {
    release: &'a Release,
    excluded: &'a Excluded,
    file: String,
}

impl Job<'_> {
    fn name(&self) -> String {
        format!("{}/{}", self.release.debian, self.file)
    }
}

#[test]
#[ignore = "takes minutes and needs Ceph's sources: tests/run.sh suites"]
fn cephs_own_suites_pass() {
    let releases = Release::all().unwrap();
    let excluded: Vec<Excluded> = releases.iter().map(|release| Excluded::of(release).unwrap()).collect();
    let mut complaints = Vec::new();
    let mut jobs = VecDeque::new();
    for (release, excluded) in releases.iter().zip(&excluded) {
        let files = release.files().unwrap();
        complaints.extend(excluded.without_file(&files));
        let files = files.into_iter().filter(|file| excluded.runs(file));
        jobs.extend(files.map(|file| Job { release, excluded, file }));
    }
    select(&mut jobs);
    let jobs = Mutex::new(jobs);
    let done = Mutex::new((Vec::new(), complaints));
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                loop {
                    let next = jobs.lock().unwrap().pop_front();
                    let Some(job) = next else { break };
                    let (row, complaints) = run_one(&job);
                    let mut done = done.lock().unwrap();
                    done.0.push(row);
                    done.1.extend(complaints);
                }
            });
        }
    });
    let (mut rows, complaints) = done.into_inner().unwrap();
    rows = table::merge(rows);
    say(&table::plain(&rows));
    if let Some(path) = std::env::var_os("RBDGATE_SUITES_TABLE") {
        std::fs::write(path, table::markdown(&rows)).unwrap();
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

/// Leaves what `RBDGATE_SUITES_ONLY` names, if it is set. A name that there is not must not pass for a run of it.
fn select(jobs: &mut VecDeque<Job<'_>>) {
    if let Ok(only) = std::env::var("RBDGATE_SUITES_ONLY") {
        for word in only.split_whitespace() {
            assert!(jobs.iter().any(|job| job.name() == word), "no suite {word} to run");
        }
        jobs.retain(|job| only.split_whitespace().any(|word| word == job.name()));
    }
    assert!(!jobs.is_empty(), "no suites: tests/suites.sh gets them");
}

/// How many suite files run at the same time.
fn workers() -> usize {
    let set = std::env::var("RBDGATE_TEST_THREADS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// Runs a suite file with a cluster of its own; returns the counts and what is wrong.
fn run_one(job: &Job<'_>) -> (Row, Vec<String>) {
    let begun = Instant::now();
    let cluster = Cluster::start();
    let (outcomes, mut complaints) = match run(job.release, job.excluded, &job.file, &cluster) {
        Ok(outcomes) => {
            let complaints = job.excluded.judge(&job.file, &outcomes);
            (outcomes, complaints)
        }
        Err(failure) => (Default::default(), vec![failure.to_string()]),
    };
    if !complaints.is_empty() {
        complaints.push(cluster.log_tail());
    }
    let row = Row::new(job.release, &job.file, &outcomes, begun.elapsed());
    say(&format!("{row}\n"));
    let from = |complaint| format!("{}: {complaint}", job.name());
    (row, complaints.into_iter().map(from).collect())
}

/// Past the capture of the test runner: a long run shows how far it is.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
