//! A command's signature: its words and parameters, in the syntax of Ceph's `src/mon/MonCommands.h`, and the
//! JSON that describes it to clients (`get_command_descriptions`, Ceph `src/common/cmdparse.cc`).

use encoding::features::{Feature, Features};
use serde_json::{Map, Value, json};

use super::commands::Handler;

/// The command exists on under another name; clients hide it (`FLAG(DEPRECATED)`).
pub const DEPRECATED: u32 = 1 << 2;
/// The command is of use to one daemon and sent with `ceph tell` (`FLAG(TELL)` and `FLAG(NOFORWARD)`).
pub const TELL: u32 = 1 << 5 | 1 << 0;

/// The command belongs to a module of the manager: clients send it there (`FLAG(MGR)`), so that what they may do is said by
/// their capabilities for the manager.
pub const MGR: u32 = 1 << 3;

/// A command: one row of the table.
#[derive(Clone, Copy)]
pub struct Command {
    /// Words, then parameters as `name=NAME,type=TYPE[,n=N][,req=false][,strings=A|B][,range=A|B]`.
    pub signature: &'static str,
    /// What it does, for `ceph --help`.
    pub help: &'static str,
    /// The service whose capabilities it asks for.
    pub module: &'static str,
    /// The permissions it asks for: letters of `rwx`.
    pub perm: &'static str,
    /// See [`DEPRECATED`], [`TELL`] and `MGR`.
    pub flags: u32,
    /// What runs it.
    pub handler: Handler,
}

/// Whether that word of a signature is a parameter.
fn is_parameter(word: &str) -> bool {
    word.contains('=')
}

impl Command {
    /// The words before the first parameter: what a request names as its prefix.
    #[must_use]
    pub fn prefix(&self) -> String {
        let words: Vec<_> = self
            .signature
            .split(' ')
            .take_while(|w| !is_parameter(w))
            .collect();
        words.join(" ")
    }

    /// The module of Ceph's manager that has the command; empty if the monitor or the manager itself has it.
    #[must_use]
    pub fn manager_module(&self) -> &'static str {
        const MODULES: [(&str, &str); 11] = [
            ("balancer", "balancer"),
            ("crash", "crash"),
            ("device", "devicehealth"),
            ("fs status", "status"),
            ("iostat", "iostat"),
            ("orch", "orchestrator"),
            ("osd pool autoscale-status", "pg_autoscaler"),
            ("osd status", "status"),
            ("progress", "progress"),
            ("rbd", "rbd_support"),
            ("telemetry", "telemetry"),
        ];
        let prefix = self.prefix();
        let of = |words: &str| {
            prefix == words
                || prefix
                    .strip_prefix(words)
                    .is_some_and(|rest| rest.starts_with(' '))
        };
        MODULES
            .iter()
            .find(|(words, _)| of(words))
            .map_or("", |(_, module)| module)
    }

    /// The keys and values of each parameter, sorted by key as Ceph sends them.
    pub(super) fn parameters(&self) -> impl Iterator<Item = Vec<(&'static str, &'static str)>> {
        self.signature.split(' ').filter(|w| is_parameter(w)).map(|w| {
            let mut fields: Vec<_> = w.split(',').filter_map(|kv| kv.split_once('=')).collect();
            fields.sort_unstable();
            fields
        })
    }

    /// The description for a client with those features.
    #[must_use]
    pub fn describe(&self, features: Features) -> Value {
        let mut signature: Vec<Value> = self
            .signature
            .split(' ')
            .take_while(|w| !is_parameter(w))
            .map(Value::from)
            .collect();
        signature.extend(
            self.parameters()
                .map(|p| Value::Object(describe_parameter(p, features))),
        );
        json!({
            "sig": signature,
            "help": self.help,
            "module": self.module,
            "perm": self.perm,
            "flags": self.flags,
        })
    }
}

fn describe_parameter(fields: Vec<(&'static str, &'static str)>, features: Features) -> Map<String, Value> {
    let mut out = Map::new();
    let boolean = fields.contains(&("type", "CephBool"));
    // Clients older than Nautilus know no CephBool: they are offered the option's text as the only choice.
    let as_choice = boolean && !features.has(Feature::SERVER_NAUTILUS);
    for (key, value) in &fields {
        let value = match *key {
            "type" if as_choice => Value::from("CephChoices"),
            "req" | "positional" if features.has(Feature::SERVER_QUINCY) => Value::from(*value == "true"),
            // Older clients take every parameter by place or by name.
            "positional" => continue,
            _ => Value::from(*value),
        };
        out.insert((*key).to_owned(), value);
    }
    if as_choice && let Some((_, name)) = fields.iter().find(|(key, _)| *key == "name") {
        let option = format!("--{}", name.replace('_', "-"));
        out.insert("strings".to_owned(), Value::from(option));
    }
    out
}

/// All commands as one JSON object, `cmd000` on.
#[must_use]
pub fn describe_all(commands: &[Command], features: Features) -> Value {
    let rows = commands
        .iter()
        .enumerate()
        .map(|(i, c)| (format!("cmd{i:03}"), c.describe(features)))
        .collect();
    Value::Object(rows)
}
