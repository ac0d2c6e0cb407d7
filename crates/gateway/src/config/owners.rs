//! Whose volumes are, and in which directories they lie: the part of `[backend.curve]` that maps users to owners and pools to
//! directories.

use std::collections::BTreeMap;

/// In a directory's pattern: the pool's name, and the owner of the volume.
pub const POOL: &str = "{pool}";
/// See [`POOL`].
pub const OWNER: &str = "{owner}";

/// From users to owners, and from pools to directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// A volume belongs to the user that created its image; otherwise to the gateway's own owner.
    pub by_user: bool,
    /// Owners of certain users' volumes, by the users' names without `client.`.
    pub owners: BTreeMap<String, String>,
    /// Patterns of certain pools' directories.
    pub directories: BTreeMap<String, String>,
    /// The pattern of all other pools' directories.
    pub directory: String,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            by_user: false,
            owners: BTreeMap::new(),
            directories: BTreeMap::new(),
            directory: format!("/{POOL}"),
        }
    }
}

impl Mapping {
    /// The owner of the volumes of images that an entity created (`client.admin`); `None`: the gateway's own.
    #[must_use]
    pub fn owner<'a>(&'a self, creator: &'a str) -> Option<&'a str> {
        // Daemons create images only on others' behalf.
        let user = creator.strip_prefix("client.")?;
        let named = self.owners.get(user).map(String::as_str);
        named.or(self.by_user.then_some(user))
    }

    /// The pattern of a pool's directory.
    #[must_use]
    pub fn directory(&self, pool: &str) -> &str {
        self.directories.get(pool).unwrap_or(&self.directory)
    }

    /// Whether there may be owners besides the gateway's own.
    #[must_use]
    pub fn has_owners(&self) -> bool {
        self.by_user || !self.owners.is_empty()
    }

    /// A pattern whose first directory is shared between owners, so that only the root owner can make volumes in it for all.
    #[must_use]
    pub fn shared(&self) -> Option<&str> {
        let shared = |pattern: &&str| !first(pattern).contains(OWNER);
        self.patterns().find(shared)
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        let own = self.directories.values();
        own.chain([&self.directory]).map(String::as_str)
    }
}

fn first(pattern: &str) -> &str {
    pattern.trim_start_matches('/').split('/').next().unwrap_or("")
}

/// The pattern of a directory: a path of CurveBS, with or without [`POOL`] and [`OWNER`] in it. `None` if it is none.
#[must_use]
pub fn pattern(text: &str) -> Option<String> {
    let parts = text.strip_prefix('/')?;
    let usable = |part: &str| {
        let fixed = part.replace(POOL, "").replace(OWNER, "");
        !part.is_empty() && !fixed.contains(['{', '}'])
    };
    // CurveBS keeps there what was deleted.
    let taken = first(text) == "RecycleBin";
    (parts.split('/').all(usable) && !taken).then(|| text.to_owned())
}

/// The name of an owner.
#[must_use]
pub fn owner_name(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('/')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_volumes_are_the_gateways_his_own_or_somebody_elses() {
        let mut mapping = Mapping::default();
        assert_eq!(mapping.owner("client.cinder"), None);
        mapping.owners.insert("cinder".into(), "tenants".into());
        assert_eq!(mapping.owner("client.cinder"), Some("tenants"));
        assert_eq!(mapping.owner("client.glance"), None);
        mapping.by_user = true;
        assert_eq!(mapping.owner("client.glance"), Some("glance"));
        assert_eq!(mapping.owner("client.cinder"), Some("tenants"));
        assert_eq!(mapping.owner("mgr.x"), None);
    }

    #[test]
    fn a_directory_is_a_path_with_marks_for_pool_and_owner() {
        for good in ["/{pool}", "/{owner}/{pool}", "/ceph", "/a/{owner}-{pool}/b"] {
            assert_eq!(pattern(good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "/",
            "{pool}",
            "/a/",
            "//a",
            "/{image}",
            "/{pool",
            "/RecycleBin",
            "/RecycleBin/{pool}",
        ] {
            assert_eq!(pattern(bad), None, "{bad}");
        }
    }

    #[test]
    fn directories_are_shared_unless_they_begin_with_the_owner() {
        let mut mapping = Mapping {
            directory: "/{owner}/{pool}".into(),
            ..Mapping::default()
        };
        assert_eq!(mapping.shared(), None);
        mapping.directories.insert("rbd".into(), "/all/{owner}".into());
        assert_eq!(mapping.shared(), Some("/all/{owner}"));
        assert_eq!(mapping.directory("rbd"), "/all/{owner}");
        assert_eq!(mapping.directory("vms"), "/{owner}/{pool}");
    }
}
