//! The commands of `reference/commands.txt`, answered as Ceph's own daemons answer them: same error numbers, same JSON keys of the
//! same types, same headings of tables. Where rbdgate knowingly differs, `reference/differences.txt` says so and why.
//!
//! The shapes of Ceph's answers are recorded, so that the test needs no Ceph daemons:
//! `RBDGATE_TEST_TARGET=ceph RBDGATE_RECORD=1 cargo test -p rbdgate-tests --test commands` records them anew; without
//! `RBDGATE_RECORD` the same holds Ceph to the recording.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::shapes;
use serde_json::{Map, Value, json};

const LIST: &str = include_str!("../reference/commands.txt");
const DIFFERENCES: &str = include_str!("../reference/differences.txt");

/// One command in one format: its name in the files, where it is sent and with which arguments.
struct Case {
    name: String,
    target: String,
    arguments: Value,
}

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/ceph-16.2.15.txt")
}

fn format_name(letter: char) -> &'static str {
    match letter {
        'p' => "plain",
        'j' => "json",
        'J' => "json-pretty",
        'x' => "xml",
        'k' => "kind",
        other => panic!("no format {other}"),
    }
}

/// The cases of a line of the list.
fn cases_of(line: &str) -> Vec<Case> {
    let target_words = if line.starts_with("tell ") { 2 } else { 1 };
    let words: Vec<&str> = line.split(' ').collect();
    let (target, rest) = words.split_at(target_words);
    let (formats, rest) = rest.split_first().expect("a line names its formats");
    let of_prefix = rest.iter().take_while(|w| !w.contains('=')).count();
    let (prefix, arguments) = rest.split_at(of_prefix);
    let mut fields: Map<String, Value> = parse_arguments(arguments).into_iter().collect();
    fields.insert("prefix".into(), json!(prefix.join(" ")));
    let case = |letter| {
        let format = format_name(letter);
        let mut arguments = fields.clone();
        if letter != 'p' {
            arguments.insert(
                "format".into(),
                json!(if letter == 'k' { "json" } else { format }),
            );
        }
        Case {
            name: format!("{} {} [{format}]", target.join(" "), rest.join(" ")),
            target: target.join(" "),
            arguments: Value::Object(arguments),
        }
    };
    formats.chars().map(case).collect()
}

/// `KEY=TEXT` and `KEY:=JSON`; words behind JSON that is not at its end yet belong to it.
fn parse_arguments(words: &[&str]) -> Vec<(String, Value)> {
    let open = |part: &str| {
        let json = part
            .split_once(":=")
            .map(|(_, text)| serde_json::from_str::<Value>(text));
        json.is_some_and(|parsed| parsed.is_err())
    };
    let mut parts: Vec<String> = Vec::new();
    for word in words {
        match parts.last_mut() {
            Some(last) if open(last) => *last = format!("{last} {word}"),
            _ => parts.push((*word).to_owned()),
        }
    }
    let parse = |part: String| match part.split_once('=') {
        Some((key, value)) => match key.strip_suffix(':') {
            Some(key) => (key.to_owned(), serde_json::from_str(value).expect(value)),
            None => (key.to_owned(), json!(value)),
        },
        None => panic!("{part} is no argument"),
    };
    parts.into_iter().map(parse).collect()
}

fn cases() -> Vec<Case> {
    let lines = LIST.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.flat_map(cases_of).collect()
}

/// Sends all commands; returns what is compared of the answers, in the order of the cases.
fn answers(cluster: &Cluster, cases: &[Case]) -> Vec<Value> {
    let requests: Vec<Value> = cases.iter().map(|c| json!([c.target, c.arguments])).collect();
    let input = json!(requests).to_string();
    let outcome = cluster.run(cluster.python("commands.py", &[]).stdin(input.into_bytes()));
    let answers = outcome.json();
    let answers = answers.as_array().cloned().unwrap_or_default();
    assert_eq!(answers.len(), cases.len());
    if let Ok(path) = std::env::var("RBDGATE_ANSWERS") {
        let named: Vec<Value> = cases
            .iter()
            .zip(&answers)
            .map(|(c, a)| json!([c.name, a]))
            .collect();
        std::fs::write(path, json!(named).to_string()).expect("the answers can be kept");
    }
    let compared = |(case, answer): (&Case, &Value)| shapes::of_answer(answer, case.name.ends_with("[kind]"));
    cases.iter().zip(&answers).map(compared).collect()
}

/// The recorded answers by name. A name that stands twice in the list is recorded twice.
fn recorded() -> BTreeMap<String, Vec<Value>> {
    let text = std::fs::read_to_string(recording()).expect("the recording is in the repository");
    let mut out = BTreeMap::<String, Vec<Value>>::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.split_once('\t').expect("a name and an answer");
        let value = serde_json::from_str(value).expect("a recorded answer is JSON");
        out.entry(name.to_owned()).or_default().push(value);
    }
    out
}

fn record(cases: &[Case], answers: &[Value]) {
    let mut out = "# Answers of Ceph 16.2.15 to the commands of commands.txt, by shape. Recorded by tests/tests/commands.rs.\n".to_owned();
    for (case, answer) in cases.iter().zip(answers) {
        out += &format!("{}\t{answer}\n", case.name);
    }
    std::fs::write(recording(), out).expect("the recording can be written");
}

/// A reviewed difference: a command's name and what differs, either with a `*` for whatever stands there; why.
struct Reviewed {
    name: &'static str,
    difference: &'static str,
    line: &'static str,
}

fn reviewed() -> Vec<Reviewed> {
    let parse = |line: &'static str| {
        let parts: Vec<&str> = line.splitn(3, " | ").collect();
        let [name, difference, why] = parts[..] else {
            panic!("not three parts: {line}")
        };
        assert!(!why.is_empty(), "no reason: {line}");
        Reviewed {
            name,
            difference,
            line,
        }
    };
    let lines = DIFFERENCES
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(parse).collect()
}

/// Whether a pattern covers the text: the parts between its `*` occur in their order, the first at the begin, the last at the end.
fn covers(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    text.char_indices()
        .map(|(i, _)| i)
        .chain([text.len()])
        .any(|i| covers(rest, &text[i..]))
}

#[test]
fn commands_are_answered_as_ceph_answers_them() {
    let cluster = Cluster::start();
    let cases = cases();
    let answers = answers(&cluster, &cases);
    if against_ceph() && std::env::var_os("RBDGATE_RECORD").is_some() {
        return record(&cases, &answers);
    }
    let mut recorded = recorded();
    let reviewed = if against_ceph() { Vec::new() } else { reviewed() };
    let mut occurred = vec![false; reviewed.len()];
    let mut unknown = Vec::new();
    for (case, ours) in cases.iter().zip(&answers) {
        let theirs = recorded
            .get_mut(&case.name)
            .filter(|all| !all.is_empty())
            .map(|all| all.remove(0));
        let Some(theirs) = theirs else {
            unknown.push(format!("{} | not recorded", case.name));
            continue;
        };
        for difference in shapes::differences(&theirs, ours) {
            let mut known = false;
            for (entry, occurred) in reviewed.iter().zip(&mut occurred) {
                if covers(entry.name, &case.name) && covers(entry.difference, &difference) {
                    (known, *occurred) = (true, true);
                }
            }
            if !known {
                unknown.push(format!("{} | {difference}", case.name));
            }
        }
    }
    let stale: Vec<_> = reviewed
        .iter()
        .zip(&occurred)
        .filter(|(_, o)| !**o)
        .map(|(e, _)| e.line)
        .collect();
    assert!(
        unknown.is_empty() && stale.is_empty(),
        "differences that reference/differences.txt does not have:\n{}\n\nlines of it that no longer hold:\n{}",
        unknown.join("\n"),
        stale.join("\n")
    );
}
