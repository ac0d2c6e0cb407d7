//! Packets on the loopback interface, recorded with Wireshark's `dumpcap` and read with `tshark`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::exec::{Program, pid, wait};
use crate::{Failure, Result};

/// `dumpcap` hands packets on in blocks: what was sent may take this long to reach the file.
const SETTLE: Duration = Duration::from_secs(10);

/// A running recording; ends when dropped.
#[derive(Debug)]
pub struct Recording {
    child: Child,
    file: PathBuf,
}

/// What `tshark` says of one packet with Ceph's protocol in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dissected {
    /// The TCP source port.
    pub from: u16,
    /// The messages in it, as the column Info has them.
    pub info: String,
    /// Why it is malformed, if it is; also where the dissector itself failed.
    pub malformed: bool,
}

impl Recording {
    /// Records TCP to and from `ports` on the loopback interface, into `file`. Needs the right to do so, as root has.
    pub fn start(file: &Path, ports: &[u16]) -> Result<Self> {
        let filters: Vec<String> = ports.iter().map(|port| format!("tcp port {port}")).collect();
        let mut child = Command::new("dumpcap")
            .args(["-q", "-i", "lo", "-f", &filters.join(" or "), "-w"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::new("dumpcap (Debian package tshark)", e))?;
        let mut said = String::new();
        let mut lines = child.stderr.take().map(BufReader::new);
        // The file is named once the interface is open.
        while !said.contains("File: ") {
            let read = lines.as_mut().map(|lines| lines.read_line(&mut said));
            if !matches!(read, Some(Ok(1..))) {
                let _ = child.wait();
                return Err(Failure::new("dumpcap records nothing", said));
            }
        }
        // Whatever it says at its end finds a reader.
        std::thread::spawn(move || lines.map(|lines| lines.lines().count()));
        Ok(Self {
            child,
            file: file.to_owned(),
        })
    }

    /// Ends the recording once all connections in it are closed, and dissects it.
    ///
    /// Wireshark 4.0 has no `decode as` for Ceph: it finds the protocol by the banner.
    pub fn dissect(mut self) -> Result<Vec<Dissected>> {
        let end = Instant::now() + SETTLE;
        while self.open_connections()? != 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
        }
        self.stop()?;
        let fields = ["tcp.srcport", "_ws.col.Info", "_ws.malformed"];
        let lines = tshark(&self.file, "ceph", &fields)?;
        let packet = |line: &String| {
            let mut columns = line.split('\t');
            Some(Dissected {
                from: columns.next()?.parse().ok()?,
                info: columns.next()?.to_owned(),
                malformed: columns.next().is_some_and(|text| !text.is_empty()),
            })
        };
        Ok(lines.iter().filter_map(packet).collect())
    }

    fn open_connections(&self) -> Result<usize> {
        let opened = tshark(
            &self.file,
            "tcp.flags.syn == 1 && tcp.flags.ack == 0",
            &["tcp.stream"],
        )?;
        let closed = tshark(
            &self.file,
            "tcp.flags.fin == 1 || tcp.flags.reset == 1",
            &["tcp.stream"],
        )?;
        if opened.is_empty() {
            return Ok(usize::MAX);
        }
        Ok(opened.iter().filter(|stream| !closed.contains(stream)).count())
    }

    fn stop(&mut self) -> Result<()> {
        if let Some(pid) = pid(&self.child) {
            kill_process(pid, Signal::INT).map_err(|e| Failure::new("dumpcap", e))?;
        }
        match wait(&mut self.child, Duration::from_secs(10)) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Failure("dumpcap did not end".to_owned())),
            Err(e) => Err(Failure::new("dumpcap", e)),
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fields, separated by tabs, of the packets that pass the filter.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Result<Vec<String>> {
    let file = file.display().to_string();
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let outcome = Program::new("tshark")
        .args(["-r", &file, "-Y", filter, "-T", "fields"])
        .args(fields)
        .run()?;
    // A file that is still being written ends in the middle of a packet: that is an error, after all others.
    Ok(outcome.lines())
}
