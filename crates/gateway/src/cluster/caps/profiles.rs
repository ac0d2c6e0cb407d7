//! What the named profiles of monitor and manager capabilities grant.

use std::collections::BTreeMap;

use super::command::{ALL, Constraint, R, Rule, Subject, W};

/// An address with its nonce: one client instance, never a whole host.
const ONE_CLIENT: &str = "[^/]+/[0-9]+";

fn service(name: &str, allow: u8) -> Rule {
    Rule::new(Subject::Service(name.to_owned()), allow)
}

fn command(name: &str) -> Rule {
    Rule::new(Subject::Command(name.to_owned()), ALL)
}

fn read_services(names: &[&str]) -> Vec<Rule> {
    names.iter().map(|n| service(n, R)).collect()
}

/// What lets a client shut out the dead owner of an exclusive lock, under the command's two names.
fn blocklist_one_client() -> [Rule; 2] {
    ["blocklist", "blacklist"].map(|word| {
        command(&format!("osd {word}"))
            .with(&format!("{word}op"), Constraint::Equal("add".to_owned()))
            .with("addr", Constraint::pattern(ONE_CLIENT))
    })
}

/// The monitor's profiles for clients and operators. Those of daemons (mon, osd, mds, mgr and the bootstrap
/// ones) grant nothing: no foreign daemon joins this cluster.
pub(super) fn mon(name: &str) -> Vec<Rule> {
    match name {
        "read-only" => vec![Rule::new(Subject::Everything, R)],
        "read-write" => vec![Rule::new(Subject::Everything, R | W)],
        "fs-client" => read_services(&["mon", "mds", "osd", "pg"]),
        "simple-rados-client" => read_services(&["mon", "osd", "pg"]),
        "simple-rados-client-with-blocklist" => {
            let mut rules = read_services(&["mon", "osd", "pg"]);
            rules.extend(blocklist_one_client().into_iter().take(1));
            rules
        }
        "crash" => read_services(&["mon"]),
        "role-definer" => vec![service("mon", R), service("auth", ALL)],
        _ if name.starts_with("rbd") => rbd(name),
        _ => Vec::new(),
    }
}

fn rbd(name: &str) -> Vec<Rule> {
    let mut rules = read_services(&["mon", "osd", "pg"]);
    rules.extend(blocklist_one_client());
    let prefix = |text: &str| Constraint::Prefix(text.to_owned());
    match name {
        "rbd-mirror" => rules.push(command("config-key get").with("key", prefix("rbd/mirror/"))),
        "rbd-mirror-peer" => {
            let any_site = Constraint::pattern("rbd/mirror/[^/]+");
            rules.push(command("config-key get").with("key", any_site));
            rules.push(command("config-key set").with("key", prefix("rbd/mirror/peer/")));
        }
        _ => {}
    }
    rules
}

/// The manager's profiles. `constraints` limit the arguments of what is granted.
pub(super) fn mgr(name: &str, mut constraints: BTreeMap<String, Constraint>) -> Vec<Rule> {
    match name {
        "read-only" => vec![Rule::new(Subject::Everything, R)],
        "read-write" => vec![Rule::new(Subject::Everything, R | W)],
        "crash" => vec![command("crash post")],
        "rbd" | "rbd-read-only" => {
            constraints.retain(|key, _| key == "pool" || key == "namespace");
            let allow = if name == "rbd" { R | W } else { R };
            let mut rule = Rule::new(Subject::Module("rbd_support".to_owned()), allow);
            rule.constraints = constraints;
            vec![rule]
        }
        _ => Vec::new(),
    }
}
