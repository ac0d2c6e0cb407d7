//! librbd by way of python3-rbd: what needs threads, callbacks or two clients. The scripts are in `tests/python`.

use rbdgate_tests::cluster::Cluster;

/// Runs a script that checks everything by itself and says `ok` at its end.
#[track_caller]
fn script_succeeds(script: &str, args: &[&str]) {
    let cluster = Cluster::start();
    let outcome = cluster.run(cluster.python(script, args));
    assert_eq!(
        outcome.lines().last().map(String::as_str),
        Some("ok"),
        "{outcome}"
    );
}

#[test]
fn threads_write_disjoint_ranges() {
    script_succeeds("threads_disjoint.py", &[]);
}

#[test]
fn threads_write_overlapping_ranges_in_one_order() {
    script_succeeds("threads_overlapping.py", &[]);
}

#[test]
fn overlapping_writes_of_two_clients_have_one_order() {
    script_succeeds("threads_overlapping.py", &["two-clients"]);
}

#[test]
fn the_exclusive_lock_passes_between_two_clients() {
    script_succeeds("exclusive_lock.py", &["pass"]);
}

#[test]
fn an_acquired_exclusive_lock_is_kept_until_released() {
    script_succeeds("exclusive_lock.py", &["keep"]);
}

#[test]
fn asynchronous_requests_complete() {
    script_succeeds("aio.py", &[]);
}

#[test]
fn a_resize_reaches_the_other_client() {
    script_succeeds("resize_seen.py", &[]);
}

#[test]
fn compare_and_write_and_write_same() {
    script_succeeds("compare_and_write.py", &[]);
}

#[test]
fn the_api_of_an_image() {
    script_succeeds("image_api.py", &[]);
}
