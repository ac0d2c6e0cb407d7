//! `[backend.curve]`: where images lie if not in local files. Only in the file: it has lists and a password.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    ConfigError,
    owners::{self, Mapping},
};

/// A CurveBS cluster as the backend.
#[derive(Clone, PartialEq, Eq)]
pub struct CurveSettings {
    /// Addresses of all MDS.
    pub mds: Vec<SocketAddr>,
    /// On whose behalf the gateway works, and whose volumes are that have no owner of their own.
    pub owner: String,
    /// Only the root owner has one.
    pub password: Option<String>,
    /// Where new volumes are made; the cluster chooses without.
    pub poolset: Option<String>,
    /// The smallest volume the cluster makes, in GiB.
    pub smallest_gib: u64,
    /// What is deleted is removed for good, and not kept in the recycle bin.
    pub purge: bool,
    /// Whose volumes are, and where they lie.
    pub mapping: Mapping,
}

impl std::fmt::Debug for CurveSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CurveSettings")
            .field("mds", &self.mds)
            .field("owner", &self.owner)
            .field("poolset", &self.poolset)
            .field("mapping", &self.mapping)
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
        "On whose behalf rbdgate works: the owner of directories and volumes, a name of CurveBS. Must be given.",
    ),
    (
        "password",
        "\"root_password\"",
        "The root owner's password; other owners have none. Without it `owner` is a name only.",
    ),
    (
        "volume-owner",
        "\"fixed\"",
        "Whose a new volume is: fixed, owner's; user, the Ceph user's that created the image (client.cinder's volumes are \
         cinder's). Users in the section [backend.curve.owners] have the owners named there in both cases. What has no user, as \
         snapshots' blocks, is owner's. Other owners than owner need the root owner's password, or directories that \
         begin with {owner}. Default fixed.",
    ),
    (
        "directory",
        "\"/{pool}\"",
        "The directory of new volumes: {pool} stands for the pool's name, {owner} for the volume's owner. Pools in the section \
         [backend.curve.directories] have the ones named there. What has {owner} in its name is that owner's. \
         Default /{pool}.",
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

/// Sections within the section: name, what it is, a row.
const TABLES: &[(&str, &str, &str)] = &[
    (
        "owners",
        "The owners of certain users' volumes, by the users' names without client. Behind all other keys of [backend.curve].",
        "cinder = \"openstack\"",
    ),
    (
        "directories",
        "The directories of certain pools.",
        "images = \"/glance/images\"",
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
    for (table, help, row) in TABLES {
        out.push_str(&format!("\n# {help}\n#[backend.curve.{table}]\n#{row}\n"));
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
    let keys: Vec<_> = KEYS.iter().map(|(key, ..)| *key).collect();
    let keys = [keys, TABLES.iter().map(|(table, ..)| *table).collect()].concat();
    if let Some(other) = curve.keys().find(|key| !keys.contains(&key.as_str())) {
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
            mapping: self.mapping()?,
        };
        let mapping = &settings.mapping;
        if let (None, true, Some(shared)) = (&settings.password, mapping.has_owners(), mapping.shared()) {
            return Err(self.bad(
                "directory",
                shared,
                "a path that begins with {owner}, as /{owner}/{pool}: without the root owner's password, owners cannot share \
                 a directory",
            ));
        }
        if settings.purge && settings.password.is_none() {
            return Err(self.bad(
                "delete",
                "purge",
                "recycle, or purge together with the root owner's password",
            ));
        }
        Ok(settings)
    }

    fn mapping(&self) -> Result<Mapping, ConfigError> {
        let path = "a path of CurveBS, not in /RecycleBin, with {pool} and {owner} in it or without";
        let pattern = |value: &toml::Value| value.as_str().and_then(owners::pattern);
        let name = |value: &toml::Value| value.as_str().and_then(owners::owner_name);
        Ok(Mapping {
            by_user: self
                .may("volume-owner", "fixed or user", |value| match value.as_str()? {
                    "fixed" => Some(false),
                    "user" => Some(true),
                    _ => None,
                })?
                .unwrap_or(false),
            owners: self.table("owners", "the name of an owner, without /", name)?,
            directories: self.table("directories", path, pattern)?,
            directory: self
                .may("directory", path, pattern)?
                .unwrap_or_else(|| Mapping::default().directory),
        })
    }

    /// A section of names and values.
    fn table<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&toml::Value) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, ConfigError> {
        let rows = self.may(key, "a section", |value| value.as_table().cloned())?;
        let rows = rows
            .into_iter()
            .flatten()
            .map(|(name, value)| match parse(&value) {
                Some(parsed) => Ok((name, parsed)),
                None => Err(self.bad(&format!("{key}.{name}"), &value.to_string(), allowed)),
            });
        rows.collect()
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
    fn owners_and_directories_are_mapped_as_the_tables_say() {
        let section = "[backend.curve]\nmds = [\"10.0.0.1:6666\"]\nowner = \"lab\"\n";
        let by_user = format!("{section}volume-owner = \"user\"\n");
        // Owners without a password cannot make anything in each other's directories.
        let error = parse_text(&by_user).unwrap_err().to_string();
        assert!(
            error.contains("backend.curve.directory") && error.contains("/{owner}/{pool}"),
            "{error}"
        );
        assert!(parse_text(&format!("{by_user}password = \"hush\"\n")).is_ok());
        let tables = "directory = \"/{owner}/{pool}\"\n[backend.curve.owners]\nglance = \"images\"\n";
        let mapping = parse_text(&format!("{section}{tables}"))
            .unwrap()
            .unwrap()
            .mapping;
        assert_eq!(mapping.owner("client.glance"), Some("images"));
        assert_eq!(mapping.directory("rbd"), "/{owner}/{pool}");
        for (wrong, key) in [
            ("volume-owner = \"cinder\"", "backend.curve.volume-owner"),
            ("directory = \"{pool}\"", "backend.curve.directory"),
            ("owners = 3", "backend.curve.owners"),
            (
                "[backend.curve.owners]\nglance = \"a/b\"",
                "backend.curve.owners.glance",
            ),
            (
                "[backend.curve.directories]\nrbd = \"/RecycleBin\"",
                "backend.curve.directories.rbd",
            ),
        ] {
            let error = parse_text(&format!("{section}{wrong}")).unwrap_err().to_string();
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
