//! The arguments of a command: a JSON object whose `prefix` names the command (Ceph `src/common/cmdparse.cc`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    format::Format,
    reply::{CommandError, einval},
};

/// A parsed command.
#[derive(Debug, Clone, Default)]
pub struct Args {
    prefix: String,
    fields: Map<String, Value>,
}

impl Args {
    /// Parses what a command message carries: pieces of one JSON text. What follows the object is ignored, as in
    /// Ceph: `rbd perf image iostat` and `iotop` of every release send a quotation mark too many.
    pub fn parse(pieces: &[String]) -> Result<Self, CommandError> {
        let text = pieces.concat();
        let first = serde_json::Deserializer::from_str(&text).into_iter().next();
        let Some(Ok(Value::Object(fields))) = first else {
            return Err(einval("command is not a JSON object"));
        };
        let prefix = fields.get("prefix").and_then(Value::as_str);
        let Some(prefix) = prefix.map(str::to_owned) else {
            return Err(einval("command prefix not found"));
        };
        Ok(Self { prefix, fields })
    }

    /// The command's words.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How the reply is to be rendered.
    #[must_use]
    pub fn format(&self) -> Format {
        Format::from_name(self.str("format").unwrap_or_default())
    }

    /// A string argument. An argument that is there but empty counts as absent.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.fields
            .get(name)
            .and_then(Value::as_str)
            .filter(|s| !s.is_empty())
    }

    /// A string argument that must be there.
    pub fn need(&self, name: &str) -> Result<&str, CommandError> {
        self.str(name)
            .ok_or_else(|| einval(format!("missing required parameter {name}")))
    }

    /// An argument of any simple type as text; unlike [`Args::str`] it may be empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.fields.get(name).filter(|v| !v.is_null()).map(text)
    }

    /// An integer argument, also one written as a string.
    pub fn int(&self, name: &str) -> Result<Option<i64>, CommandError> {
        let parsed = match self.fields.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(n)) => n.as_i64(),
            Some(Value::String(s)) if s.is_empty() => return Ok(None),
            Some(Value::String(s)) => s.parse().ok(),
            Some(_) => None,
        };
        parsed
            .map(Some)
            .ok_or_else(|| einval(format!("invalid value for {name}: not an integer")))
    }

    /// A number, also one written as a string.
    pub fn float(&self, name: &str) -> Result<Option<f64>, CommandError> {
        let parsed = match self.fields.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(n)) => n.as_f64(),
            Some(Value::String(s)) => s.parse().ok(),
            Some(_) => None,
        };
        parsed
            .filter(|v| v.is_finite())
            .map(Some)
            .ok_or_else(|| einval(format!("invalid value for {name}: not a number")))
    }

    /// Whether an option is given: true, or its text (`--yes-i-really-mean-it`) from older clients.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        match self.fields.get(name) {
            Some(Value::Bool(b)) => *b,
            Some(Value::String(s)) => s == "true" || *s == format!("--{}", name.replace('_', "-")),
            _ => false,
        }
    }

    /// A list argument; a single string is a list of one.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.fields.get(name) {
            Some(Value::Array(items)) => items.iter().map(text).collect(),
            Some(Value::String(s)) if !s.is_empty() => vec![s.clone()],
            _ => Vec::new(),
        }
    }

    /// `caps` as pairs of service and capability.
    pub fn caps(&self) -> Result<Vec<(String, String)>, CommandError> {
        let words = self.list("caps");
        if !words.len().is_multiple_of(2) {
            return Err(einval("bad capabilities request; odd number of arguments"));
        }
        Ok(words
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect())
    }

    /// The arguments as capabilities compare them: as text, and `caps` taken apart by service.
    #[must_use]
    pub fn for_caps(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != "prefix") {
            match (name.as_str(), self.caps()) {
                ("caps", Ok(caps)) => {
                    out.extend(caps.into_iter().map(|(k, v)| (format!("caps_{k}"), v)));
                }
                _ => {
                    out.insert(name.clone(), text(value));
                }
            }
        }
        out
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Args {
        Args::parse(&[text.to_owned()]).unwrap()
    }

    #[test]
    fn what_follows_the_object_is_ignored() {
        // As `rbd perf image iostat` 14.2.21 to 20.2.4 sends it.
        let a = parse(
            "{ \"prefix\": \"rbd perf image stats\", \"sort_by\": \"write_ops\", \"format\": \"json\" }\"",
        );
        assert_eq!(
            (a.prefix(), a.str("sort_by")),
            ("rbd perf image stats", Some("write_ops"))
        );
        for text in ["", "\"", "7", "[]", "{", "\" {}"] {
            assert!(Args::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_are_read_by_type_and_from_the_text_that_older_clients_send() {
        let a = parse(
            r#"{"prefix":"osd pool create","pg_num":8,"size":"2","yes_i_really_mean_it":"--yes-i-really-mean-it",
                "x":true,"who":["a","b"],"format":"json-pretty","ratio":0.5}"#,
        );
        assert_eq!((a.prefix(), a.format()), ("osd pool create", Format::JsonPretty));
        assert_eq!(
            (a.int("pg_num").unwrap(), a.int("size").unwrap()),
            (Some(8), Some(2))
        );
        assert_eq!(
            (a.int("none").unwrap(), a.float("ratio").unwrap()),
            (None, Some(0.5))
        );
        assert!(a.flag("yes_i_really_mean_it") && a.flag("x") && !a.flag("y"));
        assert_eq!(a.list("who"), ["a", "b"]);
        assert!(a.int("who").is_err());
    }

    #[test]
    fn caps_are_pairs_and_are_compared_by_service() {
        let a =
            parse(r#"{"prefix":"auth add","entity":"client.x","caps":["mon","allow r","osd","allow rw"]}"#);
        assert_eq!(a.caps().unwrap()[1], ("osd".to_owned(), "allow rw".to_owned()));
        assert_eq!(a.for_caps()["caps_mon"], "allow r");
        assert!(parse(r#"{"prefix":"auth add","caps":["mon"]}"#).caps().is_err());
    }

    #[test]
    fn what_is_not_a_command_is_refused() {
        for bad in ["", "[]", "{}", r#"{"prefix":1}"#, "{\"prefix\""] {
            assert!(Args::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
