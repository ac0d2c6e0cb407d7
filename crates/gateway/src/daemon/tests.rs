use super::*;
use crate::cluster::{ALLOW_DELETE, tests::cluster};

fn ask(cluster: &Cluster, name: &str, request: &Value) -> Result<Value, CommandError> {
    let daemon = Daemon {
        cluster,
        name,
        sessions: 0,
    };
    let args = Args::parse(&[request.to_string()]).unwrap();
    run(&daemon, &args)
        .expect("the command is there")
        .map(|reply| serde_json::from_slice(&reply.data).unwrap())
}

#[test]
fn options_of_one_daemon_are_set_for_it_alone_until_they_are_unset() {
    let cluster = cluster();
    let get = json!({"prefix": "config get", "var": "mon_allow_pool_delete"});
    let set = json!({"prefix": "config set", "var": "mon-allow-pool-delete", "val": ["no"]});
    assert_eq!(
        ask(&cluster, "mon.a", &set).unwrap()["success"],
        "mon_allow_pool_delete = 'false' "
    );
    assert_eq!(
        ask(&cluster, "mon.a", &get).unwrap(),
        json!({"mon_allow_pool_delete": "false"})
    );
    assert_eq!(
        ask(&cluster, "osd.0", &get).unwrap(),
        json!({"mon_allow_pool_delete": "true"})
    );
    assert!(!cluster.option_bool(ALLOW_DELETE));
    let diff = ask(&cluster, "mon.a", &json!({"prefix": "config diff"})).unwrap();
    assert_eq!(diff["diff"]["mon_allow_pool_delete"]["final"], "false");
    ask(
        &cluster,
        "mon.a",
        &json!({"prefix": "config unset", "var": "mon_allow_pool_delete"}),
    )
    .unwrap();
    assert!(cluster.option_bool(ALLOW_DELETE));
}

#[test]
fn injected_arguments_take_effect_all_or_none() {
    let cluster = cluster();
    let inject = |words: &[&str]| {
        ask(
            &cluster,
            "mon.a",
            &json!({"prefix": "injectargs", "injected_args": words}),
        )
    };
    assert!(inject(&["--mon_allow_pool_delete=false --no_such_option 1"]).is_err());
    assert!(cluster.option_bool(ALLOW_DELETE));
    assert_eq!(inject(&["--mon-allow-pool-delete false"]).unwrap(), json!({}));
    assert!(!cluster.option_bool(ALLOW_DELETE));
    assert!(inject(&["nonsense"]).is_err());
}

#[test]
fn every_counter_has_a_schema() {
    let cluster = cluster();
    let dump = ask(&cluster, "osd.0", &json!({"prefix": "perf dump"})).unwrap();
    let schema = ask(&cluster, "osd.0", &json!({"prefix": "perf schema"})).unwrap();
    for (section, counters) in dump.as_object().unwrap() {
        for name in counters.as_object().unwrap().keys() {
            assert!(schema[section][name]["type"].is_u64(), "{section}.{name}");
        }
    }
    let one = ask(
        &cluster,
        "osd.0",
        &json!({"prefix": "perf dump", "logger": "cluster"}),
    )
    .unwrap();
    assert_eq!(one.as_object().unwrap().len(), 1);
}

#[test]
fn counters_of_a_logger_begin_anew_and_one_that_is_not_there_is_told() {
    let cluster = cluster();
    let reset = |name: &str| ask(&cluster, "osd.0", &json!({"prefix": "perf reset", "var": name})).unwrap();
    assert_eq!(reset("all"), json!({"success": "perf reset all"}));
    assert_eq!(reset("osd"), json!({"success": "perf reset osd"}));
    assert_eq!(reset("nobody"), json!({"error": "Not find: nobody"}));
}

#[test]
fn memory_is_told_by_pool_and_in_sum() {
    let cluster = cluster();
    let dump = ask(&cluster, "osd.0", &json!({"prefix": "dump_mempools"})).unwrap();
    let pools = dump["mempool"]["by_pool"].as_object().unwrap();
    assert_eq!(pools.len(), 29);
    let sum: u64 = pools.values().map(|p| p["bytes"].as_u64().unwrap()).sum();
    assert_eq!(dump["mempool"]["total"]["bytes"], sum);
    assert!(pools["osdmap"]["bytes"].as_u64().unwrap() > 100, "{dump}");
}
