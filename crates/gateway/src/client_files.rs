//! What clients are given: a `ceph.conf` and the administrator's keyring.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use encoding::types::{EntityAddrVec, Uuid};

use crate::config::Auth;

/// Where the configuration for clients is.
#[must_use]
pub fn conf_path(data: &Path) -> PathBuf {
    data.join("ceph.conf")
}

/// Where the administrator's keyring is.
#[must_use]
pub fn keyring_path(data: &Path) -> PathBuf {
    data.join("ceph.client.admin.keyring")
}

/// Writes the `ceph.conf` that clients need to reach the monitor.
///
/// # Errors
/// If it cannot be written.
pub fn write_conf(data: &Path, fsid: Uuid, mon: &EntityAddrVec, auth: Auth) -> io::Result<()> {
    let addrs: Vec<String> = mon
        .0
        .iter()
        .filter_map(|a| a.socket.map(|s| format!("{}:{s}", protocol(a.kind))))
        .collect();
    let method = match auth {
        Auth::Cephx => "cephx",
        Auth::None => "none",
    };
    let text = format!(
        "# Written by rbdgate at each start.\n\
         [global]\n\
         fsid = {fsid}\n\
         mon_host = [{}]\n\
         auth_client_required = {method}\n\
         keyring = {}\n",
        addrs.join(","),
        keyring_path(data).display()
    );
    replace(&conf_path(data), &text, 0o644)
}

fn protocol(kind: encoding::types::AddrType) -> &'static str {
    if kind == encoding::types::AddrType::LEGACY {
        "v1"
    } else {
        "v2"
    }
}

/// Writes the administrator's keyring, for its owner alone.
///
/// # Errors
/// If it cannot be written.
pub fn write_keyring(data: &Path, text: &str) -> io::Result<()> {
    replace(&keyring_path(data), text, 0o600)
}

/// Replaces a file as a whole: readers see the old one or the new one.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)?;
    // A file left over from an interrupted start keeps its mode.
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
