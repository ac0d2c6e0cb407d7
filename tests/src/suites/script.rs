//! A script of `qa/workunits/rbd`: one test, which passes if its exit code is 0.
//!
//! Some scripts define functions and call them one after the other: each call is a test of its own, so that the
//! others count where one cannot pass.

use std::path::Path;
use std::time::Duration;

use super::{Outcome, Outcomes, Release, SCRIPT_FOLDER, two_sites};
use crate::exec::Program;
use crate::{Failure, Result};

/// The folder that scripts run in, as they see it.
pub(super) const FOLDER: &str = "/mnt/work/run";
/// How long a script may take.
const DEADLINE: Duration = Duration::from_secs(3600);
/// The scripts whose calls are tests.
const IN_PARTS: [&str; 2] = ["cli_generic.sh", "permissions.sh"];

/// Scripts for an image that a virtual machine uses. A load on an image takes the machine's place, for as long as the scripts need to
/// go through their steps twice.
const ON_USED_IMAGE: [&str; 2] = ["qemu_dynamic_features.sh", "qemu_rebuild_object_map.sh"];
/// Makes the image and begins the load.
const USE_IMAGE: &str = "rbd create --size 1G \
     --image-feature layering,exclusive-lock,object-map,fast-diff,journaling used && export IMAGE_NAME=used && \
     { timeout 200 rbd bench --io-type write --io-size 4K --io-threads 4 --io-pattern rand --io-total 1T used \
     >load.out 2>&1 & } && ";

/// Scripts that run at the same time and wait for each other; a run of the first one runs both.
const PAIRS: [(&str, &str); 1] = [("notify_master.sh", "notify_slave.sh")];

/// The names of the tests in the script `name`.
pub(super) fn tests(release: &Release, name: &str) -> Result<Vec<String>> {
    if PAIRS.iter().any(|(_, second)| *second == name) {
        return Ok(Vec::new());
    }
    let modes = two_sites::modes(name);
    if !modes.is_empty() {
        return Ok(modes.iter().map(|mode| format!("{name}::{mode}")).collect());
    }
    if !IN_PARTS.contains(&name) {
        return Ok(vec![name.to_owned()]);
    }
    let parts = parts(&text(release, name)?);
    Ok(parts
        .into_iter()
        .map(|part| format!("{name}::{}", part.name))
        .collect())
}

/// Runs the script, or one of its calls, in an empty folder.
pub(super) fn run(release: &Release, test: &str, work: &Path) -> Result<Outcomes> {
    let empty = work.join("run");
    let programs = Program::new("cp").args([
        "-r".as_ref(),
        super::tool("suites/bin").as_os_str(),
        work.as_os_str(),
    ]);
    programs.run()?.success()?;
    std::fs::create_dir_all(&empty).map_err(|e| Failure::new(empty.display(), e))?;
    let (name, part) = test.split_once("::").unwrap_or((test, ""));
    if !part.is_empty() && !two_sites::wants(name) {
        let parts = parts(&text(release, name)?);
        let part = parts.into_iter().find(|p| p.name == part);
        let part = part.ok_or_else(|| Failure(format!("no {test}")))?;
        let whole = work.join("ceph").join(SCRIPT_FOLDER).join(name);
        std::fs::write(&whole, part.script).map_err(|e| Failure::new(whole.display(), e))?;
    }
    let Some((_, second)) = PAIRS.iter().find(|(first, _)| *first == name) else {
        return Ok(Outcomes::from([(
            test.to_owned(),
            outcome(release, (name, part), work),
        )]));
    };
    let (first, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| outcome(release, (second, part), work));
        (outcome(release, (name, part), work), other.join())
    });
    let other = other.map_err(|_| Failure(format!("{second}: panicked")))?;
    Ok(Outcomes::from([
        (test.to_owned(), first),
        ((*second).to_owned(), other),
    ]))
}

/// Runs a script, in a mode if it has some.
fn outcome(release: &Release, (name, mode): (&str, &str), work: &Path) -> Outcome {
    let before = match ON_USED_IMAGE.contains(&name) {
        true => USE_IMAGE,
        false => "",
    };
    let variables = match two_sites::wants(name) {
        true => two_sites::variables(mode, FOLDER),
        false => String::new(),
    };
    // In `bin` are programs in whose place Debian's crash or do nothing; each says why. What the scripts keep in temporary
    // files may be larger than memory.
    let command = format!(
        "cd {FOLDER} && {before}PATH=/mnt/work/bin:$PATH TMPDIR={FOLDER} {variables} exec ../ceph/{SCRIPT_FOLDER}/{name} 2>&1"
    );
    let script = release.program(work, &["sh", "-c", &command]).deadline(DEADLINE);
    match script.run() {
        Ok(outcome) if outcome.status.success() => Outcome::Passed,
        Ok(outcome) => Outcome::Failed(outcome.to_string()),
        Err(failure) => Outcome::Failed(failure.0),
    }
}

fn text(release: &Release, name: &str) -> Result<String> {
    let path = release.folder.join(SCRIPT_FOLDER).join(name);
    std::fs::read_to_string(&path).map_err(|e| Failure::new(path.display(), e))
}

#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    script: String,
}

/// The calls at the end of a script, each with all the definitions and the assignments before it.
fn parts(text: &str) -> Vec<Part> {
    let is_call =
        |line: &str| line.starts_with("test_") && line.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let calls_at = text.lines().position(is_call).unwrap_or(usize::MAX);
    let head = text.lines().take(calls_at).map(|line| format!("{line}\n"));
    let (head, mut set, mut parts) = (head.collect::<String>(), String::new(), Vec::<Part>::new());
    for line in text.lines().skip(calls_at) {
        if !is_call(line) {
            if line.contains('=') {
                set = format!("{line}\n");
            }
            continue;
        }
        let before = parts
            .iter()
            .filter(|part| part.name.split('#').next() == Some(line));
        let name = match before.count() {
            0 => line.to_owned(),
            n => format!("{line}#{}", n + 1),
        };
        parts.push(Part {
            name,
            script: format!("{head}{set}{line}\n"),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_a_part_with_what_stands_before_it() {
        let parts = parts("set -e\ntest_a() {\n  true\n}\n\ntest_a\nX=1\ntest_a\necho OK\n");
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["test_a", "test_a#2"]);
        assert_eq!(parts[1].script, "set -e\ntest_a() {\n  true\n}\n\nX=1\ntest_a\n");
    }
}
