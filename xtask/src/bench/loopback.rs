//! The bare way: what a request and its answer take over loopback TCP between two threads that do nothing else.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::sample::median;
use crate::{Failure, Result};

/// A write of 4 KiB with its envelope, and the answer to it.
const REQUEST: usize = 4096 + 400;
const ANSWER: usize = 200;

/// The median of round trips for a time, in microseconds.
pub(super) fn round_trip(time: Duration) -> Result<f64> {
    let failed = |e| Failure::new("loopback TCP", e);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let server = std::thread::spawn(move || answer(&listener));
    let mut trips = Vec::new();
    {
        let mut socket = TcpStream::connect(address).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let (request, mut reply) = ([1; REQUEST], [0; ANSWER]);
        let begun = Instant::now();
        while begun.elapsed() < time {
            let sent = Instant::now();
            socket.write_all(&request).map_err(failed)?;
            socket.read_exact(&mut reply).map_err(failed)?;
            trips.push(sent.elapsed().as_secs_f64() * 1e6);
        }
    }
    let ended = server.join();
    ended
        .map_err(|_| Failure("the thread that answers panicked".to_owned()))?
        .map_err(failed)?;
    median(trips.into_iter()).ok_or_else(|| Failure("no round trip was made".to_owned()))
}

/// Answers requests until the peer closes.
fn answer(listener: &TcpListener) -> std::io::Result<()> {
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let mut request = [0; REQUEST];
    loop {
        match socket.read_exact(&mut request) {
            Ok(()) => socket.write_all(&[2; ANSWER])?,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}
