//! Stock clients of several Ceph generations (this machine's own and those in the chroots of `tests/chroots.sh`), and
//! the modes in which they can be made to connect.

use std::ffi::OsString;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exec::Program;
use crate::{Failure, Result};

/// Where a generation's programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Installed on this machine.
    Host,
    /// In the chroot of a Debian suite.
    Chroot(String),
}

/// The clients of one Ceph generation.
#[derive(Debug, Clone)]
pub struct Generation {
    place: Place,
    name: String,
    there: bool,
}

impl Generation {
    /// All generations: this machine's own, then one for each suite that `tests/chroots.sh` knows, whether its chroot
    /// is there or not.
    pub fn all() -> Result<Vec<Self>> {
        let list = Program::new(chroots()).args(["list"]).run()?.success()?;
        let mut all = vec![Self {
            place: Place::Host,
            name: String::new(),
            there: true,
        }];
        for line in list.lines() {
            if let [suite, name, state] = line.split(' ').collect::<Vec<_>>()[..] {
                all.push(Self {
                    place: Place::Chroot(suite.to_owned()),
                    name: name.to_owned(),
                    there: state == "there",
                });
            }
        }
        Ok(all)
    }

    /// Whether its programs can be run.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.there
    }

    /// Ceph's name of the generation; for this machine's own, what its `rbd` says.
    pub fn name(&self) -> Result<String> {
        if self.place == Place::Host {
            return Ok(self.version()?.1);
        }
        Ok(self.name.clone())
    }

    /// Version and generation as `rbd --version` tells them: `16.2.15` and `pacific`.
    pub fn version(&self) -> Result<(String, String)> {
        let said = self.program(Path::new("/tmp"), "rbd").args(["--version"]);
        let said = said.run()?.success()?.text();
        // "ceph version 16.2.15 (618f440...) pacific (stable)"
        match said.split_whitespace().collect::<Vec<_>>()[..] {
            ["ceph", "version", version, _, name, ..] => Ok((version.to_owned(), name.to_owned())),
            _ => Err(Failure(format!("no version in {said:?}"))),
        }
    }

    /// Where the programs come from, for people.
    #[must_use]
    pub fn origin(&self) -> String {
        match &self.place {
            Place::Host => "this machine".to_owned(),
            Place::Chroot(suite) => format!("Debian {suite}"),
        }
    }

    /// A program of this generation that runs in `folder`, where it may be given relative paths.
    #[must_use]
    pub fn program(&self, folder: &Path, program: &str) -> Program {
        match &self.place {
            Place::Host => Program::new(program).folder(folder),
            Place::Chroot(suite) => {
                let words: [OsString; 4] = ["run".into(), suite.into(), folder.into(), program.into()];
                Program::new(chroots()).args(words)
            }
        }
    }

    /// A script of `tests/python` with Debian's Python.
    #[must_use]
    pub fn python(&self, folder: &Path, script: &str) -> Program {
        let scripts = match &self.place {
            Place::Host => Path::new(env!("CARGO_MANIFEST_DIR")).join("python"),
            Place::Chroot(_) => PathBuf::from("/mnt/python"),
        };
        self.program(folder, "/usr/bin/python3")
            .args([scripts.join(script)])
    }

    /// How the programs see `folder`, in which they run.
    #[must_use]
    pub fn seen(&self, folder: &Path) -> PathBuf {
        match &self.place {
            Place::Host => folder.to_owned(),
            Place::Chroot(_) => PathBuf::from("/mnt/work"),
        }
    }
}

fn chroots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chroots.sh")
}

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// msgr v2 with checksums, to the monitor and the others.
    Crc,
    /// msgr v2 with AES-128-GCM, to the monitor and the others.
    Secure,
    /// The ceph.conf that the server wrote, nothing set.
    Default,
    /// The monitor's v1 address alone in `mon_host`; from the maps the client takes what it likes best.
    V1Mon,
    /// A server that speaks v1 alone, so that every connection is v1.
    V1,
    /// A server that knows v2.0 at most, as before Nautilus 14.2.11, and no v1 address.
    V20,
}

impl Mode {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Crc,
        Self::Secure,
        Self::Default,
        Self::V1Mon,
        Self::V1,
        Self::V20,
    ];

    /// The head of its column.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Crc => "v2 crc",
            Self::Secure => "v2 secure",
            Self::Default => "default",
            Self::V1Mon => "v1 mon_host",
            Self::V1 => "v1 only",
            Self::V20 => "v2.0 only",
        }
    }

    /// A word for file names.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Crc => "crc",
            Self::Secure => "secure",
            Self::Default => "default",
            Self::V1Mon => "v1-mon",
            Self::V1 => "v1",
            Self::V20 => "v2.0",
        }
    }

    /// The newest protocol that the server may speak in this mode, as `--max-msgr` takes it, if not all it can.
    #[must_use]
    pub const fn max_msgr(self) -> Option<&'static str> {
        match self {
            Self::V1 => Some("v1"),
            Self::V20 => Some("v2.0"),
            _ => None,
        }
    }

    /// The client's ceph.conf for this mode: the server's own text with the keyring where the client sees it.
    #[must_use]
    pub fn conf(self, server: &str, keyring: &Path, v1: u16) -> String {
        let mut conf = String::new();
        for line in server.lines() {
            let line = match line.split_once('=').map(|(key, value)| (key.trim(), value)) {
                Some(("keyring", _)) => format!("keyring = {}", keyring.display()),
                Some(("mon_host", value)) => format!("mon_host = {}", self.mon_host(value.trim(), v1)),
                _ => line.to_owned(),
            };
            conf.push_str(&line);
            conf.push('\n');
        }
        if let Self::Crc | Self::Secure = self {
            for key in ["ms_client_mode", "ms_mon_client_mode"] {
                conf.push_str(&format!("{key} = {}\n", self.word()));
            }
        }
        conf
    }

    fn mon_host(self, server: &str, v1: u16) -> String {
        let v2 = || {
            let mut addresses = server.split(['[', ']', ',']);
            addresses
                .find(|address| address.starts_with("v2:"))
                .map_or_else(|| server.to_owned(), |address| format!("[{address}]"))
        };
        match self {
            Self::Crc | Self::Secure | Self::V20 => v2(),
            Self::Default => server.to_owned(),
            Self::V1Mon | Self::V1 => format!("[v1:127.0.0.1:{v1}]"),
        }
    }
}

/// Whether somebody on this port of the loopback greets as a msgr v1 server does.
#[must_use]
pub fn speaks_v1(port: u16) -> bool {
    let greet = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut banner = [0; 9];
        socket.read_exact(&mut banner)?;
        Ok(&banner == b"ceph v027")
    };
    greet().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str =
        "[global]\nfsid = f\nmon_host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]\nkeyring = /data/k\n";

    #[test]
    fn the_default_conf_differs_from_the_servers_in_the_keyring_alone() {
        let conf = Mode::Default.conf(SERVER, Path::new("/mnt/work/k"), 1);
        assert_eq!(conf, SERVER.replace("/data/k", "/mnt/work/k"));
    }

    #[test]
    fn v2_modes_name_the_v2_address_and_the_mode() {
        let conf = Mode::Secure.conf(SERVER, Path::new("/k"), 1);
        assert!(conf.contains("mon_host = [v2:127.0.0.1:3300]\n"), "{conf}");
        assert!(
            conf.contains("ms_client_mode = secure\nms_mon_client_mode = secure\n"),
            "{conf}"
        );
    }

    #[test]
    fn v1_modes_name_the_v1_address_alone() {
        let conf = Mode::V1.conf(SERVER, Path::new("/k"), 6790);
        assert!(conf.contains("mon_host = [v1:127.0.0.1:6790]\n"), "{conf}");
        assert!(!conf.contains("3300"), "{conf}");
    }
}
