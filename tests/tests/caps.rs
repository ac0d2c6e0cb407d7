//! What capabilities allow: the table `reference/caps.txt`, whose answers a real Ceph gave.
//!
//! `RBDGATE_TEST_TARGET=ceph RBDGATE_RECORD=1 cargo test -p rbdgate-tests --test caps` writes the answers anew; without
//! `RBDGATE_RECORD` the same holds Ceph to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rbdgate_tests::cluster::{Cluster, against_ceph};
use serde_json::{Value, json};

const TABLE: &str = include_str!("../reference/caps.txt");

/// Where rbdgate knowingly decides otherwise: capabilities, operation, outcome, why.
const EXCEPTIONS: [(&str, &str, &str, &str); 1] = [(
    "allow r network 127.0.0.0/8",
    "mgr pg dump",
    "yes",
    "Pacific's manager does not know its clients' addresses yet when it reads their capabilities, and so never grants this",
)];

/// Capabilities by service, and what is tried with them.
#[derive(Default)]
struct Set {
    caps: BTreeMap<String, String>,
    /// Operation and recorded outcome.
    rows: Vec<(String, String)>,
}

fn table() -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    for line in TABLE.lines().filter(|l| !l.starts_with('#')) {
        if line.is_empty() {
            sets.push(Set::default());
            continue;
        }
        let Some(set) = sets.last_mut() else {
            panic!("a line before the first set: {line}");
        };
        if let Some(row) = line.strip_prefix("  ") {
            let (operation, outcome) = row.rsplit_once(" = ").expect("an operation and its outcome");
            set.rows.push((operation.to_owned(), outcome.to_owned()));
        } else {
            let (service, caps) = line.split_once(": ").expect("a service and its capabilities");
            set.caps.insert(service.to_owned(), caps.to_owned());
        }
    }
    sets
}

/// What became of each operation of each set.
fn outcomes(cluster: &Cluster, sets: &[Set]) -> Vec<Vec<String>> {
    let request: Vec<Value> = sets
        .iter()
        .map(|set| {
            json!([
                set.caps,
                set.rows
                    .iter()
                    .map(|(operation, _)| operation)
                    .collect::<Vec<_>>()
            ])
        })
        .collect();
    let script = cluster
        .python("caps.py", &[])
        .stdin(json!(request).to_string().into_bytes())
        .deadline(Duration::from_secs(400));
    let answers = cluster.run(script).json();
    serde_json::from_value(answers).expect("lists of outcomes")
}

fn record(sets: &[Set], outcomes: &[Vec<String>]) {
    let head = TABLE.lines().take_while(|l| l.starts_with('#'));
    let mut out: String = head.map(|l| format!("{l}\n")).collect();
    for (set, outcomes) in sets.iter().zip(outcomes) {
        out.push('\n');
        out.extend(
            set.caps
                .iter()
                .map(|(service, caps)| format!("{service}: {caps}\n")),
        );
        let rows = set.rows.iter().zip(outcomes);
        out.extend(rows.map(|((operation, _), outcome)| format!("  {operation} = {outcome}\n")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/caps.txt");
    std::fs::write(path, out).expect("the table can be written");
}

#[test]
fn users_may_do_what_they_may_do_in_ceph() {
    let sets = table();
    let rows: usize = sets.iter().map(|set| set.rows.len()).sum();
    assert!(rows >= 150, "{rows} rows");
    let cluster = Cluster::start();
    let outcomes = outcomes(&cluster, &sets);
    if against_ceph() && std::env::var_os("RBDGATE_RECORD").is_some() {
        return record(&sets, &outcomes);
    }
    let mut wrong = Vec::new();
    let mut excepted = 0;
    for (set, outcomes) in sets.iter().zip(&outcomes) {
        for ((operation, expected), outcome) in set.rows.iter().zip(outcomes) {
            let known = EXCEPTIONS
                .iter()
                .find(|(caps, of, ..)| set.caps.values().any(|c| c == caps) && of == operation);
            let known = known.filter(|_| !against_ceph());
            excepted += usize::from(known.is_some());
            let expected = known.map_or(expected.as_str(), |(_, _, outcome, _)| outcome);
            if expected != outcome {
                wrong.push(format!("{:?}: {operation}: {outcome}, not {expected}", set.caps));
            }
        }
    }
    assert!(
        against_ceph() || excepted == EXCEPTIONS.len(),
        "an exception is of no row"
    );
    assert!(
        wrong.is_empty(),
        "{} of {rows} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
