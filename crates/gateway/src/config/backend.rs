//! `[backend.curve]`: where images lie if not in local files. Only in the file: it has lists and a password.

use std::net::SocketAddr;

use super::ConfigError;

/// A CurveBS cluster as the backend.
#[derive(Clone, PartialEq, Eq)]
pub struct CurveSettings {
    /// Addresses of all MDS.
    pub mds: Vec<SocketAddr>,
    /// On whose behalf.
    pub owner: String,
    /// Only the root owner has one.
    pub password: Option<String>,
    /// Where new volumes are made; the cluster chooses without.
    pub poolset: Option<String>,
    /// The smallest volume the cluster makes, in GiB.
    pub smallest_gib: u64,
    /// What is deleted is removed for good, and not kept in the recycle bin.
    pub purge: bool,
}

impl std::fmt::Debug for CurveSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CurveSettings")
            .field("mds", &self.mds)
            .field("owner", &self.owner)
            .field("poolset", &self.poolset)
            .finish_non_exhaustive()
    }
}

/// A key of the section: an example, whether it may be left out and what it is then, what it is.
type Key = (&'static str, &'static str, &'static str);

const KEYS: &[Key] = &[
    (
        "mds",
        "[\"10.0.0.1:6666\", \"10.0.0.2:6666\", \"10.0.0.3:6666\"]",
        "Addresses of all MDS, a list of IP:PORT. Must be given.",
    ),
    (
        "owner",
        "\"rbdgate\"",
        "The owner of directories and volumes, a name of CurveBS. Must be given.",
    ),
    (
        "password",
        "\"root_password\"",
        "The root owner's password; other owners have none. Without it `owner` is a name only.",
    ),
    (
        "poolset",
        "\"default\"",
        "The poolset of new volumes. The cluster chooses if it is not given.",
    ),
    (
        "smallest-gib",
        "10",
        "The smallest volume that the cluster makes, in GiB (mds.curvefs.minFileLength). Default 10.",
    ),
    (
        "delete",
        "\"recycle\"",
        "What becomes of a removed image's volume: recycle moves it to /RecycleBin, which frees nothing; purge removes \
         it for good, which only the root owner may. Default recycle.",
    ),
];

/// The section, explained and commented out.
pub(super) fn commented() -> String {
    let mut out = String::from(
        "\n# Where images lie. In files of the data folder, unless this section names a CurveBS cluster: then each image is a\n\
         # volume /POOL/ID there. A data folder stays with what it was made with. Only in this file.\n#[backend.curve]\n",
    );
    for (key, example, help) in KEYS {
        out.push_str(&format!("\n# {help}\n#{key} = {example}\n"));
    }
    out
}

/// What the file says in `[backend]`.
pub(super) fn parse(file: &str, value: &toml::Value) -> Result<Option<CurveSettings>, ConfigError> {
    let known = |key: &str, known: String| ConfigError::UnknownKey {
        file: file.to_owned(),
        key: key.to_owned(),
        known,
    };
    let section = |value: &toml::Value, key: &str| {
        value.as_table().cloned().ok_or_else(|| ConfigError::File {
            file: file.to_owned(),
            reason: format!("{key} is a section: write [backend.curve]"),
        })
    };
    let backend = section(value, "backend")?;
    if let Some(other) = backend.keys().find(|key| *key != "curve") {
        return Err(known(&format!("backend.{other}"), "backend.curve".to_owned()));
    }
    let Some(curve) = backend.get("curve") else {
        return Ok(None);
    };
    let curve = section(curve, "backend.curve")?;
    if let Some(other) = curve.keys().find(|key| !KEYS.iter().any(|(k, ..)| k == key)) {
        let keys: Vec<_> = KEYS.iter().map(|(key, ..)| *key).collect();
        return Err(known(&format!("backend.curve.{other}"), keys.join(", ")));
    }
    Section { file, curve }.settings().map(Some)
}

struct Section<'a> {
    file: &'a str,
    curve: toml::Table,
}

impl Section<'_> {
    fn settings(&self) -> Result<CurveSettings, ConfigError> {
        let number = |from: u64, to: u64| {
            move |value: &toml::Value| {
                let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
                number.filter(|n| (from..=to).contains(n))
            }
        };
        let name = |value: &toml::Value| value.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        let settings = CurveSettings {
            mds: self.must("mds", "a list of IP:PORT, not empty", |value| {
                let list: Option<Vec<SocketAddr>> = value
                    .as_array()?
                    .iter()
                    .map(|at| at.as_str()?.parse().ok())
                    .collect();
                list.filter(|list| !list.is_empty())
            })?,
            owner: self.must("owner", "the name of an owner", name)?,
            password: self.may("password", "a text that is not empty", name)?,
            poolset: self.may("poolset", "the name of a poolset", name)?,
            smallest_gib: self
                .may(
                    "smallest-gib",
                    "a number of GiB from 1 to 20480",
                    number(1, 20480),
                )?
                .unwrap_or(10),
            purge: self
                .may("delete", "recycle or purge", |value| match value.as_str()? {
                    "recycle" => Some(false),
                    "purge" => Some(true),
                    _ => None,
                })?
                .unwrap_or(false),
        };
        if settings.purge && settings.password.is_none() {
            return Err(self.bad(
                "delete",
                "purge",
                "recycle, or purge together with the root owner's password",
            ));
        }
        Ok(settings)
    }

    fn must<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl FnOnce(&toml::Value) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.may(key, allowed, parse)?
            .ok_or_else(|| self.bad(key, "", allowed))
    }

    fn may<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl FnOnce(&toml::Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.curve.get(key) else {
            return Ok(None);
        };
        match parse(value) {
            Some(parsed) => Ok(Some(parsed)),
            // What was meant as a password is not for the log.
            None if key == "password" => Err(self.bad(key, "...", allowed)),
            None => Err(self.bad(key, &value.to_string(), allowed)),
        }
    }

    fn bad(&self, key: &str, value: &str, allowed: &str) -> ConfigError {
        ConfigError::BadValue {
            source_name: self.file.to_owned(),
            key: format!("backend.curve.{key}"),
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Option<CurveSettings>, ConfigError> {
        let table: toml::Table = text.parse().unwrap();
        parse("rbdgate.toml", &table["backend"])
    }

    #[test]
    fn a_cluster_needs_its_mds_and_an_owner() {
        let section = "[backend.curve]\nmds = [\"10.0.0.1:6666\"]\nowner = \"lab\"";
        let settings = parse_text(section).unwrap().unwrap();
        assert_eq!(settings.mds, ["10.0.0.1:6666".parse().unwrap()]);
        assert_eq!(
            (settings.owner.as_str(), settings.smallest_gib, settings.purge),
            ("lab", 10, false)
        );
        for (text, key) in [
            ("[backend.curve]\nowner = \"lab\"", "backend.curve.mds"),
            ("[backend.curve]\nmds = []\nowner = \"lab\"", "backend.curve.mds"),
            (
                "[backend.curve]\nmds = [\"host:1\"]\nowner = \"lab\"",
                "backend.curve.mds",
            ),
            ("[backend.curve]\nmds = [\"1.1.1.1:1\"]", "backend.curve.owner"),
            ("[backend.curve]\nwirters = 3", "backend.curve.wirters"),
            ("[backend.ceph]", "backend.ceph"),
        ] {
            let error = parse_text(text).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn only_the_root_owner_can_purge_and_no_password_is_shown() {
        let section = "[backend.curve]\nmds = [\"10.0.0.1:6666\"]\nowner = \"root\"\n";
        let purge = format!("{section}delete = \"purge\"\n");
        assert!(parse_text(&purge).unwrap_err().to_string().contains("password"));
        let settings = parse_text(&format!("{purge}password = \"hush\""))
            .unwrap()
            .unwrap();
        assert!(settings.purge && !format!("{settings:?}").contains("hush"));
        let error = parse_text(&format!("{section}password = 17"))
            .unwrap_err()
            .to_string();
        assert!(!error.contains("17"), "{error}");
    }

    #[test]
    fn the_commented_section_is_valid_when_its_marks_are_taken_away() {
        let active: String = commented()
            .lines()
            .filter(|line| !line.starts_with("# "))
            .map(|line| format!("{}\n", line.trim_start_matches('#')))
            .collect();
        assert!(parse_text(&active).unwrap().is_some());
    }
}
