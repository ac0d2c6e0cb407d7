//! The shape of a command's answer: what keys it has and of what types, not what they say. And how two shapes differ.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The shape of a value: `"string"`, `"number"`, `"bool"` or `"null"`; objects key by key, lists as a list of the one shape that
/// all elements have together. Keys that are data (versions, numbers, addresses) count as one.
#[must_use]
pub fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(items) => {
            let one = items.iter().map(shape).reduce(|a, b| merge(&a, &b));
            Value::Array(one.into_iter().collect())
        }
        Value::Object(fields) => {
            let mut out = Map::new();
            for (key, value) in fields
                .iter()
                .filter(|(key, _)| !TRANSIENT.contains(&key.as_str()))
            {
                let (key, mut shape) = (key_shape(key), shape(value));
                if let Some(before) = out.get(&key) {
                    shape = merge(before, &shape);
                }
                out.insert(key, shape);
            }
            Value::Object(out)
        }
    }
}

/// A key, or what kind of data it is.
fn key_shape(key: &str) -> String {
    if key.starts_with("ceph version ") {
        return "VERSION".to_owned();
    }
    let digits = key.strip_prefix("feature_").unwrap_or(key);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return key.replace(digits, "N");
    }
    let is_address = key.starts_with(|c: char| c.is_ascii_digit() || c == '[') && key.contains([':', '/']);
    if is_address {
        return "ADDRESS".to_owned();
    }
    let in_list = key.strip_prefix("cmd").is_some_and(|n| n.parse::<u32>().is_ok());
    if in_list {
        return "cmdN".to_owned();
    }
    key.to_owned()
}

/// What both shapes allow. Of different types, the first is kept: a list's elements rarely differ.
fn merge(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let mut out = x.clone();
            for (key, value) in y {
                let merged = x
                    .get(key)
                    .map_or_else(|| value.clone(), |before| merge(before, value));
                out.insert(key.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(x), Value::Array(y)) => {
            let one = x.iter().chain(y).cloned().reduce(|a, b| merge(&a, &b));
            Value::Array(one.into_iter().collect())
        }
        _ => a.clone(),
    }
}

/// Keys that come and go with what happens to go on at the moment, and where daemons run.
const TRANSIENT: [&str; 11] = [
    "avail_no_missing",
    "container_name",
    "inactive_pgs_ratio",
    "new_purged_snaps",
    "new_removed_snaps",
    "read_bytes_sec",
    "read_op_per_sec",
    "removed_snaps_queue",
    "unknown_pgs_ratio",
    "write_bytes_sec",
    "write_op_per_sec",
];

/// What of an answer is compared: the error number; whether there is a line for the user; of the data, the shape of JSON and XML
/// and the heading of a table, or whether there are any. `kind_only`: of JSON only whether it is an object or a list.
#[must_use]
pub fn of_answer(answer: &Value, kind_only: bool) -> Value {
    let text = answer["data"].as_str().unwrap_or_default();
    let status = answer["status"].as_str().is_some_and(|s| !s.is_empty());
    let data = if !answer["value"].is_null() {
        let shape = shape(&answer["value"]);
        if kind_only { json!(kind(&shape)) } else { shape }
    } else if let Some(heading) = text.lines().next().filter(|l| is_heading(l)) {
        let words: Vec<_> = heading.split_whitespace().collect();
        json!(format!("table {}", words.join(" ")))
    } else if answer["len"].as_u64() > Some(0) {
        json!("text")
    } else {
        json!("nothing")
    };
    json!({"code": answer["code"], "status": status, "data": data})
}

/// Whether a line is the heading of a table: words in capitals.
fn is_heading(line: &str) -> bool {
    let letters = || line.chars().filter(|c| c.is_ascii_alphabetic());
    letters().count() > 3 && !line.contains(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// How `ours` differs from `theirs`: the place and in what way, one a line. Where the error numbers differ that is all there is to say.
#[must_use]
pub fn differences(theirs: &Value, ours: &Value) -> Vec<String> {
    if theirs["code"] != ours["code"] {
        return vec![format!(".code is {}, not {}", ours["code"], theirs["code"])];
    }
    let mut out = Vec::new();
    compare("", theirs, ours, &mut out);
    out
}

fn kind(shape: &Value) -> &str {
    match shape {
        Value::Object(_) => "object",
        Value::Array(_) => "list",
        Value::String(name) => name,
        _ => "other",
    }
}

fn compare(path: &str, theirs: &Value, ours: &Value, out: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: BTreeMap<&String, ()> = x.keys().chain(y.keys()).map(|k| (k, ())).collect();
            for key in keys.into_keys() {
                let path = format!("{path}.{key}");
                match (x.get(key), y.get(key)) {
                    (Some(a), Some(b)) => compare(&path, a, b, out),
                    (Some(_), None) => out.push(format!("{path} missing")),
                    (None, _) => out.push(format!("{path} extra")),
                }
            }
        }
        (Value::Array(x), Value::Array(y)) => match (x.first(), y.first()) {
            (Some(a), Some(b)) => compare(&format!("{path}[]"), a, b, out),
            (Some(_), None) => out.push(format!("{path}[] missing")),
            (None, Some(_)) => out.push(format!("{path}[] extra")),
            (None, None) => {}
        },
        (a, b) if path.starts_with(".data") && kind(a) != kind(b) => {
            out.push(format!("{path} is {}, not {}", kind(b), kind(a)));
        }
        (a, b) if a != b => out.push(format!("{path} is {b}, not {a}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_keys_and_types() {
        let value = json!({"a": [{"b": 1}, {"b": 2, "c": "x"}], "0": true, "1": false, "e": []});
        let expected = json!({"a": [{"b": "number", "c": "string"}], "N": "bool", "e": []});
        assert_eq!(shape(&value), expected);
    }

    #[test]
    fn differences_are_told_by_place() {
        let theirs =
            json!({"code": 0, "status": true, "data": {"a": ["number"], "b": {"c": "string"}, "d": "bool"}});
        let ours = json!({"code": 0, "status": false, "data": {"a": [], "b": {"c": "number"}, "e": "bool"}});
        let told = [
            ".data.a[] missing",
            ".data.b.c is number, not string",
            ".data.d missing",
            ".data.e extra",
            ".status is false, not true",
        ];
        assert_eq!(differences(&theirs, &ours), told);
        assert_eq!(differences(&theirs, &theirs), [""; 0]);
        let refused = json!({"code": -2, "status": true, "data": "nothing"});
        assert_eq!(differences(&theirs, &refused), [".code is -2, not 0"]);
        let text = json!({"code": 0, "status": true, "data": "text"});
        assert_eq!(differences(&theirs, &text), [".data is text, not object"]);
    }
}
