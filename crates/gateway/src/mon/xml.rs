//! Values as Ceph's XML formatter writes them (Ceph `src/common/Formatter.cc`): what is a list in JSON is elements there, whose names
//! JSON does not have.

use std::fmt::Write as _;

use serde_json::Value;

/// Names of elements by the root that they are under (empty: any), the object that their list is in (empty: any), and the list
/// (`*`: any). As Ceph names them, which follows no rule.
const ELEMENTS: &[(&str, &str, &str, &str)] = &[
    ("", "", "nodes", "item"),
    ("", "", "children", "child"),
    ("", "", "num_pg_by_state", "state"),
    ("", "", "addrvec", "addr"),
    ("", "always_on_modules", "*", "module"),
    ("", "", "always_on_modules", "module"),
    ("", "", "available_modules", "module"),
    ("", "", "active_clients", "client"),
    ("", "", "enabled_modules", "module"),
    ("", "", "disabled_modules", "module"),
    ("auth", "", "auth_dump", "auth_entities"),
    ("features", "", "mon", "group"),
    ("features", "", "mgr", "group"),
    ("features", "", "osd", "group"),
    ("features", "", "client", "group"),
    ("features", "", "supported", "bit_flag"),
    ("features", "", "persistent", "bit_flag"),
    ("features", "", "required", "bit_flag"),
    ("features", "", "optional", "bit_flag"),
    ("nodes", "mon", "*", "mon"),
    ("nodes", "mgr", "*", "mgr"),
    ("nodes", "osd", "*", "osd"),
    ("osd", "", "*", "osd"),
    ("pg_map", "", "up", "up_osd"),
    ("pg_map", "", "acting", "acting_osd"),
    ("", "", "up", "osd"),
    ("", "", "acting", "osd"),
    ("", "", "acting_recovery_backfill", "shard"),
    ("", "", "pool_statfs", "item"),
    ("", "", "osd_perf_infos", "osd"),
    ("monmap", "", "quorum", "mon"),
    ("osds", "", "state", "state"),
    ("osd_info", "", "state", "state"),
    ("osd_status", "", "*", "osd"),
];

/// The name of the elements of a list.
fn element_of<'a>(root: &str, parent: &str, list: &'a str) -> &'a str {
    let fits = |pattern: &str, name: &str| pattern.is_empty() || pattern == name;
    let found = ELEMENTS
        .iter()
        .find(|(r, p, l, _)| fits(r, root) && fits(p, parent) && (*l == "*" || *l == list));
    match found {
        Some((.., element)) => element,
        None => list.strip_suffix('s').filter(|n| !n.is_empty()).unwrap_or("item"),
    }
}

/// Writes elements, indented or not.
struct Writer<'a> {
    out: String,
    root: &'a str,
    /// The name of the elements of a list that is the root itself.
    of_root: Option<&'a str>,
    pretty: bool,
}

impl Writer<'_> {
    fn pad(&mut self, depth: usize) {
        if self.pretty {
            self.out.extend(std::iter::repeat_n(' ', depth));
        }
    }

    fn newline(&mut self) {
        if self.pretty {
            self.out.push('\n');
        }
    }

    fn element(&mut self, parent: &str, name: &str, value: &Value, depth: usize) {
        let clean = xml_name(name);
        self.pad(depth);
        // Writing to a text cannot fail.
        let _ = write!(self.out, "<{clean}>");
        match value {
            Value::Object(fields) => {
                self.newline();
                for (key, field) in fields {
                    self.element(name, key, field, depth + 1);
                }
                self.pad(depth);
            }
            Value::Array(items) => {
                self.newline();
                let element = match self.of_root {
                    Some(element) if depth == 0 => element,
                    _ => element_of(self.root, parent, name),
                };
                for item in items {
                    self.element(name, element, item, depth + 1);
                }
                self.pad(depth);
            }
            Value::String(text) => self.out.push_str(&xml_escape(text)),
            Value::Null => {}
            other => {
                let _ = write!(self.out, "{other}");
            }
        }
        let _ = write!(self.out, "</{clean}>");
        self.newline();
    }
}

/// The value as an element `root`. `root` is a name, or two with a slash between them: then the second is the name of the elements of
/// the list that the value is.
pub(super) fn render(value: &Value, root: &str, pretty: bool) -> String {
    let (root, of_root) = match root.split_once('/') {
        Some((root, element)) => (root, Some(element)),
        None => (root, None),
    };
    let mut writer = Writer {
        out: String::new(),
        root,
        of_root,
        pretty,
    };
    writer.element("", root, value, 0);
    writer.out
}

fn xml_name(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_-.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    match clean.chars().next() {
        Some(c) if c.is_ascii_alphabetic() || c == '_' => clean,
        _ => format!("_{clean}"),
    }
}

fn xml_escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_have_elements_with_the_names_that_ceph_gives_them() {
        let text = |value, root| render(&value, root, false);
        assert_eq!(
            text(json!({"up": [0]}), "osd_map"),
            "<osd_map><up><osd>0</osd></up></osd_map>"
        );
        assert_eq!(
            text(json!({"up": [0]}), "pg_map"),
            "<pg_map><up><up_osd>0</up_osd></up></pg_map>"
        );
        assert_eq!(
            text(json!(["a"]), "pools/pool_name"),
            "<pools><pool_name>a</pool_name></pools>"
        );
        assert_eq!(
            text(json!({"mon": {"vm": ["a"]}}), "nodes"),
            "<nodes><mon><vm><mon>a</mon></vm></mon></nodes>"
        );
        assert_eq!(
            text(json!({"snaps": [1]}), "x"),
            "<x><snaps><snap>1</snap></snaps></x>"
        );
    }

    #[test]
    fn names_and_texts_are_made_fit_for_xml() {
        let value = json!({"1 a": "<&>"});
        assert_eq!(render(&value, "x", false), "<x><_1_a>&lt;&amp;&gt;</_1_a></x>");
    }
}
