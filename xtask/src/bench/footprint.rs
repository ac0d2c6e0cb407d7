//! What a server with many images takes: memory, and time to start after `kill -9`.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encoding::types::{OpArgs, OpCode, OsdOp};
use msgr::auth::ConMode;
use rbdgate_tests::exec::Program;
use rbdgate_tests::old_client::{on_range, request};
use rbdgate_tests::process::memory;
use rbdgate_tests::raw_client::RawClient;

use super::server::Server;
use crate::lean::{OBJECT, Requests};
use crate::{Failure, Result, root};

/// Images.
pub(super) const IMAGES: u64 = 1000;
/// Bytes of each: 10 TiB in all.
const SIZE: u64 = (10 << 40) / IMAGES / OBJECT * OBJECT;
/// Objects that exist in full: 1 TiB.
const OBJECTS: u64 = (1 << 40) / OBJECT;
/// Requests under way at a time while they are made.
const DEPTH: usize = 64;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Footprint {
    /// Resident memory when all was made, bytes.
    pub(super) filled: u64,
    /// Resident memory after the restart, when all images were listed.
    pub(super) restarted: u64,
    /// From the start to the line that says that the server is ready.
    pub(super) start: Duration,
}

/// Makes the images on a server of its own, kills it and starts it again.
///
/// The data is simulated: each object is made and given its full size, so that the server knows of it what it knows of
/// one that was written, but its blocks are holes.
pub(super) fn measure(folder: &Path) -> Result<Footprint> {
    let mut server = Server::rbdgate(folder)?;
    let script = root().join("tests/python/provisioned.py");
    let made = Program::new("/usr/bin/python3")
        .args([script.as_os_str(), server.conf().as_os_str()])
        .args([IMAGES.to_string(), SIZE.to_string()])
        .deadline(Duration::from_secs(600))
        .run()?
        .success()?;
    let prefixes: Vec<String> =
        serde_json::from_value(made.json()).map_err(|e| Failure::new("prefixes of images", e))?;
    grow(&server, &prefixes)?;
    let filled = resident(&server)?;
    let Server::Rbdgate { server: process, .. } = &mut server else {
        return Err(Failure("not rbdgate".to_owned()));
    };
    process.kill();
    let begun = Instant::now();
    process.launch()?;
    let start = begun.elapsed();
    let conf = server.conf().display().to_string();
    Program::new("rbd")
        .args(["-c", &conf, "ls", "-l"])
        .run()?
        .success()?;
    Ok(Footprint {
        filled,
        restarted: resident(&server)?,
        start,
    })
}

/// Makes objects of full size, evenly over the images.
fn grow(server: &Server, prefixes: &[String]) -> Result<()> {
    let (mon_port, keyring) = server.raw_client();
    let client = RawClient::start(mon_port, &keyring, &[ConMode::CRC])?;
    let mut requests = Requests::over(client.osd(0)?);
    let images = prefixes.len().max(1) as u64;
    for n in 0..OBJECTS {
        let (image, object) = ((n % images) as usize, n / images);
        let prefix = prefixes.get(image).map_or("", String::as_str);
        let ops = vec![
            OsdOp::new(OpCode::CREATE, OpArgs::Raw([0; 28]), Bytes::new()),
            on_range(OpCode::TRUNCATE, OBJECT, 0, &[]),
        ];
        let oid = format!("{prefix}.{object:016x}");
        requests.queue(&request(&client.map, "rbd", &oid, true, ops)?);
        while requests.under_way() >= DEPTH {
            requests.receive()?;
        }
    }
    while requests.under_way() > 0 {
        requests.receive()?;
    }
    Ok(())
}

fn resident(server: &Server) -> Result<u64> {
    match server {
        Server::Rbdgate { server, .. } => server.pid().map(|pid| memory(pid, "VmRSS")),
        Server::Ceph { .. } => None,
    }
    .ok_or_else(|| Failure("rbdgate does not run".to_owned()))
}
