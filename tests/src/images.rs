//! Changing and reading images with stock programs.

use crate::cluster::Cluster;
use crate::exec::Program;

/// Fills a range of an image (of the pool `rbd`, or `POOL/NAMESPACE/IMAGE`) by way of QEMU, and of its bytes. The
/// pattern 0 is a discard.
pub fn fill(cluster: &Cluster, image: &str, bytes: &mut [u8], pattern: u8, at: usize, len: usize) {
    let command = match pattern {
        0 => format!("discard {at} {len}"),
        _ => format!("write -P {pattern} {at} {len}"),
    };
    let image = match image.contains('/') {
        true => format!("rbd:{image}:conf={}", cluster.conf().display()),
        false => cluster.qemu(image),
    };
    cluster.run(Program::new("qemu-io").args(["-f", "raw", "-c", &command, &image]));
    bytes[at..at + len].fill(pattern);
}

/// The words of `rbd bench`: the kind of load, the bytes of one request and of all, and the rest, which ends with the image.
#[must_use]
pub fn bench<'a>(kind: &'a str, size: &'a str, total: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let words = ["bench", "--io-type", kind, "--io-size", size, "--io-total", total];
    [&words[..], rest].concat()
}

/// What `rbd export` gives.
#[must_use]
pub fn export(cluster: &Cluster, spec: &str) -> Vec<u8> {
    let _ = std::fs::remove_file(cluster.path("exported"));
    cluster.rbd(&["export", "--no-progress", spec, &cluster.path("exported")]);
    cluster.read("exported")
}
