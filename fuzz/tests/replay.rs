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
fn cls_call() {
    replay("cls_call", rbdgate_fuzz::cls_call::run);
}
