//! Fuzzing on the stable compiler: the flags that cargo-fuzz gives to rustc, without an installation of it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use serde::Deserialize;

use crate::{Failure, Result, cargo, root};

/// libFuzzer's instrumentation: edge counters, the table of their addresses, and compared operands.
const FLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Options of `fuzz`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The target; all of them without it.
    target: Option<String>,
    /// How many targets run at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// The seed of the mutations: with one, runs are alike.
    #[arg(long)]
    seed: Option<u32>,
    /// Adds the new inputs found to the corpus in the repository.
    #[arg(long)]
    keep: bool,
}

#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Bin>,
}

#[derive(Deserialize)]
struct Bin {
    name: String,
}

/// Builds the targets and runs them; fails where one finds an input that panics, hangs or takes too much memory.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = root().join("fuzz");
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|e| Failure::new(manifest.display(), e))?;
    let manifest: Manifest = toml::from_str(&text).map_err(|e| Failure::new(manifest.display(), e))?;
    let names: Vec<&str> = manifest.bin.iter().map(|bin| bin.name.as_str()).collect();
    let chosen: Vec<&str> = match &options.target {
        Some(target) if names.contains(&target.as_str()) => vec![target],
        Some(target) => return Err(Failure::new(format!("no target {target}"), names.join(", "))),
        None => names,
    };
    let programs = build(&folder)?;
    // Targets take their turn as one of the jobs gets free; all are run, whatever one finds.
    let queue = Mutex::new(chosen.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut failures = Vec::new();
        while let Some(name) = next() {
            failures.extend(fuzz(&folder, &programs.join(name), name, options).err());
        }
        failures
    };
    let failures: Vec<Failure> = std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..options.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let ended = jobs.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .flat_map(|job| job.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for failure in &failures {
        eprintln!("{failure}");
    }
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Builds all targets; returns the folder of the programs.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    // Its own folder: the flags would otherwise make the replay tests' build stale.
    let target = folder.join("target/fuzzing");
    let status = cargo()
        .args([
            "build",
            "--release",
            "--bins",
            "--features",
            "fuzzer",
            "--target",
            &host,
            "--target-dir",
        ])
        .arg(&target)
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        // Words apart by U+001F. With --target they do not reach build scripts.
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .status()
        .map_err(|e| Failure::new("cargo build", e))?;
    if !status.success() {
        return Err(Failure::new("build of the fuzz targets", status));
    }
    Ok(target.join(host).join("release"))
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc)
        .arg("-vV")
        .output()
        .map_err(|e| Failure::new("rustc", e))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Failure::new("rustc -vV", "names no host"))
}

fn fuzz(folder: &Path, program: &Path, name: &str, options: &Options) -> Result<()> {
    let make = |path: PathBuf| match std::fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(e) => Err(Failure::new(path.display(), e)),
    };
    let corpus = folder.join("corpus").join(name);
    let artifacts = make(folder.join("artifacts").join(name))?;
    let mut command = std::process::Command::new(program);
    // libFuzzer writes what it finds to the first folder.
    if !options.keep {
        command.arg(make(folder.join("target/found").join(name))?);
    }
    if let Some(seed) = options.seed {
        command.arg(format!("-seed={seed}"));
    }
    // Runs beside each other would mix their lines.
    let log = (options.jobs > 1).then(|| folder.join("target/found").join(format!("{name}.log")));
    if let Some(log) = &log {
        make(folder.join("target/found"))?;
        let file = std::fs::File::create(log).map_err(|e| Failure::new(log.display(), e))?;
        command.stderr(file);
    }
    let status = command
        .arg(corpus)
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            "-timeout=5",
            "-rss_limit_mb=1024",
            "-malloc_limit_mb=256",
            "-max_len=65536",
            "-print_final_stats=1",
        ])
        .status()
        .map_err(|e| Failure::new(program.display(), e))?;
    if status.success() {
        println!("{name}: nothing found in {} s", options.seconds);
        Ok(())
    } else {
        Err(Failure::new(
            format!(
                "{name} found something, see {}{}",
                artifacts.display(),
                log.as_deref().map_or_else(String::new, end_of)
            ),
            status,
        ))
    }
}

/// The last lines of a target's log, if it has one.
fn end_of(log: &Path) -> String {
    const LINES: usize = 40;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines
        .iter()
        .skip(from)
        .map(|line| format!("\n  {line}"))
        .collect()
}
