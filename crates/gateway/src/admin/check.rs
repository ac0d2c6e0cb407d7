//! `rbdgate check`: whether `serve` would work here, and if not what to do about it.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::config::{Listener, MaxMsgr, Settings, offset};

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// What is wrong, and how to mend it.
    pub problem: Option<(String, String)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => write!(f, "ok    {}", self.what),
            Some((wrong, mend)) => write!(f, "FAIL  {}: {wrong}\n      {mend}", self.what),
        }
    }
}

/// Space below which a data folder is not worth starting in, in bytes.
const MIN_SPACE: u64 = 1 << 30;
/// A clock before this time (2026-01-01) was never set.
const CLOCK_FLOOR: Duration = Duration::from_secs(1_767_225_600);

/// Looks at everything that `serve` needs.
#[must_use]
pub fn run(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![
        data_folder(&settings.data),
        space(&settings.data),
        clock(&settings.data),
    ];
    findings.extend(backend(settings));
    let ports = ports(settings);
    findings.extend(
        twice(&ports)
            .into_iter()
            .chain(ports.into_iter().map(|(what, at)| port(what, at))),
    );
    findings
}

fn finding(what: impl Into<String>, problem: Option<(String, &str)>) -> Finding {
    Finding {
        what: what.into(),
        problem: problem.map(|(wrong, mend)| (wrong, mend.to_owned())),
    }
}

/// The folder, or the nearest one above it that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|p| p.exists()).unwrap_or(path)
}

fn data_folder(data: &Path) -> Finding {
    let what = format!("data folder {}", data.display());
    let at = existing(data);
    if !at.is_dir() {
        return finding(
            what,
            Some((
                format!("{} is not a folder", at.display()),
                "choose another --data",
            )),
        );
    }
    let probe = at.join(format!(".rbdgate-check-{}", std::process::id()));
    if let Err(e) = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe)) {
        let mend = "give this user the right to write there, or choose another --data";
        return finding(what, Some((e.to_string(), mend)));
    }
    if data.exists() && crate::open::is_in_use(data) {
        let mend = "stop the rbdgate that runs on it, or choose another --data";
        return finding(what, Some(("another rbdgate is running on it".to_owned(), mend)));
    }
    finding(what, None)
}

fn space(data: &Path) -> Finding {
    let what = "space in the data folder";
    match rustix::fs::statvfs(existing(data)) {
        Err(e) => finding(what, Some((e.to_string(), "choose another --data"))),
        Ok(fs) => {
            let free = fs.f_bavail.saturating_mul(fs.f_frsize);
            let problem = (free < MIN_SPACE).then(|| {
                (
                    format!("{} MiB are free, 1024 MiB are needed", free >> 20),
                    "free some, or choose another --data",
                )
            });
            finding(format!("{what}: {} GiB free", free >> 30), problem)
        }
    }
}

fn clock(data: &Path) -> Finding {
    let now = SystemTime::now();
    if now.duration_since(UNIX_EPOCH).unwrap_or_default() < CLOCK_FLOOR {
        let mend = "set the clock: tickets of clients depend on it";
        return finding("clock", Some(("it stands before 2026".to_owned(), mend)));
    }
    // What was written here before cannot be of a later time.
    let written = std::fs::metadata(data.join("ceph.conf")).and_then(|m| m.modified());
    let ahead = written
        .ok()
        .and_then(|w| w.duration_since(now).ok())
        .filter(|d| d.as_secs() > 5);
    let problem = ahead.map(|d| {
        (
            format!("it is {} s behind the last start of this cluster", d.as_secs()),
            "set the clock",
        )
    });
    finding("clock", problem)
}

/// Whether the CurveBS cluster answers, and lets the owner in.
fn backend(settings: &Settings) -> Option<Finding> {
    let curve = settings.curve.as_ref()?;
    let what = "CurveBS cluster";
    Some(match crate::backend::CurveDevices::connect(curve) {
        Err(error) => {
            let mend = "see that an MDS listens at one of the addresses of backend.curve.mds";
            finding(what, Some((error.to_string(), mend)))
        }
        Ok(devices) => match devices.look_root() {
            Err(error) => {
                let mend = "see owner and password of backend.curve, and that both clocks agree within 15 s";
                finding(what, Some((error.to_string(), mend)))
            }
            Ok(text) => finding(format!("{what}: {text}"), None),
        },
    })
}

/// The ports that `serve` listens on, in the order of their use. Port 0 is always free.
fn ports(settings: &Settings) -> Vec<(String, SocketAddr)> {
    let mut ports = vec![
        ("mon-v2".to_owned(), settings.mon_v2),
        ("mon-v1".to_owned(), settings.mon_v1),
        ("http".to_owned(), settings.http),
    ];
    if settings.osd.port() != 0 {
        let daemons = (0..settings.osd_count)
            .map(|n| format!("osd.{n}"))
            .chain(["mgr".to_owned()]);
        for (n, daemon) in (0..).zip(daemons) {
            ports.push((format!("{daemon} v2"), offset(settings.osd, n * 2)));
            ports.push((format!("{daemon} v1"), offset(settings.osd, n * 2 + 1)));
        }
    }
    if settings.max_msgr == MaxMsgr::V1 {
        ports.retain(|(what, _)| !what.ends_with("v2"));
    }
    ports.retain(|(_, at)| at.port() != 0);
    ports.extend(settings.listen.iter().flat_map(|l| further_ports(settings, l)));
    ports
}

/// Those of a further listener.
fn further_ports(settings: &Settings, listener: &Listener) -> Vec<(String, SocketAddr)> {
    if listener.at.port() == 0 {
        return Vec::new();
    }
    let osds = (0..settings.osd_count).map(|n| format!("osd.{n}"));
    let daemons = ["mon".to_owned()]
        .into_iter()
        .chain(osds)
        .chain(["mgr".to_owned()]);
    let v2 = listener.max_msgr.unwrap_or(settings.max_msgr) != MaxMsgr::V1;
    let mut ports = Vec::new();
    for (n, daemon) in (0..).zip(daemons) {
        if v2 {
            ports.push((
                format!("listen {}, {daemon} v2", listener.at),
                offset(listener.at, n * 2),
            ));
        }
        ports.push((
            format!("listen {}, {daemon} v1", listener.at),
            offset(listener.at, n * 2 + 1),
        ));
    }
    ports
}

/// Ports that two settings name.
fn twice(ports: &[(String, SocketAddr)]) -> Vec<Finding> {
    let mut seen: Vec<&(String, SocketAddr)> = Vec::new();
    let mut findings = Vec::new();
    for one in ports {
        if let Some((what, _)) = seen.iter().find(|(_, at)| *at == one.1) {
            let problem = (
                format!("it is that of {what}, too"),
                "set addresses that do not overlap",
            );
            findings.push(finding(format!("port {} ({})", one.1, one.0), Some(problem)));
        }
        seen.push(one);
    }
    findings
}

fn port(what: String, at: SocketAddr) -> Finding {
    let name = format!("port {at} ({what})");
    match TcpListener::bind(at) {
        Ok(_) => finding(name, None),
        Err(e) => finding(
            name,
            Some((e.to_string(), "stop what listens there, or set another address")),
        ),
    }
}
