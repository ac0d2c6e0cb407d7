//! Facts about the host, as daemons of Ceph report them (`collect_sys_info`, Ceph `src/common/util.cc`).

use std::{collections::BTreeMap, fs::read_to_string};

/// The value of a `KEY=VALUE` line, without quotes.
fn of_release(text: &str, key: &str) -> Option<String> {
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
    Some(line.trim_matches('"').to_owned())
}

/// The number of a `Key:   VALUE kB` line.
fn of_memory(text: &str, key: &str) -> Option<String> {
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next().map(str::to_owned)
}

/// The facts by name. What the host does not tell is left out.
#[must_use]
pub(super) fn facts() -> BTreeMap<&'static str, String> {
    let uname = rustix::system::uname();
    let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
    let mut out = BTreeMap::from([
        ("arch", text(uname.machine())),
        ("kernel_description", text(uname.version())),
        ("kernel_version", text(uname.release())),
        ("os", text(uname.sysname())),
        (
            "container_name",
            std::env::var("CONTAINER_NAME").unwrap_or_default(),
        ),
    ]);
    let mut put = |name, value: Option<String>| {
        if let Some(value) = value {
            out.insert(name, value);
        }
    };
    put("container_name", std::env::var("CONTAINER_NAME").ok());
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|l| l.starts_with("model name"))
        .and_then(|l| l.split_once(':'));
    put("cpu", model.map(|(_, name)| name.trim().to_owned()));
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    put("mem_total_kb", of_memory(&memory, "MemTotal"));
    put("mem_swap_kb", of_memory(&memory, "SwapTotal"));
    let release = read_to_string("/etc/os-release").unwrap_or_default();
    put("distro", of_release(&release, "ID"));
    put("distro_version", of_release(&release, "VERSION_ID"));
    put("distro_description", of_release(&release, "PRETTY_NAME"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_read_by_key() {
        let release = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n";
        assert_eq!(of_release(release, "ID").as_deref(), Some("debian"));
        assert_eq!(
            of_release(release, "PRETTY_NAME").as_deref(),
            Some("Debian GNU/Linux 12")
        );
        assert_eq!(
            of_memory("MemTotal:       8055948 kB\n", "MemTotal").as_deref(),
            Some("8055948")
        );
        assert!(facts().contains_key("kernel_version"));
    }
}
