//! How replies are rendered: plain text, JSON, indented JSON or XML (Ceph `src/common/Formatter.cc`).

use std::fmt::Write as _;

use serde_json::Value;

use super::xml;

/// What a command's `format` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text for people; values without such a text are indented JSON.
    #[default]
    Plain,
    /// JSON on one line.
    Json,
    /// JSON indented by four blanks.
    JsonPretty,
    /// XML on one line.
    Xml,
    /// XML indented by one blank.
    XmlPretty,
}

impl Format {
    /// The format of that name; unknown ones are plain, as in Ceph.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "json-pretty" => Self::JsonPretty,
            "xml" => Self::Xml,
            "xml-pretty" => Self::XmlPretty,
            _ => Self::Plain,
        }
    }

    /// Renders `value`. `root` is the name of XML's outermost element, see [`xml::render`].
    #[must_use]
    pub fn render(self, value: &Value, root: &str) -> String {
        match self {
            Self::Json => value.to_string(),
            Self::Plain | Self::JsonPretty => json_pretty(value),
            Self::Xml => xml::render(value, root, false),
            Self::XmlPretty => xml::render(value, root, true),
        }
    }
}

/// A number as Ceph prints floats: without a fraction where there is none.
#[must_use]
pub(super) fn float(v: f64) -> Value {
    if v.fract() == 0.0 && v.abs() < 1e15 {
        Value::from(v as i64)
    } else {
        Value::from(v)
    }
}

fn json_pretty(value: &Value) -> String {
    let mut out = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, indent);
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => value.to_string(),
    }
}

/// Bytes as people read them: `52 KiB`, `4.0 GiB` (`byte_u_t`, Ceph `src/include/types.h`).
#[must_use]
pub(super) fn bytes(v: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    scaled(v, 1024, &UNITS, " ")
}

/// Counts as people read them: `9`, `1.5k` (`si_u_t`).
#[must_use]
pub(super) fn count(v: u64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    scaled(v, 1000, &UNITS, "")
}

/// Exact multiples without a fraction; else as many decimals, up to two, as fit into seven characters.
fn scaled(v: u64, base: u64, units: &[&str; 7], gap: &str) -> String {
    let mut index = 0;
    let mut whole = v;
    let mut unit: u64 = 1;
    while whole >= base && index + 1 < units.len() {
        whole /= base;
        unit = unit.saturating_mul(base);
        index += 1;
    }
    let suffix = format!("{gap}{}", units[index]);
    if index == 0 || v.is_multiple_of(unit) {
        return format!("{}{suffix}", v / unit);
    }
    let value = v as f64 / unit as f64;
    let with = |decimals: usize| format!("{value:.decimals$}{suffix}");
    [2, 1]
        .into_iter()
        .map(with)
        .find(|text| text.len() <= 7)
        .unwrap_or_else(|| with(0))
}

/// One column of a [`table`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Text to the left, heading to the left.
    Left(&'static str),
    /// Values and heading to the right.
    Right(&'static str),
    /// Values to the right, heading to the left.
    HeadLeft(&'static str),
}

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Left(n) | Self::Right(n) | Self::HeadLeft(n) => n,
        }
    }
}

/// A table with two blanks between columns (Ceph `src/common/TextTable.cc`). Every row ends with a newline.
#[must_use]
pub(super) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| {
            let cells = rows.iter().filter_map(|r| r.get(i)).map(String::len);
            cells.max().unwrap_or(0).max(c.name().len())
        })
        .collect();
    let mut out = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = (&str, bool)>| {
        for (i, ((text, right), width)) in cells.zip(&widths).enumerate() {
            if i > 0 {
                out.push_str("  ");
            }
            let _ = if right {
                write!(out, "{text:>width$}")
            } else {
                write!(out, "{text:<width$}")
            };
        }
        out.push('\n');
    };
    line(&mut columns.iter().map(|c| (c.name(), matches!(c, Column::Right(_)))));
    for row in rows {
        line(
            &mut row
                .iter()
                .zip(columns)
                .map(|(text, c)| (text.as_str(), !matches!(c, Column::Left(_)))),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_read_as_ceph_prints_them() {
        for (v, text) in [
            (0, "0 B"),
            (156, "156 B"),
            (53589, "52 KiB"),
            (1916, "1.9 KiB"),
            (14052, "14 KiB"),
            (4_294_967_296, "4 GiB"),
            (4_294_913_707, "4.0 GiB"),
            (4_080_164_608, "3.8 GiB"),
            (1024, "1 KiB"),
        ] {
            assert_eq!(bytes(v), text);
        }
        assert_eq!(
            (count(9), count(1000), count(1500)),
            ("9".into(), "1k".into(), "1.50k".into())
        );
    }

    #[test]
    fn json_is_rendered_on_one_line_or_indented_by_four_and_keeps_its_order() {
        let value = json!({"z": 1, "a": [], "m": {"b": float(2.0), "c": 0.5}});
        assert_eq!(
            Format::Json.render(&value, "x"),
            r#"{"z":1,"a":[],"m":{"b":2,"c":0.5}}"#
        );
        assert_eq!(
            Format::from_name("json-pretty").render(&value, "x"),
            "{\n    \"z\": 1,\n    \"a\": [],\n    \"m\": {\n        \"b\": 2,\n        \"c\": 0.5\n    }\n}"
        );
    }

    #[test]
    fn xml_is_well_formed() {
        let value = json!({"pools": [{"name": "a<b"}], "removed ranks: ": ""});
        assert_eq!(
            Format::Xml.render(&value, "osdmap"),
            "<osdmap><pools><pool><name>a&lt;b</name></pool></pools><removed_ranks__></removed_ranks__></osdmap>"
        );
    }
}
