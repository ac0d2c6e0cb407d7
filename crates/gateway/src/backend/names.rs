//! From the store's names of volumes to paths in the cluster.
//!
//! `pool-1.image-ID` becomes `/POOL/ID`, that of a namespace `/POOL/ns-NAMESPACE.ID`, that of a separate data pool `/POOL/POOLID.ID`,
//! and `pool-1.slots` `/POOL/.slots-1`. A directory keeps the name that its pool had when the volume was made.

/// The pool's number in a volume's name.
pub(super) fn pool_of(name: &str) -> Option<i64> {
    name.strip_prefix("pool-")?.split_once('.')?.0.parse().ok()
}

/// Directory and file of a volume.
pub(super) fn path_of(name: &str, pool_name: Option<&str>) -> (String, String) {
    let (pool, rest) = name.split_once('.').unwrap_or(("other", name));
    // A name that is no component of a path, or that the cluster uses itself.
    let usable = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "RecycleBin";
    let directory = format!("/{}", pool_name.filter(usable).unwrap_or(pool));
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
    (directory, file.replace('/', "%2f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_lies_in_the_directory_of_its_pool_under_its_id() {
        let path = |name: &str, pool: Option<&str>| {
            let (directory, file) = path_of(name, pool);
            format!("{directory}/{file}")
        };
        assert_eq!(path("pool-1.image-10ab", Some("rbd")), "/rbd/10ab");
        assert_eq!(path("pool-1.slots", Some("rbd")), "/rbd/.slots-1");
        assert_eq!(path("pool-2.ns-team.image-10ab", Some("vms")), "/vms/ns-team.10ab");
        assert_eq!(path("pool-3.image-2.10ab", Some("data")), "/data/2.10ab");
        assert_eq!(path("pool-3.ns-a/b.image-1", Some("data")), "/data/ns-a%2fb.1");
        assert_eq!(path("pool-4.image-1", Some("a/b")), "/pool-4/1");
        assert_eq!(path("pool-4.image-1", Some("RecycleBin")), "/pool-4/1");
        assert_eq!(path("pool-4.image-1", None), "/pool-4/1");
        assert_eq!(pool_of("pool-41.image-1"), Some(41));
        assert_eq!(pool_of("other"), None);
    }
}
