//! JSON as Python's `json.dumps` writes it.

use std::io;

use serde::Serialize;
use serde_json::{
    Map, Value,
    ser::{Formatter, Serializer},
};

/// Commas and colons with a blank behind them, all in a line.
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }
}

/// Only ASCII: everything else as UTF-16 units.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                out += &format!("\\u{unit:04x}");
            }
        }
    }
    out
}

/// `dumps(value)`.
pub(super) fn one_line(value: &Value) -> String {
    let mut out = Vec::new();
    match value.serialize(&mut Serializer::with_formatter(&mut out, OneLine)) {
        Ok(()) => ascii(&String::from_utf8_lossy(&out)),
        // Writing to memory does not fail; the other form is as good.
        Err(_) => ascii(&value.to_string()),
    }
}

/// `dumps(value, indent=4, sort_keys=True)`.
pub(super) fn pretty(value: &Value) -> String {
    let value = sorted(value);
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    match value.serialize(&mut Serializer::with_formatter(&mut out, formatter)) {
        Ok(()) => ascii(&String::from_utf8_lossy(&out)),
        Err(_) => ascii(&value.to_string()),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            let mut out = Map::new();
            for key in keys {
                out.insert(key.clone(), fields.get(key).map_or(Value::Null, sorted));
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_written_as_python_writes_it() {
        let value = json!({"b": [1, 0.5, true, null], "a": {"x": "ä\"😀"}, "e": {}, "f": []});
        assert_eq!(
            one_line(&value),
            r#"{"b": [1, 0.5, true, null], "a": {"x": "\u00e4\"\ud83d\ude00"}, "e": {}, "f": []}"#
        );
        assert_eq!(
            pretty(&json!({"b": [1], "a": {}})),
            "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}"
        );
    }
}
