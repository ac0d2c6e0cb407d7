//! Every input of the corpora, and every one that a fuzzer found and somebody kept, without a fuzzer.

use std::panic::catch_unwind;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for folder in ["corpus", "artifacts"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder).join(target)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            count += 1;
            assert!(catch_unwind(|| run(&input)).is_ok(), "{} fails", path.display());
            // Cut off anywhere, and with one byte changed.
            for cut in (0..input.len()).step_by(1 + input.len() / 32) {
                let mut changed = input.clone();
                changed[cut] ^= 0x55;
                let inputs = [&input[..cut], &changed[..]];
                assert!(
                    catch_unwind(|| inputs.map(run)).is_ok(),
                    "{} fails when cut or changed at {cut}",
                    path.display()
                );
            }
        }
    }
    assert!(count > 0, "no corpus for {target}");
}

#[test]
fn capture() {
    replay("capture", rbdgate_fuzz::capture::run);
}

#[test]
fn cephx() {
    replay("cephx", rbdgate_fuzz::cephx::run);
}

#[test]
fn curve_rpc() {
    replay("curve_rpc", rbdgate_fuzz::curve_rpc::run);
}

#[test]
fn message() {
    replay("message", rbdgate_fuzz::message::run);
}

#[test]
fn maps() {
    replay("maps", rbdgate_fuzz::maps::run);
}

#[test]
fn msgr_v1() {
    replay("msgr_v1", rbdgate_fuzz::msgr_v1::run);
}

#[test]
fn msgr_v2() {
    replay("msgr_v2", rbdgate_fuzz::msgr_v2::run);
}

#[test]
fn msgr_pair() {
    replay("msgr_pair", rbdgate_fuzz::msgr_pair::run);
}

/// Scripts at random, as many as `PAIR_SCRIPTS` says: alike in every run.
#[test]
fn msgr_pair_with_scripts_at_random() {
    use rbdgate_fuzz::msgr_pair::{input, op, run};
    let scripts = std::env::var("PAIR_SCRIPTS").map_or(300, |n| n.parse().unwrap());
    let mut state = 1_u64;
    let mut below = |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for number in 0..scripts {
        let (flags, word) = (below(128) as u8, below(8) as u8);
        let mut script = Vec::new();
        // Half of them begin in an established session.
        if below(2) == 0 {
            script.push((op::SETTLE, 0));
        }
        for _ in 0..below(40) {
            let side = if below(2) == 0 { op::SERVER } else { 0 };
            let argument = [8, 64, 600, 65_536][below(4) as usize];
            // Most steps deliver or say something: disturbed sessions end soon.
            let step = [0, 0, 0, 1, 5, 5, 6, 7, 8, 2, 3, 4, 9, 9][below(14) as usize];
            script.push((step | side, below(argument) as u16));
        }
        let input = input(flags, word, &script);
        let ran = catch_unwind(|| run(&input));
        assert!(ran.is_ok(), "script {number} fails: {flags:#x} {word} {script:?}");
    }
}

/// The target must reach what it is there for: sessions in which messages arrive.
#[test]
fn two_undisturbed_peers_get_into_a_session_and_hear_each_other() {
    use rbdgate_fuzz::msgr_pair::{Outcome, flag, input, op, outcome};
    let talk = [
        (op::SETTLE, 0),
        (op::MESSAGE, 300),
        (op::MESSAGE | op::SERVER, 5000),
        (op::SETTLE, 0),
    ];
    let kinds = [
        (flag::V1, 0..8_u8),
        (flag::V1 | flag::NONE, 0..8),
        (flag::V1 | flag::NONE | flag::OSD, 0..8),
        // msgr v2 asks for MSG_ADDR2.
        (0, 5..8),
        (flag::V20, 5..8),
        (flag::SECURE, 5..8),
        (flag::NONE, 5..8),
        (flag::NONE | flag::OSD, 5..8),
        (flag::COMPRESSED, 5..8),
        (flag::COMPRESSED | flag::SECURE, 5..8),
        (flag::LOSSLESS, 5..8),
        (flag::LOSSLESS | flag::V20, 5..8),
        (flag::LOSSLESS | flag::SECURE | flag::COMPRESSED, 5..8),
        (flag::LOSSLESS | flag::V1 | flag::NONE | flag::OSD, 0..8),
    ];
    for (flags, words) in kinds {
        for word in words {
            let expected = Outcome {
                open: true,
                arrived: 2,
            };
            assert_eq!(
                outcome(&input(flags, word, &talk)),
                expected,
                "{flags:#x}, word {word}"
            );
        }
    }
}

#[test]
fn a_lossless_session_is_resumed_and_hears_all_that_was_said() {
    use rbdgate_fuzz::msgr_pair::{Outcome, flag, input, op, outcome};
    let talk = [
        (op::SETTLE, 0),
        (op::MESSAGE, 300),
        (op::SETTLE, 0),
        (op::MESSAGE, 400),
        (op::MESSAGE | op::SERVER, 5000),
        (op::RECONNECT, 0),
        (op::MESSAGE, 100),
        (op::MESSAGE | op::SERVER, 100),
        (op::SETTLE, 0),
    ];
    let expected = Outcome {
        open: true,
        arrived: 5,
    };
    for flags in [
        flag::LOSSLESS,
        flag::LOSSLESS | flag::V20,
        flag::LOSSLESS | flag::SECURE,
        flag::LOSSLESS | flag::V1 | flag::NONE | flag::OSD,
    ] {
        assert_eq!(outcome(&input(flags, 6, &talk)), expected, "{flags:#x}");
    }
}

#[test]
fn cls_call() {
    replay("cls_call", rbdgate_fuzz::cls_call::run);
}

#[test]
fn store() {
    replay("store", rbdgate_fuzz::store::run);
}

#[test]
fn op_vectors() {
    replay("op_vectors", rbdgate_fuzz::op_vectors::run);
}

/// A few bytes make 64 MB: a step to the largest map leaves the last one no room to grow in place.
#[test]
fn the_largest_object_map_is_held_no_oftener_than_it_must() {
    let number = |name: &str| {
        let is = |method: &cls::Method| method.class == "rbd" && method.name == name;
        cls::table().iter().position(is).unwrap() as u16
    };
    let count = |objects: u64| [&objects.to_le_bytes()[..], &[1]].concat();
    let (nearly, largest) = (count(255_999_000), count(256_000_000));
    rbdgate_fuzz::cls_call::run(&rbdgate_fuzz::cls_call::input(&[
        (number("object_map_resize"), &nearly),
        (number("object_map_resize"), &largest),
        (number("object_map_load"), &[]),
    ]));
}
