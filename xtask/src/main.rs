//! Common work on the repository: `cargo run -p xtask -- COMMAND`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rbdgate_tests::Failure;

mod bench;
mod capacity;
mod crowd;
mod fuzz;
mod instructions;
mod lean;
mod licences;
mod snapshots;

/// The result of a command: its failure is shown to the user as it is.
type Result<T, E = Failure> = std::result::Result<T, E>;

/// Common work on the repository.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Options),
    /// Runs the same jobs through rbdgate and with the CurveBS client alone on a simulated cluster, and prints what rbdgate adds.
    BenchCurve(bench::curve::Options),
    /// Prints what the server's processor time allows, driven by a lean client.
    Capacity(capacity::Options),
    /// Prints what thousands of connections that do nothing cost a client that works.
    Crowd(crowd::Options),
    /// Prints what a thousand snapshots of an image cost.
    Snapshots(snapshots::Options),
    /// Counts the instructions of the paths that each request goes through, and compares them with stored figures.
    Instructions(instructions::Options),
    /// Checks that every dependency has a licence that deny.toml allows.
    Licences,
    /// Builds the fuzz targets and runs each for a while.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::BenchCurve(options) => bench::curve::run(&options),
        Command::Capacity(options) => capacity::run(&options),
        Command::Crowd(options) => crowd::run(&options),
        Command::Snapshots(options) => snapshots::run(&options),
        Command::Instructions(options) => instructions::run(&options),
        Command::Licences => licences::run(),
        Command::Fuzz(options) => fuzz::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// The program that runs this one's builds.
fn cargo() -> std::process::Command {
    std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
