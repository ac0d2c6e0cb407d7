//! A client that writes without a pause and knows what was acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::cluster::Cluster;

/// `tests/python/verified_writer.py`, running.
pub struct Writer {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Writer {
    /// Starts it on the image `disk` of 64 MiB.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        let mut child = cluster
            .python("verified_writer.py", &["disk"])
            .spawn()
            .expect("it starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines }
    }

    /// Sends a command and waits for the answer, which must begin with `expected`.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn ask(&mut self, cluster: &Cluster, command: &str, expected: &str) -> String {
        if let Err(error) = writeln!(self.stdin, "{command}") {
            let said: Vec<String> = self.lines.try_iter().collect();
            panic!("the writer is gone ({error}): {said:?}\n{}", cluster.log_tail());
        }
        match self.lines.recv_timeout(Duration::from_secs(90)) {
            Ok(line) if line.starts_with(expected) => line,
            Ok(line) => panic!("the writer says {line}\n{}", cluster.log_tail()),
            Err(e) => panic!("no answer to {command:?}: {e}\n{}", cluster.log_tail()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
