//! librbd as the client: fio's rbd engine on images that were written in full before.

use std::path::Path;
use std::time::Duration;

use rbdgate_tests::exec::Program;
use rbdgate_tests::fio::{self, Report};

use super::Plan;
use super::jobs::{CLIENTS, Client, Job};
use super::sample::Sample;
use super::server::Server;
use crate::{Failure, Result};

/// The image of all jobs but those of several clients.
pub(crate) const IMAGE: &str = "bench";
const SNAPSHOT: &str = "bench@before";
/// The longest that a run of fio may take.
const DEADLINE: Duration = Duration::from_secs(900);

/// The options of every run of fio, whatever its engine.
pub(super) fn load(job: &Job, plan: Plan) -> Vec<String> {
    vec![
        format!("--rw={}", job.rw),
        format!("--bs={}", job.block),
        format!("--iodepth={}", job.depth),
        format!("--runtime={}ms", plan.millis),
        "--time_based=1".to_owned(),
        "--rwmixread=70".to_owned(),
        "--refill_buffers=1".to_owned(),
        "--group_reporting=1".to_owned(),
    ]
}

/// The options that write or read all of something once.
pub(super) fn all_of(rw: &str, size: u64) -> Vec<String> {
    vec![
        format!("--rw={rw}"),
        "--bs=4M".to_owned(),
        "--iodepth=8".to_owned(),
        format!("--size={size}"),
        "--refill_buffers=1".to_owned(),
        "--name=all".to_owned(),
    ]
}

fn rbd(conf: &Path, args: &[&str]) -> Result<()> {
    let conf = conf.display().to_string();
    let program = Program::new("rbd").args(["-c", &conf]).args(args);
    program.deadline(DEADLINE).run()?.success().map(drop)
}

/// Creates an image, writes all of it and reads it again, so that caches have of it what they can.
pub(crate) fn fill(server: &Server, image: &str, size: u64) -> Result<()> {
    rbd(&server.conf(), &["create", "--size", &format!("{size}B"), image])?;
    for rw in ["write", "read"] {
        fio::rbd(&server.conf())
            .args([format!("--rbdname={image}")])
            .args(all_of(rw, size))
            .deadline(DEADLINE)
            .run()?
            .success()?;
    }
    Ok(())
}

/// The same for the images that each of several clients has for itself.
pub(super) fn fill_several(server: &Server, plan: Plan) -> Result<()> {
    (0..CLIENTS).try_for_each(|n| fill(server, &image_of(n), plan.small_image()))
}

fn image_of(client: u32) -> String {
    format!("{IMAGE}-{client}")
}

/// Runs a job of librbd.
pub(super) fn run(server: &Server, job: &Job, plan: Plan) -> Result<Sample> {
    let conf = match job.client {
        Client::Secure => server.secure_conf(),
        _ => server.conf(),
    };
    let mut program = fio::rbd(&conf).args(load(job, plan)).deadline(DEADLINE);
    let clients: Vec<String> = match job.client {
        Client::Several(count) => (0..count).map(image_of).collect(),
        _ => vec![IMAGE.to_owned()],
    };
    let size = match job.client {
        Client::Several(_) => plan.small_image(),
        _ => plan.image,
    };
    for (n, image) in clients.iter().enumerate() {
        program = program.args([
            format!("--name=client-{n}"),
            format!("--rbdname={image}"),
            format!("--size={size}"),
        ]);
    }
    let measured = || {
        let before = server.cpu_micros();
        let outcome = program.run()?.success()?;
        let cpu = server.cpu_micros().saturating_sub(before);
        Sample::of(&Report::of(&outcome)?, cpu)
    };
    match job.client {
        Client::AfterSnapshot => after_snapshot(server, |_| measured()),
        _ => measured(),
    }
}

/// Measures right after a snapshot of the image was made, whose number it is told; and removes that again.
pub(super) fn after_snapshot(
    server: &Server,
    measured: impl FnOnce(u64) -> Result<Sample>,
) -> Result<Sample> {
    server.settle();
    rbd(&server.conf(), &["snap", "create", SNAPSHOT])?;
    let conf = server.conf().display().to_string();
    let list = Program::new("rbd").args(["-c", &conf, "snap", "ls", "--format", "json", IMAGE]);
    let list = list.run()?.success()?.json();
    let newest = list.as_array().and_then(|all| all.last()?["id"].as_u64());
    let sample = measured(newest.ok_or_else(|| Failure("no snapshot was made".to_owned()))?)?;
    rbd(&server.conf(), &["snap", "rm", SNAPSHOT])?;
    server.settle();
    Ok(sample)
}
