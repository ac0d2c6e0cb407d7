//! A script of `qa/workunits/rbd`: one test, which passes if its exit code is 0.

use std::path::Path;

use super::{DEADLINE, Outcome, Outcomes, Release, SCRIPT_FOLDER};
use crate::{Failure, Result};

/// Runs the script in an empty folder, with the interpreter that its first line names.
pub(super) fn run(release: &Release, name: &str, work: &Path) -> Result<Outcomes> {
    let empty = work.join("run");
    std::fs::create_dir_all(&empty).map_err(|e| Failure::new(empty.display(), e))?;
    let command = format!("cd /mnt/work/run && exec ../ceph/{SCRIPT_FOLDER}/{name} 2>&1");
    let script = release.program(work, &["sh", "-c", &command]).deadline(DEADLINE);
    let outcome = match script.run() {
        Ok(outcome) if outcome.status.success() => Outcome::Passed,
        Ok(outcome) => Outcome::Failed(outcome.to_string()),
        Err(failure) => Outcome::Failed(failure.0),
    };
    Ok(Outcomes::from([(name.to_owned(), outcome)]))
}
