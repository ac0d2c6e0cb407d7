//! Many invocations at a time: all are answered, none has to wait for the server for long, and its memory does not grow with them.

use std::time::{Duration, Instant};

use rbdgate_tests::cluster::{Cluster, against_ceph};
use rbdgate_tests::process;

/// Sessions, or programs, at a time or one after the other.
const COUNT: usize = 200;
/// Programs at a time: more would measure how a machine of two processors starts programs.
const AT_A_TIME: usize = 4;

/// Resident memory of the server, in KiB.
fn memory(cluster: &mut Cluster) -> u64 {
    process::memory(cluster.rbdgate().pid().expect("it runs"), "VmRSS") >> 10
}

/// Processor time that the server has taken, in seconds.
fn processor_time(cluster: &mut Cluster) -> f64 {
    let pid = cluster.rbdgate().pid().expect("it runs");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // Fields 14 and 15, counted from behind the name, in hundredths.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |i: usize| {
        fields
            .get(i)
            .and_then(|f| f.parse::<f64>().ok())
            .expect("a number")
    };
    (ticks(11) + ticks(12)) / 100.0
}

#[test]
fn two_hundred_sessions_at_once_are_all_served_and_leave_nothing_behind() {
    if against_ceph() {
        return;
    }
    let mut cluster = Cluster::start();
    let count = COUNT.to_string();
    let round = |cluster: &mut Cluster| {
        let before = processor_time(cluster);
        let times = cluster.run(cluster.python("many_sessions.py", &[&count])).json();
        let taken = processor_time(cluster) - before;
        eprintln!("{times}, of the server's processor time {taken:.2} s");
        taken
    };
    // The allocator's arenas, one of which each thread fills, reach their size in the first rounds.
    let before = (0..3).map(|_| (round(&mut cluster), memory(&mut cluster)).1);
    let before = before.max().unwrap_or_default();
    let taken = (0..3).map(|_| round(&mut cluster)).fold(f64::MAX, f64::min);
    let after = memory(&mut cluster);
    // What the server needs for all of them is the longest that it can keep the last one waiting on a single processor. The clients'
    // own time, which is several times as long, depends on what else the machine does.
    assert!(taken < 5.0, "the server needs {taken} s for {COUNT} sessions");
    assert!(
        after < before + before / 4,
        "memory grew from {before} KiB to {after} KiB"
    );
}

#[test]
fn two_hundred_programs_are_all_answered() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "8M", "disk"]);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let longest = std::sync::Mutex::new(Duration::ZERO);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < COUNT {
                    let begin = Instant::now();
                    match next.load(std::sync::atomic::Ordering::Relaxed) % 4 {
                        0 => cluster.ceph(&["-s"]),
                        1 => cluster.rbd(&["info", "disk"]),
                        2 => cluster.rbd(&["ls", "-l"]),
                        _ => cluster.rados(&["df"]),
                    };
                    let mut longest = longest.lock().expect("no thread panicked");
                    *longest = begin.elapsed().max(*longest);
                }
            });
        }
    });
    eprintln!(
        "the longest took {:?}",
        longest.lock().expect("no thread panicked")
    );
}
