//! The part of `docs/compatibility.md` that is made from the tables in the code, so that it cannot drift.

use std::{collections::BTreeMap, fmt::Write as _};

use encoding::types::OpCode;

use crate::{
    mon::COMMANDS,
    osd::{PG_OPS, SUPPORTED_OPS},
};

/// Where the generated part begins and ends in the page.
pub const BEGIN: &str = "<!-- generated: begin -->";
/// See [`BEGIN`].
pub const END: &str = "<!-- generated: end -->";

/// The generated part: ops, class methods and commands.
#[must_use]
pub fn render() -> String {
    let mut out = String::new();
    ops(&mut out);
    classes(&mut out);
    commands(&mut out);
    out
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

fn ops(out: &mut String) {
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for op in OpCode::ALL {
        let list = if SUPPORTED_OPS.contains(op) || PG_OPS.contains(op) {
            &mut there
        } else {
            &mut missing
        };
        list.push(format!("`{op}`"));
    }
    line!(out, "### Ops on objects\n");
    line!(out, "There: {}.\n", there.join(", "));
    line!(out, "Missing, answered EOPNOTSUPP: {}.\n", missing.join(", "));
}

fn classes(out: &mut String) {
    let mut classes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for method in cls::table() {
        classes
            .entry(method.class)
            .or_default()
            .push(format!("`{}`", method.name));
    }
    line!(out, "### Object classes\n");
    line!(out, "Methods of other classes are answered EOPNOTSUPP.\n");
    for (class, methods) in classes {
        line!(out, "- **{class}** ({}): {}", methods.len(), methods.join(", "));
    }
    line!(out, "");
}

fn commands(out: &mut String) {
    line!(out, "### Commands\n");
    line!(out, "Others are answered EINVAL at once.\n");
    line!(out, "| command | what it does |\n|---|---|");
    let mut rows: Vec<_> = COMMANDS.iter().map(|c| (c.prefix(), c.help)).collect();
    rows.sort_unstable();
    rows.dedup();
    for (prefix, help) in rows {
        line!(out, "| `{prefix}` | {} |", help.replace('|', "\\|"));
    }
}
