//! Which modes the sessions of a client really had, by the server's log.

use rbdgate_tests::cluster::Cluster;
use rbdgate_tests::generations::Mode;

/// What the server must log for [`check`].
pub(crate) const LOG: &str = "info,rbdgate_msgr::driver::listener=debug";

/// The server's log without colours.
pub(crate) fn log(cluster: &Cluster) -> String {
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
pub(crate) fn check(log: &str, mode: Mode) -> Result<(), String> {
    let begins = || log.lines().filter(|line| line.contains("session begins"));
    for daemon in ["mon", "mgr", "osd"] {
        if !begins().any(|line| line.contains(&format!("daemon={daemon}."))) {
            return Err(format!("no session with the {daemon} in the server's log"));
        }
    }
    // A session of msgr v1 has the client's address in the legacy type.
    let is_v1 = |line: &str| line.contains("AddrType(1)");
    if mode == Mode::V1Mon && !begins().any(|line| is_v1(line) && line.contains("daemon=mon.")) {
        return Err("no session with the monitor by v1".to_owned());
    }
    let wrong = begins().find(|line| {
        let v1 = is_v1(line);
        let is = |number: u32| !v1 && line.contains(&format!("mode: ConMode({number})"));
        let (crc, secure) = (is(1), is(2));
        match mode {
            Mode::Crc | Mode::V20 => !crc,
            Mode::Secure => !secure,
            // Clients prefer secure for the monitor, crc for OSDs. The manager goes with the OSDs in nautilus, with
            // the monitor from pacific on (auth/AuthRegistry.cc).
            Mode::Default if line.contains("daemon=mgr.") => v1,
            Mode::Default if line.contains("daemon=mon.") => !secure,
            Mode::Default => !crc,
            // The first session gets the monitor map; with that the client connects anew, and prefers v2.
            Mode::V1Mon => false,
            Mode::V1 => !v1,
        }
    });
    wrong.map_or(Ok(()), |line| Err(format!("a session in another mode: {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(daemon: &str, address: u32, mode: u32) -> String {
        format!(
            "session begins peer=P {{ kind: AddrType({address}), mode: ConMode({mode}) }} daemon={daemon}\n"
        )
    }

    fn log_of(mon: (u32, u32), mgr: (u32, u32), osd: (u32, u32)) -> String {
        [("mon.0", mon), ("mgr.4096", mgr), ("osd.0", osd)]
            .map(|(daemon, (address, mode))| line(daemon, address, mode))
            .concat()
    }

    #[test]
    fn a_session_in_another_mode_is_found() {
        let (crc, secure, v1) = ((3, 1), (3, 2), (1, 1));
        let cases = [
            (log_of(crc, crc, crc), vec![Mode::Crc, Mode::V20]),
            (log_of(secure, secure, secure), vec![Mode::Secure]),
            (log_of(secure, crc, crc), vec![Mode::Default]),
            (log_of(secure, secure, crc), vec![Mode::Default]),
            (log_of(v1, crc, crc), vec![Mode::V1Mon]),
            (log_of(v1, v1, v1), vec![Mode::V1Mon, Mode::V1]),
            (log_of(crc, crc, secure), vec![]),
            (log_of(v1, secure, crc), vec![Mode::V1Mon]),
        ];
        for (log, fits) in cases {
            let found: Vec<Mode> = Mode::ALL
                .into_iter()
                .filter(|&mode| check(&log, mode).is_ok())
                .collect();
            assert_eq!(found, fits, "{log}");
        }
    }

    #[test]
    fn a_daemon_without_a_session_is_found() {
        let log = line("mon.0", 3, 1) + &line("osd.0", 3, 1);
        assert!(check(&log, Mode::Crc).is_err_and(|why| why.contains("mgr")));
    }
}
