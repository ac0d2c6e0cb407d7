//! What a schedule is for: everything, a pool, a namespace or an image (`LevelSpec` of Ceph
//! `src/pybind/mgr/rbd_support/schedule.py`).

use std::sync::{Arc, LazyLock};

use encoding::Errno;
use regex::Regex;

use super::{
    failure::{Failure, bytes_literal},
    spec::{pattern, rbd_pools},
};
use crate::{
    rados::{IoCtx, Rados},
    rbd::{Image, directory},
};

/// What a schedule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// As people name it; empty for everything.
    pub name: String,
    /// The key that its schedule is stored under: `POOL-ID[/NAMESPACE[/IMAGE-ID]]`.
    pub id: String,
    /// The pool; none is everything.
    pub pool: Option<i64>,
    /// The namespace; none is the whole pool.
    pub namespace: Option<String>,
    /// The image; none is the whole namespace.
    pub image: Option<String>,
}

/// What a level must be like, beside existing.
pub trait Rules {
    /// Whether there are schedules for single images.
    const IMAGES: bool;

    /// Checks a namespace that is not the default one.
    ///
    /// # Errors
    /// EINVAL if there can be no schedule for it.
    fn check_namespace(ioctx: &IoCtx) -> Result<(), Failure>;

    /// Checks an image.
    ///
    /// # Errors
    /// EINVAL if it is of another kind, ENOENT if it counts as absent.
    fn check_image(image: &Image) -> Result<(), Errno>;
}

fn invalid(text: String) -> Failure {
    Failure::new(Errno::EINVAL, text)
}

fn absent(what: &str, name: &str) -> Failure {
    invalid(format!("{what} {name} does not exist"))
}

static NAME: LazyLock<Regex> = LazyLock::new(|| pattern("^(?:([^/]+)/(?:(?:([^/]*)/|)(?:([^/@]+))?)?)?$"));
static ID: LazyLock<Regex> = LazyLock::new(|| pattern("^(?:([0-9]+)(?:/([^/]*)(?:/([^/@]+))?)?)?$"));

/// Whether a namespace is there.
fn has_namespace(pool: &IoCtx, namespace: &str) -> Result<bool, Failure> {
    let all = directory::namespaces(pool).map_err(|e| Failure::rbd(e, "error listing namespaces"))?;
    Ok(all.iter().any(|n| n == namespace.as_bytes()))
}

/// Checks an image that was to be opened.
fn checked<R: Rules>(opened: Result<Image, Errno>, shown: &str) -> Result<Image, Failure> {
    let checked = opened.and_then(|image| R::check_image(&image).map(|()| image));
    checked.map_err(|error| match error {
        Errno::ENOENT => absent("image", shown),
        Errno::EINVAL => invalid(format!("image {shown} is not in snapshot mirror mode")),
        error => {
            let shown = bytes_literal(shown);
            Failure::rbd(error, format!("error opening image {shown} at snapshot None"))
        }
    })
}

impl Level {
    /// Everything.
    pub(super) const fn everything() -> Self {
        Self {
            name: String::new(),
            id: String::new(),
            pool: None,
            namespace: None,
            image: None,
        }
    }

    /// A pool, or one of its namespaces.
    pub(super) fn of_pool(pool: i64, pool_name: &str, namespace: Option<&str>) -> Self {
        let (id, name) = match namespace {
            None => (format!("{pool}"), format!("{pool_name}/")),
            Some(ns) => (format!("{pool}/{ns}"), format!("{pool_name}/{ns}/")),
        };
        Self {
            name,
            id,
            pool: Some(pool),
            namespace: namespace.map(str::to_owned),
            image: None,
        }
    }

    /// From what people write: nothing, `rbd/`, `rbd/ns/`, `rbd/image`, `rbd//image` or `rbd/ns/image`.
    ///
    /// # Errors
    /// EINVAL if that is not there, or there can be no schedule for it.
    pub(super) fn from_name<R: Rules>(rados: &Arc<Rados>, name: &str) -> Result<Self, Failure> {
        let found = NAME
            .captures(name)
            .ok_or_else(|| invalid(format!("failed to parse {name}")))?;
        let part = |n| found.get(n).map(|m| m.as_str());
        if part(3).is_some() && !R::IMAGES {
            return Err(invalid(format!(
                "invalid name {name}: image level is not allowed"
            )));
        }
        let Some(pool_name) = part(1) else {
            return Ok(Self::everything());
        };
        let pool = rados
            .open_pool(pool_name)
            .map_err(|_| absent("pool", pool_name))?;
        if !rbd_pools(rados.cluster())
            .iter()
            .any(|(id, _)| *id == pool.pool())
        {
            return Err(invalid(format!("{pool_name} is not an RBD pool")));
        }
        let mut level = Self {
            name: name.to_owned(),
            ..Self::of_pool(pool.pool(), pool_name, None)
        };
        if part(2).is_none() && part(3).is_none() {
            return Ok(level);
        }
        let namespace = part(2).unwrap_or_default();
        let ioctx = pool.clone().with_namespace(namespace.to_owned());
        level.id += &format!("/{namespace}");
        level.namespace = Some(namespace.to_owned());
        if !namespace.is_empty() {
            if !has_namespace(&pool, namespace)? {
                return Err(absent("namespace", namespace));
            }
            R::check_namespace(&ioctx)?;
        }
        if let Some(image_name) = part(3) {
            let image = checked::<R>(Image::open(&ioctx, image_name.as_bytes()), image_name)?;
            let id = String::from_utf8_lossy(&image.id).into_owned();
            level.id += &format!("/{id}");
            level.image = Some(id);
            if namespace.is_empty() {
                level.name = format!("{pool_name}/{image_name}");
            }
        }
        Ok(level)
    }

    /// From the key that a schedule is stored under.
    ///
    /// # Errors
    /// EINVAL if that is not there any more; ESHUTDOWN if the client is shut out.
    pub(super) fn from_id<R: Rules>(rados: &Arc<Rados>, id: &str) -> Result<Self, Failure> {
        let found = ID
            .captures(id)
            .ok_or_else(|| invalid(format!("failed to parse: {id}")))?;
        let part = |n| found.get(n).map(|m| m.as_str());
        let Some(pool_id) = part(1) else {
            return Ok(Self::everything());
        };
        let number = pool_id.parse().map_err(|_| absent("pool", pool_id))?;
        let pool = rados.open_pool_id(number).map_err(|_| absent("pool", pool_id))?;
        let mut level = Self {
            id: id.to_owned(),
            name: format!("{}/", pool.pool_name()),
            pool: Some(number),
            namespace: None,
            image: None,
        };
        let Some(namespace) = part(2) else {
            return Ok(level);
        };
        level.namespace = Some(namespace.to_owned());
        if !namespace.is_empty() {
            if !has_namespace(&pool, namespace)? {
                return Err(absent("namespace", namespace));
            }
            level.name += &format!("{namespace}/");
        } else if part(3).is_none() {
            level.name += "/";
        }
        if let Some(image_id) = part(3) {
            let ioctx = pool.with_namespace(namespace.to_owned());
            let image = checked::<R>(Image::open_by_id(&ioctx, image_id.as_bytes()), image_id)?;
            level.name += &String::from_utf8_lossy(&image.name);
            level.image = Some(image_id.to_owned());
        }
        Ok(level)
    }

    /// Whether this one is within the other.
    pub(super) fn is_child_of(&self, other: &Self) -> bool {
        if other.pool.is_none() {
            return self.pool.is_some();
        }
        if other.pool != self.pool {
            return false;
        }
        if other.namespace.is_none() {
            return self.namespace.is_some();
        }
        other.namespace == self.namespace && other.image.is_none() && self.image.is_some()
    }

    /// Whether they have something in common.
    pub(super) fn intersects(&self, other: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        if self.pool.is_none() || other.pool.is_none() {
            return true;
        }
        if self.pool != other.pool {
            return false;
        }
        if self.namespace.is_none() || other.namespace.is_none() {
            return true;
        }
        self.namespace == other.namespace && !differ(&self.image, &other.image)
    }

    /// Whether that is within this level; an empty namespace counts as all of them, as in Ceph.
    pub(super) fn matches(&self, pool: i64, namespace: &str, image: Option<&str>) -> bool {
        let fits = |own: &Option<String>, other: Option<&str>| {
            own.as_deref()
                .is_none_or(|own| own.is_empty() || Some(own) == other)
        };
        self.pool.is_none_or(|own| own == pool)
            && fits(&self.namespace, Some(namespace))
            && fits(&self.image, image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(pool: i64, namespace: Option<&str>, image: Option<&str>) -> Level {
        Level {
            image: image.map(str::to_owned),
            ..Level::of_pool(pool, "p", namespace)
        }
    }

    #[test]
    fn levels_contain_each_other() {
        let all = Level::everything();
        let (pool, space, image) = (
            level(1, None, None),
            level(1, Some("n"), None),
            level(1, Some("n"), Some("i")),
        );
        assert!(pool.is_child_of(&all) && space.is_child_of(&pool) && image.is_child_of(&space));
        assert!(!all.is_child_of(&all) && !pool.is_child_of(&space) && !image.is_child_of(&image));
        assert!(!level(2, Some("n"), None).is_child_of(&pool));
        assert!(all.intersects(&image) && space.intersects(&image) && image.intersects(&pool));
        assert!(!image.intersects(&level(1, Some("n"), Some("j"))));
        assert!(!space.intersects(&level(1, Some(""), None)));
        assert!(pool.matches(1, "n", None) && !pool.matches(2, "n", None));
        assert!(!space.matches(1, "", None) && level(1, Some(""), None).matches(1, "n", None));
    }

    #[test]
    fn names_are_taken_apart_as_ceph_does() {
        let parts = |name: &str| {
            let found = NAME.captures(name)?;
            Some([1, 2, 3].map(|n| found.get(n).map(|m| m.as_str().to_owned())))
        };
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(parts(""), Some([None, None, None]));
        assert_eq!(parts("rbd/"), Some([some("rbd"), None, None]));
        assert_eq!(parts("rbd/ns/"), Some([some("rbd"), some("ns"), None]));
        assert_eq!(parts("rbd//image"), Some([some("rbd"), some(""), some("image")]));
        assert_eq!(parts("rbd/image"), Some([some("rbd"), None, some("image")]));
        assert_eq!(
            parts("rbd/ns/image"),
            Some([some("rbd"), some("ns"), some("image")])
        );
        assert_eq!(parts("rbd"), None);
    }
}
