//! fio with its rbd engine: every block that is read is verified.

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::exec::Outcome;
use rbdgate_tests::fio;

fn fio(cluster: &Cluster, image: &str, options: &[&str]) -> Outcome {
    cluster.run(fio::fio(cluster, image, options))
}

/// Bytes written and errors of all jobs.
fn sums(outcome: &Outcome) -> (u64, u64) {
    let report = fio::Report::of(outcome).expect("a report");
    (report.written(), report.errors())
}

#[test]
fn random_writes_of_several_jobs_verify() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "256M", "disk"]);
    // The jobs share the image, each with a part of its own.
    let jobs = [
        "--name=verified",
        "--numjobs=4",
        "--size=32M",
        "--offset_increment=64M",
    ];
    let load = [
        "--rw=randwrite",
        "--bsrange=4k-64k",
        "--iodepth=16",
        "--verify=crc32c",
        "--do_verify=1",
    ];
    let outcome = fio(&cluster, "disk", &[&jobs[..], &load[..]].concat());
    assert_eq!(sums(&outcome), (128 << 20, 0), "{outcome}");
}

#[test]
fn mixed_reads_and_writes_verify() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let load = [
        "--name=mixed",
        "--rw=randrw",
        "--rwmixread=50",
        "--bs=4k",
        "--iodepth=32",
        "--size=64M",
    ];
    let verify = ["--io_size=24M", "--verify=crc32c", "--verify_backlog=256"];
    let outcome = fio(&cluster, "disk", &[&load[..], &verify[..]].concat());
    assert_eq!(sums(&outcome).1, 0, "{outcome}");
}

#[test]
fn sequential_large_writes_verify_in_a_second_run() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "256M", "disk"]);
    let load = [
        "--name=large",
        "--rw=write",
        "--bs=4M",
        "--iodepth=8",
        "--size=256M",
        "--verify=crc32c",
    ];
    let outcome = fio(&cluster, "disk", &[&load[..], &["--do_verify=0"]].concat());
    assert_eq!(sums(&outcome), (256 << 20, 0), "{outcome}");
    // A new client that only reads.
    let outcome = fio(&cluster, "disk", &[&load[..], &["--verify_only"]].concat());
    assert_eq!(sums(&outcome).1, 0, "{outcome}");
}

#[test]
fn trims_before_writes_verify() {
    let cluster = Cluster::start();
    cluster.rbd(&["create", "--size", "64M", "disk"]);
    let load = [
        "--name=trims",
        "--rw=randtrimwrite",
        "--bs=64k",
        "--iodepth=1",
        "--size=16M",
        "--verify=crc32c",
    ];
    let outcome = fio(&cluster, "disk", &load);
    assert_eq!(sums(&outcome).1, 0, "{outcome}");
}
