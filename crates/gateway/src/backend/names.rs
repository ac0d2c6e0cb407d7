//! From the store's names of volumes to paths in the cluster, and how the place of a volume is recorded.
//!
//! `pool-1.image-ID` becomes `/POOL/ID`, that of a namespace `/POOL/ns-NAMESPACE.ID`, that of a separate data pool `/POOL/POOLID.ID`,
//! and `pool-1.slots` `/POOL/.slots-1`, all in the directory that the settings name for the pool. A directory keeps the name that its
//! pool had when the volume was made.

use std::fmt;

use crate::config::owners::{Mapping, OWNER, POOL};

/// Where a volume lies, as the store records it: its path, and before it `OWNER:` if it is not the gateway's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The owner; `None`: the gateway's own.
    pub(super) owner: Option<&'a str>,
    /// The path in the cluster.
    pub(super) path: &'a str,
}

impl<'a> Place<'a> {
    /// Takes a record apart. No owner's name has a slash, and every path begins with one.
    pub(super) fn parse(record: &'a str) -> Self {
        let (owner, path) = record.split_at(record.find('/').unwrap_or(0));
        Self {
            owner: owner.strip_suffix(':'),
            path,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = self.owner {
            write!(f, "{owner}:")?;
        }
        f.write_str(self.path)
    }
}

/// The pool's number in a volume's name.
pub(super) fn pool_of(name: &str) -> Option<i64> {
    name.strip_prefix("pool-")?.split_once('.')?.0.parse().ok()
}

/// One of the directories on the way to a volume.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) path: String,
    /// It belongs to the volume's owner: it, or one above it, has the owner's name.
    pub(super) owned: bool,
}

/// The directories on the way to a volume of `owner`, from the top.
pub(super) fn directories_of(
    name: &str,
    pool_name: Option<&str>,
    mapping: &Mapping,
    owner: &str,
) -> Vec<Directory> {
    let pool = name.split_once('.').map_or("other", |(pool, _)| pool);
    // A name that is no component of a path, or that the cluster uses itself.
    let usable = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "RecycleBin";
    let pattern = mapping.directory(pool_name.unwrap_or(pool));
    let pool = pool_name.filter(usable).unwrap_or(pool);
    let owner = match owner.replace('/', "%2f") {
        taken if taken == "RecycleBin" => "%52ecycleBin".to_owned(),
        owner => owner,
    };
    let mut path = String::new();
    let mut owned = false;
    let parts = pattern.trim_start_matches('/').split('/');
    let directory = |part: &str| {
        owned |= part.contains(OWNER);
        path.push('/');
        // The owner last: nothing in his name is a mark.
        path.push_str(&part.replace(POOL, pool).replace(OWNER, &owner));
        Directory {
            path: path.clone(),
            owned,
        }
    };
    parts.map(directory).collect()
}

/// The file of a volume in its directory.
pub(super) fn file_of(name: &str) -> String {
    let (pool, rest) = name.split_once('.').unwrap_or(("other", name));
    let file = if rest == "slots" {
        format!(".slots-{}", pool.trim_start_matches("pool-"))
    } else if let Some(image) = rest.strip_prefix("image-") {
        image.to_owned()
    } else {
        // The namespace's name has no dot before `.image-` that could be mistaken: the image's id has none.
        match rest.rsplit_once(".image-") {
            Some((nspace, image)) => format!("{nspace}.{image}"),
            None => rest.to_owned(),
        }
    };
    file.replace('/', "%2f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str, pool: Option<&str>, mapping: &Mapping) -> String {
        let mut all = directories_of(name, pool, mapping, "alice");
        all.pop().unwrap().path
    }

    #[test]
    fn an_image_lies_in_the_directory_of_its_pool_under_its_id() {
        let mapping = Mapping::default();
        let path =
            |name: &str, pool: Option<&str>| format!("{}/{}", directory(name, pool, &mapping), file_of(name));
        assert_eq!(path("pool-1.image-10ab", Some("rbd")), "/rbd/10ab");
        assert_eq!(path("pool-1.slots", Some("rbd")), "/rbd/.slots-1");
        assert_eq!(
            path("pool-2.ns-team.image-10ab", Some("vms")),
            "/vms/ns-team.10ab"
        );
        assert_eq!(path("pool-3.image-2.10ab", Some("data")), "/data/2.10ab");
        assert_eq!(path("pool-3.ns-a/b.image-1", Some("data")), "/data/ns-a%2fb.1");
        assert_eq!(path("pool-4.image-1", Some("a/b")), "/pool-4/1");
        assert_eq!(path("pool-4.image-1", Some("RecycleBin")), "/pool-4/1");
        assert_eq!(path("pool-4.image-1", None), "/pool-4/1");
        assert_eq!(pool_of("pool-41.image-1"), Some(41));
        assert_eq!(pool_of("other"), None);
    }

    #[test]
    fn directories_follow_the_settings_and_those_behind_the_owners_name_are_his() {
        let mut mapping = Mapping {
            directory: "/ceph/{owner}/{pool}".to_owned(),
            ..Mapping::default()
        };
        mapping
            .directories
            .insert("images".to_owned(), "/glance".to_owned());
        let found = directories_of("pool-1.image-1", Some("rbd"), &mapping, "alice");
        let found: Vec<_> = found.iter().map(|d| (d.path.as_str(), d.owned)).collect();
        assert_eq!(
            found,
            [("/ceph", false), ("/ceph/alice", true), ("/ceph/alice/rbd", true)]
        );
        assert_eq!(directory("pool-2.image-1", Some("images"), &mapping), "/glance");
        let odd = |owner: &str| {
            let mapping = Mapping {
                directory: "/{owner}".to_owned(),
                ..Mapping::default()
            };
            directories_of("pool-1.image-1", None, &mapping, owner)
                .remove(0)
                .path
        };
        assert_eq!(odd("a/{pool}"), "/a%2f{pool}");
        assert_eq!(odd("RecycleBin"), "/%52ecycleBin");
    }

    #[test]
    fn a_record_of_a_place_names_other_owners_than_the_gateways_own() {
        let own = Place {
            owner: None,
            path: "/rbd/10ab",
        };
        let others = Place {
            owner: Some("a:b"),
            path: "/rbd/10ab",
        };
        for (place, record) in [(own, "/rbd/10ab"), (others, "a:b:/rbd/10ab")] {
            assert_eq!(place.to_string(), record);
            assert_eq!(Place::parse(record), place);
        }
    }
}
