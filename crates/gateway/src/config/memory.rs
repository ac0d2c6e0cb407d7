//! How much memory the server may take for what it could do without.

use std::{fs, path::Path};

use super::limits::parse_bytes;

/// The part of all memory that the read cache takes where nothing else is said.
const SHARE: u64 = 8;
/// No more than this then: what Ceph's OSDs take (`osd_memory_target`).
const MOST: u64 = 4 << 30;

/// The size of the read cache in bytes: a number, or `auto`.
pub(super) fn parse_read_cache(text: &str) -> Option<usize> {
    match text {
        "auto" => usize::try_from(share(memory())).ok(),
        _ => parse_bytes(text),
    }
}

fn share(memory: u64) -> u64 {
    (memory / SHARE).min(MOST)
}

/// The machine's memory in bytes, or the least that a control group leaves of it. 0 if the system does not tell.
fn memory() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| total(&text)).unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    least(Path::new("/sys/fs/cgroup"), &groups, machine)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// `machine`, or what the process's group (`/proc/self/cgroup`) or one above it is limited to: `memory.max` below `root`, of version 2, or
/// `memory.limit_in_bytes` of version 1.
fn least(root: &Path, groups: &str, machine: u64) -> u64 {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kind, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match kind {
            "" => (root.to_owned(), "memory.max"),
            _ => (root.join(kind), "memory.limit_in_bytes"),
        };
        let inside = Path::new(group.trim_start_matches('/'));
        inside
            .ancestors()
            .map(|group| root.join(group).join(file))
            .collect::<Vec<_>>()
    });
    let limits = limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    limits.fold(machine, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_an_eighth_and_no_more_than_an_osd_takes() {
        assert_eq!(share(16 << 30), 2 << 30);
        assert_eq!(share(1 << 40), 4 << 30);
        assert_eq!(share(0), 0);
    }

    #[test]
    fn the_size_is_a_number_or_left_to_the_server() {
        assert_eq!(parse_read_cache("0"), Some(0));
        assert_eq!(parse_read_cache("3G"), Some(3 << 30));
        assert!(parse_read_cache("auto").is_some_and(|size| size > 0));
        assert_eq!(parse_read_cache("much"), None);
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       24663200 kB\nMemFree:        22000000 kB\n";
        assert_eq!(total(text), Some(24_663_200 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_group_with_the_least_memory_decides() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("outer/memory.max", "3000\n");
        file("outer/inner/memory.max", "max\n");
        file("memory/docker/memory.limit_in_bytes", "2000\n");
        let of = |groups| least(root.path(), groups, 5000);
        assert_eq!(of("0::/outer/inner\n"), 3000);
        assert_eq!(of("0::/\n"), 5000);
        assert_eq!(of("5:cpu:/docker\n4:memory:/docker\n0::/\n"), 2000);
        assert_eq!(of(""), 5000);
    }
}
