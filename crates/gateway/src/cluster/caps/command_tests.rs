//! What monitor and manager capabilities grant, by table.

use super::*;

fn allowed(service: CommandService, caps: &str, of: &str, command: &str, args: &str, want: &str) -> bool {
    let args = args
        .split_whitespace()
        .filter_map(|kv| kv.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    CommandCaps::parse(service, caps).unwrap().allows(&CommandAccess {
        service: of,
        module: if service == CommandService::Mgr { of } else { "" },
        command,
        args: &args,
        read: want.contains('r'),
        write: want.contains('w'),
        exec: want.contains('x'),
        peer: Some(IpAddr::from([10, 0, 0, 1])),
    })
}

#[test]
fn a_monitor_command_is_granted_as_the_grammar_says() {
    const BLOCKLIST: &str = "blocklistop=add addr=10.0.0.1:0/123";
    let table: &[(&str, &str, &str, &str, &str, bool)] = &[
        // caps, service, command, arguments, wanted, granted
        ("allow *", "auth", "auth get", "", "rx", true),
        ("allow *", "config-key", "config-key get", "", "r", true),
        ("allow rwx", "config-key", "config-key get", "", "r", false),
        ("", "mon", "status", "", "r", false),
        ("allow r", "mon", "status", "", "r", true),
        ("allow r", "osd", "osd pool create", "", "rw", false),
        ("allow r", "auth", "auth get", "", "rx", false),
        ("allow rw", "osd", "osd pool create", "", "rw", true),
        ("allow service osd r", "osd", "osd dump", "", "r", true),
        ("allow service osd r", "mon", "mon dump", "", "r", false),
        (
            "allow service=osd r, allow service mon r",
            "mon",
            "mon dump",
            "",
            "r",
            true,
        ),
        (
            "allow r, allow command \"osd blacklist\"",
            "osd",
            "osd blacklist",
            "",
            "rw",
            true,
        ),
        (
            "allow command \"auth get\" with entity=client.a",
            "auth",
            "auth get",
            "entity=client.a",
            "rx",
            true,
        ),
        (
            "allow command \"auth get\" with entity=client.a",
            "auth",
            "auth get",
            "entity=client.b",
            "rx",
            false,
        ),
        (
            "allow command \"auth get\" with entity=client.a",
            "auth",
            "auth get",
            "",
            "rx",
            false,
        ),
        (
            "allow command foo with k prefix ab",
            "x",
            "foo",
            "k=abc",
            "r",
            true,
        ),
        (
            "allow command foo with k regex \"[0-9]+\"",
            "x",
            "foo",
            "k=12",
            "r",
            true,
        ),
        (
            "allow command foo with k regex \"[0-9]+\"",
            "x",
            "foo",
            "k=12a",
            "r",
            false,
        ),
        ("profile rbd", "mon", "", "", "r", true),
        ("profile rbd", "osd", "osd dump", "", "r", true),
        ("profile rbd", "osd", "osd blocklist", BLOCKLIST, "rw", true),
        (
            "profile rbd",
            "osd",
            "osd blocklist",
            "blocklistop=rm addr=10.0.0.1:0/1",
            "rw",
            false,
        ),
        (
            "profile rbd",
            "osd",
            "osd blocklist",
            "blocklistop=add addr=10.0.0.1",
            "rw",
            false,
        ),
        ("profile rbd", "osd", "osd pool create", "", "rw", false),
        ("allow profile rbd-read-only", "osd", "osd dump", "", "r", true),
        ("profile simple-rados-client", "osd", "osd dump", "", "r", true),
        ("profile role-definer", "auth", "auth add", "", "rwx", true),
        ("profile read-only", "mon", "status", "", "r", true),
        ("profile nobody-knows", "mon", "status", "", "r", false),
        ("allow * network 10.0.0.0/8", "mon", "status", "", "r", true),
        ("allow * network 11.0.0.0/8", "mon", "status", "", "r", false),
        ("allow r fsname=a", "mon", "status", "", "r", true),
    ];
    for (caps, of, command, args, want, granted) in table {
        assert_eq!(
            allowed(CommandService::Mon, caps, of, command, args, want),
            *granted,
            "{caps:?}: {command:?} {args} {want}"
        );
    }
}

#[test]
fn a_manager_command_is_granted_as_the_grammar_says() {
    let table: &[(&str, &str, &str, &str, &str, bool)] = &[
        ("allow *", "rbd_support", "rbd task list", "", "r", true),
        ("allow r", "osd", "pg stat", "", "r", true),
        (
            "profile rbd",
            "rbd_support",
            "rbd task add flatten",
            "",
            "w",
            true,
        ),
        (
            "profile rbd-read-only",
            "rbd_support",
            "rbd task add flatten",
            "",
            "w",
            false,
        ),
        (
            "profile rbd pool=a",
            "rbd_support",
            "rbd task list",
            "",
            "r",
            true,
        ),
        ("profile rbd", "osd", "pg stat", "", "r", false),
        (
            "allow module rbd_support r",
            "rbd_support",
            "rbd task list",
            "",
            "r",
            true,
        ),
        (
            "allow module rbd_support with pool=a r",
            "rbd_support",
            "",
            "pool=b",
            "r",
            false,
        ),
        ("profile osd", "osd", "pg stat", "", "r", false),
    ];
    for (caps, of, command, args, want, granted) in table {
        assert_eq!(
            allowed(CommandService::Mgr, caps, of, command, args, want),
            *granted,
            "{caps:?}: {command:?} {args} {want}"
        );
    }
}

#[test]
fn what_does_not_follow_the_grammar_is_refused() {
    for bad in [
        "allow",
        "allow q",
        "deny *",
        "allow command",
        "allow service osd",
        "allow module x r",
    ] {
        assert!(CommandCaps::parse(CommandService::Mon, bad).is_err(), "{bad}");
    }
}
