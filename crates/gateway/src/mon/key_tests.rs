//! Behaviours of commands about key types and keys that are replaced.

use std::sync::Arc;

use bytes::Bytes;
use encoding::features::{Feature, Features};
use msgr::cephx::{CryptoKey, KeyServer, KeyType};
use serde_json::{Value, json};

use super::{Asker, COMMANDS, CommandError, MonShared, Reply, describe_all, run};
use crate::cluster::{
    caps::{CommandCaps, CommandService},
    tests::cluster,
};

fn ask(shared: &MonShared, cmd: Value) -> Result<Reply, CommandError> {
    let asker = Asker {
        caps: Arc::new(CommandCaps::parse(CommandService::Mon, "allow *").unwrap()),
        features: Features::OURS,
        peer: None,
        entity: "client.test".to_owned(),
    };
    run(shared, &asker, &[cmd.to_string()], &Bytes::new())
}

fn text(shared: &MonShared, cmd: Value) -> String {
    String::from_utf8(ask(shared, cmd).unwrap().data.to_vec()).unwrap()
}

/// A key made by a command, by its type.
fn kind(shared: &MonShared, entity: &str) -> KeyType {
    shared.cluster().entity(entity).unwrap().key.kind()
}

#[test]
fn new_keys_are_of_the_type_asked_for_or_of_the_preferred_one() {
    let s = MonShared::new(cluster());
    let make = |entity: &str, kind: Option<&str>| {
        let mut cmd = json!({"prefix": "auth get-or-create", "entity": entity, "caps": ["mon", "allow r"]});
        if let Some(kind) = kind {
            cmd["key_type"] = kind.into();
        }
        ask(&s, cmd)
    };
    make("client.default", None).unwrap();
    make("client.a", Some("AES256K")).unwrap();
    make("client.b", Some("aes")).unwrap();
    assert_eq!(kind(&s, "client.default"), KeyType::AES);
    assert_eq!(kind(&s, "client.a"), KeyType::AES256KRB5);
    assert_eq!(kind(&s, "client.b"), KeyType::AES);
    let keyring = text(&s, json!({"prefix": "auth get", "entity": "client.a"}));
    assert!(keyring.contains("key = Ag"), "{keyring}");
    assert_eq!(
        make("client.c", Some("des")).unwrap_err().text,
        "invalid key type: des"
    );

    ask(
        &s,
        json!({"prefix": "mon set", "name": "auth_preferred_cipher", "value": "aes256k"}),
    )
    .unwrap();
    make("client.d", None).unwrap();
    ask(&s, json!({"prefix": "auth add", "entity": "client.e"})).unwrap();
    assert_eq!(kind(&s, "client.d"), KeyType::AES256KRB5);
    assert_eq!(kind(&s, "client.e"), KeyType::AES256KRB5);
    ask(
        &s,
        json!({"prefix": "mon set", "name": "auth_allowed_ciphers", "value": "aes256k"}),
    )
    .unwrap();
    let refused = make("client.f", Some("aes")).unwrap_err();
    assert_eq!(refused.code(), -22);
    assert!(
        refused.text.starts_with("refusing to create key with type (aes)"),
        "{refused}"
    );
    ask(&s, json!({"prefix": "config set", "who": "mon", "name": "mon_auth_allow_insecure_key", "value": "false"}))
        .unwrap();
    let refused = make("client.f", Some("aes")).unwrap_err();
    assert_eq!(
        refused.text,
        "creating key with insecure key type (\"aes\") not allowed"
    );
}

#[test]
fn ciphers_are_set_by_name() {
    let s = MonShared::new(cluster());
    let set = |name: &str, value: &str| ask(&s, json!({"prefix": "mon set", "name": name, "value": value}));
    assert_eq!(
        set("auth_service_cipher", "aes256k").unwrap().status,
        "already set"
    );
    assert_eq!(set("auth_service_cipher", "aes").unwrap().status, "");
    assert_eq!(s.cluster().ciphers().service_cipher, 1);
    set("auth_allowed_ciphers", "aes256k, aes").unwrap();
    assert_eq!(s.cluster().ciphers().allowed_ciphers, [1, 2]);
    for (name, value) in [
        ("auth_service_cipher", "none"),
        ("auth_allowed_ciphers", "aes,x"),
        ("x", "aes"),
    ] {
        assert_eq!(set(name, value).unwrap_err().code(), -22, "{name} {value}");
    }
}

#[test]
fn a_key_is_rotated_at_once_or_with_an_overlap() {
    let s = MonShared::new(cluster());
    ask(
        &s,
        json!({"prefix": "auth add", "entity": "client.x", "caps": ["mon", "allow r"]}),
    )
    .unwrap();
    let first = s.cluster().entity("client.x").unwrap().key;
    let rotated = text(
        &s,
        json!({"prefix": "auth rotate", "entity": "client.x", "key_type": "aes256k"}),
    );
    assert!(rotated.contains("caps mon = \"allow r\""), "{rotated}");
    let second = s.cluster().entity("client.x").unwrap().key;
    assert_ne!(first, second);
    assert_eq!(second.kind(), KeyType::AES256KRB5);

    let pending = json!({"prefix": "auth get-or-create-pending", "entity": "client.x", "format": "json"});
    let shown = text(&s, pending.clone());
    assert_eq!(text(&s, pending), shown, "made once");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let third = CryptoKey::from_base64(shown[0]["pending_key"].as_str().unwrap()).unwrap();
    assert_eq!(
        s.cluster().entity("client.x").unwrap().pending_key,
        Some(third.clone())
    );
    let keyring = text(&s, json!({"prefix": "auth get", "entity": "client.x"}));
    assert!(keyring.contains("\tpending key = "), "{keyring}");
    ask(&s, json!({"prefix": "auth commit-pending", "entity": "client.x"})).unwrap();
    let auth = s.cluster().entity("client.x").unwrap();
    assert_eq!((auth.key, auth.pending_key), (third, None));
    let none = ask(&s, json!({"prefix": "auth commit-pending", "entity": "client.x"})).unwrap();
    assert_eq!(none.status, "no pending key");
    ask(
        &s,
        json!({"prefix": "auth get-or-create-pending", "entity": "client.x"}),
    )
    .unwrap();
    ask(&s, json!({"prefix": "auth clear-pending", "entity": "client.x"})).unwrap();
    assert_eq!(s.cluster().entity("client.x").unwrap().pending_key, None);
    for words in [
        "rotate",
        "get-or-create-pending",
        "clear-pending",
        "commit-pending",
    ] {
        let missing = ask(
            &s,
            json!({"prefix": format!("auth {words}"), "entity": "client.no"}),
        );
        assert_eq!(missing.unwrap_err().code(), -2, "{words}");
    }
}

#[test]
fn wiping_service_keys_is_told_in_the_monitor_map() {
    let s = MonShared::new(cluster());
    let before = s.cluster().secrets();
    let reply = ask(&s, json!({"prefix": "auth wipe-rotating-service-keys"})).unwrap();
    assert_eq!(reply.status, "wiped rotating service keys!");
    assert_eq!(s.cluster().ciphers().auth_epoch, 1);
    assert_ne!(before, s.cluster().secrets());
}

#[test]
fn keys_are_told_of_by_type_and_age_and_not_themselves() {
    let s = MonShared::new(cluster());
    let caps = ["mon", "allow r"];
    ask(
        &s,
        json!({"prefix": "auth get-or-create", "entity": "client.a", "caps": caps, "key_type": "aes256k"}),
    )
    .unwrap();
    let plain = ask(&s, json!({"prefix": "auth dump-keys"})).unwrap_err();
    assert_eq!(
        (plain.code(), plain.text.as_str()),
        (
            -22,
            "format type \"plain\" not supported by this command; try json"
        )
    );
    let told = text(&s, json!({"prefix": "auth dump-keys", "format": "json"}));
    let secret = s.cluster().entity("client.a").unwrap().key.to_base64();
    assert!(!told.contains(secret.as_str()));
    let data = serde_json::from_str::<Value>(&told).unwrap()["data"].take();
    let a = data["secrets"].as_array().unwrap();
    let a = a.iter().find(|e| e["entity"]["id"] == "a").unwrap();
    assert_eq!(a["entity"]["type_str"], "client");
    assert_eq!(a["auth"]["key"]["type_str"], "aes256k");
    assert_eq!(a["auth"]["pending_key"]["type_str"], "none");
    assert_eq!(
        a["auth"]["caps"],
        json!([{"service_name": "mon", "access_spec": "allow r"}])
    );
    let rotating = data["rotating_secrets"].as_array().unwrap();
    assert_eq!(rotating.len(), 5);
    assert_eq!(rotating[0]["secrets"]["keys"].as_array().unwrap().len(), 3);
}

#[test]
fn the_key_type_is_no_positional_parameter_for_clients_that_know_the_difference() {
    let quincy = Features(Features::OURS.0 | Feature::SERVER_QUINCY.word().0);
    for (features, expected) in [(Features::OURS, None), (quincy, Some(json!(false)))] {
        let all = describe_all(COMMANDS, features);
        let add = all
            .as_object()
            .unwrap()
            .values()
            .find(|c| c["sig"][1] == "add")
            .unwrap();
        let parameter = add["sig"].as_array().unwrap().last().unwrap();
        assert_eq!(parameter["name"], "key_type");
        assert_eq!(parameter.get("positional"), expected.as_ref());
    }
}
