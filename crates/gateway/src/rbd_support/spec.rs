//! How commands name pools and images (Ceph `src/pybind/mgr/rbd_support/common.py`, `task.py`).

use std::sync::LazyLock;

use encoding::Errno;
use regex::Regex;

use super::failure::Failure;
use crate::cluster::{Cluster, MGR_NAME};

/// A pool, a namespace and an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// The pool.
    pub pool: String,
    /// The namespace; empty for the default one.
    pub namespace: String,
    /// The image's name or id.
    pub image: String,
}

/// The regular expression of that text.
pub fn pattern(text: &'static str) -> Regex {
    Regex::new(text).expect("a pattern of the program itself")
}

static IMAGE: LazyLock<Regex> = LazyLock::new(|| pattern("^(?:([^/]+)/(?:([^/]+)/)?)?([^/@]+)$"));
static POOL: LazyLock<Regex> = LazyLock::new(|| pattern("^([^/]+)(?:/([^/]+))?$"));

/// The pool of images whose pool is not named (`rbd_default_pool`).
fn default_pool(cluster: &Cluster) -> String {
    let options = cluster.config_of(&format!("mgr.{MGR_NAME}"));
    options
        .get("rbd_default_pool")
        .cloned()
        .unwrap_or_else(|| "rbd".to_owned())
}

impl ImageSpec {
    /// `[POOL/[NAMESPACE/]]IMAGE`.
    ///
    /// # Errors
    /// EINVAL if it is not of that form.
    pub fn parse(cluster: &Cluster, text: &str) -> Result<Self, Failure> {
        let found = IMAGE
            .captures(text)
            .ok_or_else(|| Failure::new(Errno::EINVAL, format!("Invalid image spec: {text}")))?;
        let part = |n| found.get(n).map(|m| m.as_str().to_owned());
        Ok(Self {
            pool: part(1).unwrap_or_else(|| default_pool(cluster)),
            namespace: part(2).unwrap_or_default(),
            image: part(3).unwrap_or_default(),
        })
    }
}

impl std::fmt::Display for ImageSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in [&self.pool, &self.namespace] {
            if !part.is_empty() {
                write!(f, "{part}/")?;
            }
        }
        f.write_str(&self.image)
    }
}

/// `[POOL[/NAMESPACE]]`; none for all pools.
///
/// # Errors
/// EINVAL if it is not of that form.
pub fn pool_spec(text: Option<&str>) -> Result<Option<(String, String)>, Failure> {
    let Some(text) = text.filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    let found = POOL
        .captures(text)
        .ok_or_else(|| Failure::new(Errno::EINVAL, format!("Invalid pool spec: {text}")))?;
    let part = |n| found.get(n).map_or_else(String::new, |m| m.as_str().to_owned());
    Ok(Some((part(1), part(2))))
}

/// The pools that are for images, by id.
pub fn rbd_pools(cluster: &Cluster) -> Vec<(i64, String)> {
    let map = cluster.osdmap();
    let is_rbd = |id: &i64| {
        map.pools
            .get(id)
            .is_some_and(|p| p.application_metadata.contains_key("rbd"))
    };
    map.pool_names
        .iter()
        .filter(|(id, _)| is_rbd(id))
        .map(|(id, name)| (*id, name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_named_with_their_namespaces() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(pool_spec(None).unwrap(), None);
        assert_eq!(pool_spec(Some("")).unwrap(), None);
        assert_eq!(pool_spec(Some("p")).unwrap(), pair("p", ""));
        assert_eq!(pool_spec(Some("p/n")).unwrap(), pair("p", "n"));
        for bad in ["/", "p/", "/n", "p/n/i"] {
            assert_eq!(
                pool_spec(Some(bad)).unwrap_err().text,
                format!("Invalid pool spec: {bad}")
            );
        }
    }

    #[test]
    fn images_are_shown_as_they_are_named() {
        let spec = ImageSpec {
            pool: "p".to_owned(),
            namespace: "n".to_owned(),
            image: "i".to_owned(),
        };
        assert_eq!(spec.to_string(), "p/n/i");
        assert!(IMAGE.is_match("i") && IMAGE.is_match("p/i") && IMAGE.is_match("p/n/i"));
        for bad in ["", "/i", "p/", "p//i", "i@s", "a/b/c/d"] {
            assert!(!IMAGE.is_match(bad), "{bad}");
        }
    }
}
