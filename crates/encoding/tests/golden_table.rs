//! All goldens of `testdata`, type by type and feature word by feature word: whether they decode and encode to the same
//! bytes, or why not. `cargo test --test golden_table -- --nocapture` shows the table.
//!
//! The table is kept in `testdata/golden_table.txt` and any difference fails: a cell that got worse is a regression, one that got
//! better belongs in the file. `GOLDEN_TABLE=write` writes it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot read its data must fail"
)]

#[allow(dead_code, reason = "there is more in it for ceph-dencoder")]
mod golden;

use std::collections::BTreeMap;
use std::fmt::Write;

use golden::{EXCUSES, Excuse, Golden, Outcome, WORDS, all, judge};

/// What is in one cell of the table.
#[derive(Default)]
struct Cell {
    same: usize,
    all: usize,
    excuses: Vec<usize>,
}

fn excuse(golden: &Golden, outcome: Outcome) -> Option<usize> {
    let covers = |excuse: &Excuse| {
        let among = |list: &[&str], value: &str| list.is_empty() || list.contains(&value);
        excuse.outcome == outcome
            && among(excuse.kinds, &golden.kind)
            && among(excuse.writers, &golden.writer)
            && among(excuse.words, &golden.word)
    };
    EXCUSES.iter().position(covers)
}

/// `3`: three goldens, all the same; `2/3 a`: two of three, the third is excused for reason a.
fn show(cell: Option<&Cell>) -> String {
    let Some(cell) = cell else {
        return ".".to_owned();
    };
    if cell.same == cell.all {
        return cell.all.to_string();
    }
    let letters = cell.excuses.iter().map(|n| letter(*n)).collect::<String>();
    format!("{}/{} {letters}", cell.same, cell.all)
}

fn letter(n: usize) -> char {
    char::from(b'a' + u8::try_from(n).unwrap())
}

fn render(rows: &BTreeMap<String, BTreeMap<&str, Cell>>) -> String {
    let mut out = String::new();
    let mut line = |first: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:<13}")).collect();
        writeln!(out, "{first:<28}{}", cells.trim_end()).unwrap();
    };
    line("type", WORDS.iter().map(|(word, _)| (*word).to_owned()).collect());
    for (kind, cells) in rows {
        line(
            kind,
            WORDS.iter().map(|(word, _)| show(cells.get(word))).collect(),
        );
    }
    out.push('\n');
    for (n, excuse) in EXCUSES.iter().enumerate() {
        let what = match excuse.outcome {
            Outcome::Same => unreachable!(),
            Outcome::Differs => "decoded, written otherwise",
            Outcome::Refused => "not decoded",
        };
        writeln!(out, "{}  {what}: {}", letter(n), excuse.reason).unwrap();
    }
    out
}

#[test]
fn every_golden_is_written_again_to_the_same_bytes_or_is_excused() {
    let mut rows: BTreeMap<String, BTreeMap<&str, Cell>> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut used = vec![false; EXCUSES.len()];
    for golden in all() {
        let outcome = judge(&golden).outcome;
        let word = WORDS.iter().find(|(word, _)| *word == golden.word).unwrap().0;
        let cell = rows
            .entry(golden.kind.clone())
            .or_default()
            .entry(word)
            .or_default();
        cell.all += 1;
        if outcome == Outcome::Same {
            cell.same += 1;
            continue;
        }
        match excuse(&golden, outcome) {
            Some(n) => {
                used[n] = true;
                cell.excuses.push(n);
                cell.excuses.sort_unstable();
                cell.excuses.dedup();
            }
            None => wrong.push(format!(
                "{} by {} at {word}: {outcome:?}",
                golden.kind, golden.writer
            )),
        }
    }
    let table = render(&rows);
    println!("{table}");
    wrong.dedup();
    assert!(wrong.is_empty(), "without an excuse:\n{}", wrong.join("\n"));
    for (used, excuse) in used.iter().zip(EXCUSES) {
        assert!(used, "stale excuse: {}", excuse.reason);
    }
    let path = golden::testdata("golden_table.txt");
    if std::env::var_os("GOLDEN_TABLE").is_some_and(|value| value == "write") {
        std::fs::write(&path, &table).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        table == kept,
        "the table is not the one of {}; see the top of this file",
        path.display()
    );
}
