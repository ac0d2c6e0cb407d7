//! The tests that may do anything but pass: `tests/suites/excluded.toml`, which also says what each of them does
//! instead, and why. A test that does something else than is written there makes the run fail, and so does an entry for a test that
//! does not exist: the list only shrinks.

use std::collections::BTreeMap;

use super::{Outcome, Outcomes, Release};
use crate::{Failure, Result};

/// What an excluded test does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is not run at all.
    NotRun,
    /// It runs and says that it does not apply.
    Skips,
    /// It runs and fails.
    Fails,
    /// It passes, but sometimes its client crashes, whatever the server: then it is run again.
    Crashes,
}

/// The excluded tests of one release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded(BTreeMap<String, Kind>);

impl Excluded {
    /// The entries of the repository's list that concern `release`.
    pub fn of(release: &Release) -> Result<Self> {
        let path = super::tool("suites/excluded.toml");
        let fail = |e: &dyn std::fmt::Display| Failure::new(path.display(), e);
        let text = std::fs::read_to_string(&path).map_err(|e| fail(&e))?;
        Self::parse(&text, &release.debian).map_err(|e| fail(&e))
    }

    fn parse(text: &str, debian: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|e| Failure::new("not TOML", e))?;
        let entries = table.get("excluded").and_then(toml::Value::as_array);
        let mut tests = BTreeMap::new();
        for entry in entries.ok_or_else(|| Failure("no [[excluded]]".to_owned()))? {
            let strings = |key: &str| -> Vec<&str> {
                let list = entry.get(key).and_then(toml::Value::as_array);
                list.into_iter()
                    .flatten()
                    .filter_map(toml::Value::as_str)
                    .collect()
            };
            let kind = match entry.get("outcome").and_then(toml::Value::as_str) {
                Some("not-run") => Kind::NotRun,
                Some("skips") => Kind::Skips,
                Some("fails") => Kind::Fails,
                Some("crashes") => Kind::Crashes,
                other => return Err(Failure(format!("outcome {other:?} in {entry}"))),
            };
            let reason = entry
                .get("reason")
                .and_then(toml::Value::as_str)
                .unwrap_or_default();
            let names = strings("tests");
            if names.is_empty() || reason.is_empty() {
                return Err(Failure(format!("no tests or no reason in {entry}")));
            }
            let releases = strings("on");
            if !releases.is_empty() && !releases.contains(&debian) {
                continue;
            }
            for name in names {
                if tests.insert(name.to_owned(), kind).is_some() {
                    return Err(Failure(format!("{name} is there twice")));
                }
            }
        }
        Ok(Self(tests))
    }

    /// Whether the suite file `name` is to be run.
    #[must_use]
    pub fn runs(&self, name: &str) -> bool {
        self.0.get(name) != Some(&Kind::NotRun)
    }

    /// The tests of the suite file `file` that do that.
    #[must_use]
    pub fn of_kind(&self, wanted: Kind, file: &str) -> Vec<&str> {
        let tests = self
            .0
            .iter()
            .filter(|(name, kind)| **kind == wanted && belongs(name, file));
        tests.map(|(name, _)| name.as_str()).collect()
    }

    /// Complaints about tests of the suite file `file` that did what they should not, and entries without a test.
    #[must_use]
    pub fn judge(&self, file: &str, outcomes: &Outcomes) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, outcome) in outcomes {
            match (outcome, self.0.get(name)) {
                (Outcome::Passed, None | Some(Kind::Crashes))
                | (Outcome::Skipped(_), Some(Kind::Skips))
                | (Outcome::Failed(_), Some(Kind::Fails)) => {}
                (Outcome::Passed, Some(_)) => {
                    complaints.push(format!("{name} passes: take it off the list of excluded tests"));
                }
                (Outcome::Skipped(why), _) => complaints.push(format!("{name} is skipped: {why}")),
                (Outcome::Failed(why), _) => complaints.push(format!("{name} fails: {why}")),
            }
        }
        let entries = self
            .0
            .iter()
            .filter(|(name, kind)| **kind != Kind::NotRun && belongs(name, file));
        let stale = entries.filter(|(name, _)| !outcomes.contains_key(*name));
        complaints.extend(stale.map(|(name, _)| format!("there is no test {name}, but an entry for it")));
        complaints
    }

    /// Complaints about entries for suite files that are not there.
    #[must_use]
    pub fn without_file(&self, files: &[String]) -> Vec<String> {
        self.0
            .keys()
            .filter(|name| !files.iter().any(|file| belongs(name, file)))
            .map(|name| format!("there is no suite file for {name}, but an entry"))
            .collect()
    }
}

/// Whether the test `name` is of the suite file `file`.
fn belongs(name: &str, file: &str) -> bool {
    name.strip_prefix(file)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "[[excluded]]\noutcome = \"fails\"\ntests = [\"t.py::a\"]\nreason = \"r\"\n\
                        [[excluded]]\non = [\"sid\"]\noutcome = \"not-run\"\ntests = [\"k.sh\"]\nreason = \"r\"\n";

    fn list(debian: &str) -> Excluded {
        Excluded::parse(LIST, debian).unwrap_or_default()
    }

    fn outcomes(name: &str, outcome: Outcome) -> Outcomes {
        Outcomes::from([(name.to_owned(), outcome)])
    }

    #[test]
    fn what_the_list_says_is_no_complaint() {
        let failed = outcomes("t.py::a", Outcome::Failed(String::new()));
        assert!(list("sid").judge("t.py", &failed).is_empty());
    }

    #[test]
    fn an_unexpected_pass_is_one() {
        let passed = outcomes("t.py::a", Outcome::Passed);
        assert!(list("sid").judge("t.py", &passed)[0].contains("take it off"));
    }

    #[test]
    fn an_unexpected_failure_or_skip_is_one() {
        for outcome in [Outcome::Failed(String::new()), Outcome::Skipped(String::new())] {
            assert_eq!(
                Excluded::default()
                    .judge("t.py", &outcomes("t.py::b", outcome))
                    .len(),
                1
            );
        }
    }

    #[test]
    fn a_test_whose_client_may_crash_must_pass_all_the_same() {
        let list = Excluded::parse(&LIST.replace("fails", "crashes"), "sid").unwrap_or_default();
        assert_eq!(list.of_kind(Kind::Crashes, "t.py"), ["t.py::a"]);
        assert!(
            list.judge("t.py", &outcomes("t.py::a", Outcome::Passed))
                .is_empty()
        );
        let failed = outcomes("t.py::a", Outcome::Failed(String::new()));
        assert_eq!(list.judge("t.py", &failed).len(), 1);
    }

    #[test]
    fn an_entry_without_a_test_is_one() {
        assert!(list("sid").judge("t.py", &Outcomes::new())[0].contains("no test t.py::a"));
        assert_eq!(list("sid").without_file(&["t.py".to_owned()]).len(), 1);
    }

    #[test]
    fn an_entry_may_be_for_one_release() {
        assert!(!list("sid").runs("k.sh"));
        assert!(list("trixie").runs("k.sh"));
    }

    #[test]
    fn an_entry_without_a_reason_is_refused() {
        assert!(Excluded::parse(&LIST.replace("reason = \"r\"", ""), "sid").is_err());
    }
}
