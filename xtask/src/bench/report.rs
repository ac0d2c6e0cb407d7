//! The tables: rows of Markdown, as docs/performance.md has them.

use std::path::Path;

use rbdgate_tests::exec::Program;

use super::footprint::{Footprint, IMAGES};
use super::jobs::Reference;
use super::sample::Sample;
use super::targets::{Bound, Figure, TARGETS, Target, Yardstick};
use super::{Plan, Results, Row, Side};

/// The name of what a server with many images takes.
pub(super) const FOOTPRINT: &str = "memory and start with 1,000 images, 10 TiB provisioned, 1 TiB written";
/// What its memory and its start are to stay below: bytes, seconds.
const MOST_MEMORY: f64 = (512_u64 << 20) as f64;
const LONGEST_START: f64 = 2.0;

/// Prints the machine and the tables.
pub(super) fn print(results: &Results, plan: Plan, folder: &Path) {
    println!("{}", machine(folder));
    println!(
        "Image {} GiB, written in full before; {} round(s) of {} s for each job, medians.\n",
        plan.image >> 30,
        plan.rounds,
        plan.millis as f64 / 1e3
    );
    println!("| job | figure | rbdgate | Ceph | ratio | target | limit | measured by | ratio | target |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for target in &TARGETS {
        if let Some(line) = compared(results, target) {
            println!("{line}");
        }
    }
    if let Some(footprint) = results.footprint {
        print_footprint(footprint);
    }
    println!("\n| job | side | IOPS | MB/s | p50 us | p99 us | CPU us/op |");
    println!("|---|---|---|---|---|---|---|");
    for row in &results.rows {
        for side in Side::ALL {
            if let Some(line) = details(row, side) {
                println!("{line}");
            }
        }
    }
    if let Some(loopback) = results.loopback {
        println!("| round trip over loopback TCP | limit | - | - | {loopback:.0} | - | - |");
    }
}

/// The row of a target, if its job was measured.
fn compared(results: &Results, target: &Target) -> Option<String> {
    let figure = target.figure;
    let of = |name: &str, side| {
        let row = results.rows.iter().find(|row| row.job.name == name)?;
        row.median(side, |sample| figure.of(sample))
    };
    let number = |value: Option<f64>| value.map_or_else(dash, |v| format!("{v:.*}", figure.digits()));
    let own = of(target.job, Side::Rbdgate)?;
    let ceph = of(target.job, Side::Ceph).filter(|_| target.ceph.is_some());
    let (limit, by, bound) = match target.limit {
        None => (None, dash(), None),
        Some((yardstick, bound)) => {
            let (limit, by) = match yardstick {
                Yardstick::Reference(name) => (of(name, Side::Limits), measured_by(results, name)),
                Yardstick::ReferenceAndLoopback(name) => {
                    let both = of(name, Side::Limits).zip(results.loopback);
                    let by = format!("{} + loopback", measured_by(results, name));
                    (both.map(|(reference, loopback)| reference + loopback), by)
                }
                Yardstick::Own(name) => (of(name, Side::Rbdgate), format!("own {name}")),
                Yardstick::Stated(value) => (Some(value), "stated".to_owned()),
            };
            (limit, by, Some(bound))
        }
    };
    let cells = [
        target.job.to_owned(),
        figure.name().to_owned(),
        number(Some(own)),
        number(ceph),
        ratio(own, ceph),
        verdict(own, ceph, target.ceph),
        number(limit),
        by,
        ratio(own, limit),
        verdict(own, limit, bound),
    ];
    Some(format!("| {} |", cells.join(" | ")))
}

/// The reference of a job in words.
fn measured_by(results: &Results, name: &str) -> String {
    let row = results.rows.iter().find(|row| row.job.name == name);
    match row.and_then(|row| row.job.reference) {
        Some(Reference::Disk) => "disk".to_owned(),
        Some(Reference::Nbd) => "qemu-nbd".to_owned(),
        None => dash(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn ratio(own: f64, other: Option<f64>) -> String {
    other.map_or_else(dash, |other| format!("{:.2}", own / other))
}

/// The target of a ratio, and whether it is met.
fn verdict(own: f64, other: Option<f64>, bound: Option<Bound>) -> String {
    let Some(bound) = bound else { return dash() };
    let text = match bound {
        Bound::AtLeast(least) => format!(">= {least}"),
        Bound::AtMost(most) => format!("<= {most}"),
    };
    match other {
        Some(other) if bound.is_met(own / other) => format!("{text} met"),
        Some(_) => format!("{text} MISSED"),
        None => text,
    }
}

fn print_footprint(footprint: Footprint) {
    let memory = footprint.filled.max(footprint.restarted) as f64;
    let start = footprint.start.as_secs_f64();
    let rows = [
        (
            "memory, MiB",
            memory / f64::from(1 << 20),
            MOST_MEMORY / f64::from(1 << 20),
        ),
        ("start after kill -9, s", start, LONGEST_START),
    ];
    for (figure, own, limit) in rows {
        println!(
            "| {IMAGES} images, 10 TiB provisioned, 1 TiB written | {figure} | {own:.2} | - | - | - | {limit} | stated | {} | {} |",
            ratio(own, Some(limit)),
            verdict(own, Some(limit), Some(Bound::AtMost(1.0))),
        );
    }
}

/// The medians of a job on a side, if it ran there.
fn details(row: &Row, side: Side) -> Option<String> {
    let figure = |of: fn(&Sample) -> f64, digits: usize| {
        let value = row.median(side, of)?;
        Some(format!("{value:.digits$}"))
    };
    let cells = [
        row.job.name.to_owned(),
        side.name().to_owned(),
        figure(|sample| sample.iops, 0)?,
        figure(|sample| Figure::Bandwidth.of(sample), 0)?,
        figure(|sample| sample.p50, 0)?,
        figure(|sample| sample.p99, 0)?,
        figure(|sample| sample.cpu, 1)?,
    ];
    Some(format!("| {} |", cells.join(" | ")))
}

/// What the figures were measured on.
fn machine(folder: &Path) -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let text = |program: &str, args: &[&str]| {
        let outcome = Program::new(program).args(args).run();
        outcome.map(|outcome| outcome.text()).unwrap_or_default()
    };
    let first = |program: &str| {
        let version = text(program, &["--version"]);
        version.lines().next().unwrap_or_default().to_owned()
    };
    let folder = folder.display().to_string();
    let disk = text("findmnt", &["-n", "-o", "SOURCE,FSTYPE", "-T", &folder]);
    format!(
        "Machine: {count} x{}, Linux {}, disk {}. {}; {}; {}.",
        model.replace(['\t', ':'], ""),
        text("uname", &["-r"]),
        disk.split_whitespace().collect::<Vec<_>>().join(" "),
        first("fio"),
        first("ceph-osd"),
        first("qemu-nbd"),
    )
}
