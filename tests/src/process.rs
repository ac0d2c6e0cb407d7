//! What the system tells of a process.

/// A figure of `/proc/PID/status` that is given in KiB, in bytes: `RssAnon`, the memory that is its own, or `VmRSS`.
///
/// # Panics
/// If there is no such process or figure.
#[must_use]
#[track_caller]
pub fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    let kib: u64 = kib.and_then(|n| n.parse().ok()).expect("memory is told");
    kib << 10
}
