//! Which modes the sessions of a client really had, by the server's log.

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::generations::Mode;

/// What the server must log for [`check`].
pub const LOG: &str = "info,rbdgate_msgr::driver::listener=debug";

/// The server's log without colours.
pub fn log(cluster: &Cluster) -> String {
    let bytes = std::fs::read(cluster.path("server.log")).unwrap_or_default();
    let (text, mut plain) = (String::from_utf8_lossy(&bytes), String::new());
    let mut parts = text.split('\x1b');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // "[2m..." and the like.
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

/// Looks at the sessions in `log`: each daemon had one at least, and none had a mode that `mode` forbids.
pub fn check(log: &str, mode: Mode) -> Result<(), String> {
    let begins = || log.lines().filter(|line| line.contains("session begins"));
    for daemon in ["mon", "mgr", "osd"] {
        if !begins().any(|line| line.contains(&format!("daemon={daemon}."))) {
            return Err(format!("no session with the {daemon} in the server's log"));
        }
    }
    let wrong = begins().find(|line| {
        let is = |number: u32| line.contains(&format!("mode: ConMode({number})"));
        match mode {
            Mode::Crc => !is(1),
            Mode::Secure => !is(2),
            // The monitor and the manager prefer secure, the OSDs crc: as every stock client and server do.
            Mode::Default => is(2) != (line.contains("daemon=mon.")),
            Mode::V1Mon => line.contains("daemon=mon.") && (is(1) || is(2)),
            Mode::V1 => is(1) || is(2),
        }
    });
    wrong.map_or(Ok(()), |line| Err(format!("a session in another mode: {line}")))
}
