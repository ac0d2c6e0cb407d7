//! Behaviours of the commands, and their shapes against those of a real monitor (`testdata/README.md`).

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use encoding::features::{Feature, Features};
use serde_json::{Value, json};

use super::{Asker, COMMANDS, CommandError, MonShared, Reply, describe_all, run};
use crate::cluster::{
    caps::{CommandCaps, CommandService},
    tests::cluster,
};

fn asker(caps: &str) -> Asker {
    Asker {
        caps: Arc::new(CommandCaps::parse(CommandService::Mon, caps).unwrap()),
        features: Features::OURS,
        peer: None,
        entity: "client.test".to_owned(),
    }
}

fn ask(shared: &MonShared, caps: &str, cmd: &Value) -> Result<Reply, CommandError> {
    run(shared, &asker(caps), &[cmd.to_string()], &Bytes::new())
}

/// The answer of a command that must succeed, as text.
fn text(shared: &MonShared, cmd: Value) -> String {
    let reply = ask(shared, "allow *", &cmd).unwrap();
    String::from_utf8(reply.data.to_vec()).unwrap()
}

fn shared() -> Arc<MonShared> {
    MonShared::new(cluster())
}

#[test]
fn a_ping_is_answered_with_health_and_status() {
    let shared = shared();
    let answer = super::commands::pong(&super::Context {
        mon: &shared,
        args: &super::Args::default(),
        input: &Bytes::new(),
        format: super::Format::default(),
        features: Features::OURS,
        asker: &asker("allow *"),
    });
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["health"]["status"], "HEALTH_OK");
    assert_eq!(answer["mon_status"]["state"], "leader");
}

#[test]
fn a_monitor_map_that_is_not_kept_is_enoent() {
    let error = ask(
        &shared(),
        "allow *",
        &json!({"prefix": "mon dump", "epoch": 1000}),
    )
    .unwrap_err();
    assert_eq!(error.code(), -2);
}

#[test]
fn commands_are_told_in_the_log_but_secrets_are_not() {
    let shared = shared();
    text(&shared, json!({"prefix": "osd set", "key": "noout"}));
    text(
        &shared,
        json!({"prefix": "config-key set", "key": "k", "val": "secret"}),
    );
    let all = text(
        &shared,
        json!({"prefix": "log last", "num": 100, "level": "debug", "channel": "audit"}),
    );
    assert!(all.contains("osd set"), "{all}");
    assert!(!all.contains("secret"), "{all}");
}

#[test]
fn options_are_dumped_from_general_to_special() {
    let shared = shared();
    for who in ["client.1", "client", "osd", "global"] {
        text(
            &shared,
            json!({"prefix": "config set", "who": who, "name": "rbd_cache", "value": "false"}),
        );
    }
    let all = text(&shared, json!({"prefix": "config dump", "format": "json"}));
    let all: Value = serde_json::from_str(&all).unwrap();
    let sections: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|option| &option["section"])
        .collect();
    assert_eq!(sections, ["global", "osd", "client", "client.1"]);
}

#[test]
fn osds_are_marked_down_by_id_or_all_at_once() {
    let shared = shared();
    let status = |ids: Value| ask(&shared, "allow *", &json!({"prefix": "osd down", "ids": ids}));
    assert_eq!(
        status(json!(["0", "7"])).unwrap().status,
        "marked down osd.0. osd.7 does not exist. "
    );
    assert_eq!(status(json!(["all"])).unwrap().status, "marked down osd.0. ");
    assert_eq!(status(json!(["x"])).unwrap_err().code(), -22);
}

fn golden(name: &str) -> Value {
    let path = format!("{}/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The paths of all fields; of lists only the first element counts. Below a path in `open` keys are data.
fn shape(value: &Value, path: &str, open: &[&str], out: &mut Vec<String>) {
    match value {
        _ if open.contains(&path) => out.push(path.to_owned()),
        Value::Object(fields) => {
            for (key, field) in fields {
                shape(field, &format!("{path}/{key}"), open, out);
            }
        }
        Value::Array(items) => {
            if let Some(first) = items.first() {
                shape(first, &format!("{path}[]"), open, out);
            }
        }
        Value::Null => out.push(format!("{path} null")),
        _ => out.push(path.to_owned()),
    }
}

#[test]
fn json_has_the_fields_that_a_real_monitor_answers_in_their_order() {
    let shared = shared();
    let pool = shared.cluster().osdmap().pool_by_name("rbd").unwrap();
    shared.cluster().create_snap(pool).unwrap();
    // Name of the golden, command, paths below which keys are data.
    let table: &[(&str, Value, &[&str])] = &[
        ("fsid", json!({"prefix": "fsid"}), &[]),
        (
            "status",
            json!({"prefix": "status"}),
            &["/health", "/mgrmap/modules", "/pgmap"],
        ),
        ("df", json!({"prefix": "df"}), &["/stats_by_class"]),
        (
            "df-detail",
            json!({"prefix": "df", "detail": "detail"}),
            &["/stats_by_class"],
        ),
        ("osd-stat", json!({"prefix": "osd stat"}), &[]),
        ("osd-tree", json!({"prefix": "osd tree"}), &[]),
        ("osd-df", json!({"prefix": "osd df"}), &[]),
        ("osd-find-0", json!({"prefix": "osd find", "id": 0}), &[]),
        ("osd-perf", json!({"prefix": "osd perf"}), &[]),
        ("osd-lspools", json!({"prefix": "osd lspools"}), &[]),
        ("osd-getmaxosd", json!({"prefix": "osd getmaxosd"}), &[]),
        ("osd-pool-ls", json!({"prefix": "osd pool ls"}), &[]),
        ("osd-pool-stats", json!({"prefix": "osd pool stats"}), &[]),
        ("osd-utilization", json!({"prefix": "osd utilization"}), &[]),
        (
            "osd-dump",
            json!({"prefix": "osd dump"}),
            &[
                "/blocklist",
                "/erasure_code_profiles",
                "/new_purged_snaps",
                "/flags_set",
            ],
        ),
        (
            "osd-pool-ls-detail",
            json!({"prefix": "osd pool ls", "detail": "detail"}),
            &[],
        ),
        (
            "osd-pool-get-rbd-all",
            json!({"prefix": "osd pool get", "pool": "rbd", "var": "all"}),
            &[],
        ),
        (
            "osd-map-rbd-obj1",
            json!({"prefix": "osd map", "pool": "rbd", "object": "obj1"}),
            &[],
        ),
        (
            "osd-crush-rule-dump",
            json!({"prefix": "osd crush rule dump"}),
            &[],
        ),
        ("mon-stat", json!({"prefix": "mon stat"}), &[]),
        ("mon-dump", json!({"prefix": "mon dump"}), &[]),
        ("quorum_status", json!({"prefix": "quorum_status"}), &[]),
        ("mgr-stat", json!({"prefix": "mgr stat"}), &[]),
        ("node-ls", json!({"prefix": "node ls"}), &[]),
        ("pg-stat", json!({"prefix": "pg stat"}), &[]),
        ("time-sync-status", json!({"prefix": "time-sync-status"}), &[]),
        ("features", json!({"prefix": "features"}), &["/client"]),
    ];
    for (name, cmd, open) in table {
        let mut cmd = cmd.clone();
        cmd["format"] = json!("json");
        let ours: Value = serde_json::from_str(&text(&shared, cmd)).unwrap();
        let (mut want, mut got) = (Vec::new(), Vec::new());
        shape(&golden(&format!("pacific-cli/{name}")), "", open, &mut want);
        shape(&ours, "", open, &mut got);
        // Which options a pool has differs.
        got.retain(|p| !p.contains("/options/"));
        want.retain(|p| !p.contains("/options/"));
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn commands_have_the_parameters_that_a_real_monitor_describes() {
    let real = golden("pacific-commands");
    for command in COMMANDS {
        let prefix = command.prefix();
        let Some(real) = real.get(&prefix) else {
            continue;
        };
        assert_eq!(command.perm, real["perm"], "{prefix}");
        assert_eq!(command.module, real["module"], "{prefix}");
        let ours: Vec<[&str; 4]> = command
            .parameters()
            .map(|p| {
                let p: BTreeMap<_, _> = p.into_iter().collect();
                let get = |key: &str, default| p.get(key).copied().unwrap_or(default);
                [
                    get("name", ""),
                    get("type", ""),
                    get("req", "true"),
                    get("n", "1"),
                ]
            })
            // Of a later release than the recording.
            .filter(|p| p[0] != "key_type")
            .collect();
        assert_eq!(json!(ours), fixed(real["parameters"].clone()), "{prefix}");
    }
}

/// One parameter is described with a misspelt `req`, which clients read as required.
fn fixed(mut parameters: Value) -> Value {
    for p in parameters.as_array_mut().unwrap() {
        if p[2] == "fasle" {
            p[2] = json!("false");
        }
    }
    parameters
}

#[test]
fn prefixes_are_unique() {
    let mut seen = std::collections::BTreeSet::new();
    for command in COMMANDS {
        assert!(seen.insert(command.prefix()), "{}", command.prefix());
    }
}

#[test]
fn descriptions_suit_the_client_s_release() {
    let of = |features: Features| {
        let all = describe_all(COMMANDS, features);
        let mut rows = all.as_object().unwrap().values();
        let row = rows
            .find(|r| r["sig"][2] == "rm" && r["sig"][1] == "pool")
            .unwrap()
            .clone();
        row["sig"][5].clone()
    };
    assert_eq!(
        of(Features::OURS),
        json!({"name": "yes_i_really_really_mean_it", "req": "false", "type": "CephBool"})
    );
    let mimic = Features(Features::OURS.0 & !(1 << 2));
    assert!(!mimic.has(Feature::SERVER_NAUTILUS));
    assert_eq!(of(mimic)["strings"], "--yes-i-really-really-mean-it");
    let quincy = Features(Features::OURS.0 | 1 << 33);
    assert_eq!(of(quincy)["req"], json!(false));
}

#[test]
fn capabilities_decide_over_commands() {
    let shared = shared();
    let code = |caps: &str, cmd: Value| ask(&shared, caps, &cmd).map_or_else(|e| e.code(), |_| 0);
    let create = json!({"prefix": "osd pool create", "pool": "p", "pg_num": 8});
    assert_eq!(code("profile rbd", create.clone()), -13);
    assert_eq!(code("profile rbd", json!({"prefix": "status"})), 0);
    assert_eq!(
        code("allow r", json!({"prefix": "auth get", "entity": "client.admin"})),
        -13
    );
    assert_eq!(code("", json!({"prefix": "get_command_descriptions"})), 0);
    assert_eq!(code("allow rw", create), 0);
    let blocklist = json!({"prefix": "osd blocklist", "blocklistop": "add", "addr": "10.0.0.1:0/7"});
    assert_eq!(code("profile rbd", blocklist), 0);
}

#[test]
fn unknown_and_malformed_commands_are_answered_at_once() {
    let shared = shared();
    let code = |cmd: Value| ask(&shared, "allow *", &cmd).unwrap_err();
    assert_eq!(code(json!({"prefix": "frobnicate"})).text, "command not known");
    assert_eq!(code(json!({"prefix": "osd pool get", "pool": "rbd"})).code(), -22);
    assert_eq!(
        code(json!({"prefix": "osd pool get", "pool": "none", "var": "size"})).code(),
        -2
    );
    assert_eq!(code(json!([])).code(), -22);
}

#[test]
fn a_pool_is_deleted_only_by_who_means_it() {
    let shared = shared();
    let delete = |cmd: Value| ask(&shared, "allow *", &cmd).map_err(|e| e.code());
    let full =
        json!({"prefix": "osd pool rm", "pool": "rbd", "pool2": "rbd", "yes_i_really_really_mean_it": true});
    assert_eq!(
        delete(json!({"prefix": "osd pool rm", "pool": "rbd"})).unwrap_err(),
        -1
    );
    assert_eq!(
        delete(json!({"prefix": "osd pool rm", "pool": "rbd", "pool2": "rbd"})).unwrap_err(),
        -1
    );
    let option =
        json!({"prefix": "config set", "who": "mon", "name": "mon_allow_pool_delete", "value": "false"});
    ask(&shared, "allow *", &option).unwrap();
    assert_eq!(delete(full.clone()).unwrap_err(), -1);
    let option = json!({"prefix": "config rm", "who": "mon", "name": "mon_allow_pool_delete"});
    ask(&shared, "allow *", &option).unwrap();
    assert_eq!(delete(full.clone()).unwrap().status, "pool 'rbd' removed");
    assert_eq!(delete(full).unwrap().status, "pool 'rbd' does not exist");
}

#[test]
fn keys_are_made_shown_and_removed() {
    let shared = shared();
    let make = json!({"prefix": "auth get-or-create", "entity": "client.x", "caps": ["mon", "profile rbd"]});
    let keyring = text(&shared, make.clone());
    assert!(keyring.starts_with("[client.x]\n\tkey = AQ"), "{keyring}");
    assert_eq!(text(&shared, make), keyring, "made once");
    let key = text(&shared, json!({"prefix": "auth get-key", "entity": "client.x"}));
    assert!(keyring.ends_with(&format!("{key}\n")) && !key.ends_with('\n'));
    let other = json!({"prefix": "auth get-or-create", "entity": "client.x", "caps": ["mon", "allow *"]});
    assert_eq!(ask(&shared, "allow *", &other).unwrap_err().code(), -22);
    ask(
        &shared,
        "allow *",
        &json!({"prefix": "auth rm", "entity": "client.x"}),
    )
    .unwrap();
    let gone = ask(
        &shared,
        "allow *",
        &json!({"prefix": "auth get", "entity": "client.x"}),
    );
    assert_eq!(gone.unwrap_err().code(), -2);
}

#[test]
fn every_command_answers_in_every_format_without_arguments() {
    let shared = shared();
    for command in COMMANDS {
        for format in ["plain", "json", "json-pretty", "xml", "xml-pretty"] {
            let cmd = json!({"prefix": command.prefix(), "format": format});
            // Whatever it answers, it answers.
            let _ = ask(&shared, "allow *", &cmd);
        }
    }
}
