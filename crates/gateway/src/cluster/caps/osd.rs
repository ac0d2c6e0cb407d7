//! OSD capabilities (Ceph `src/osd/OSDCap.cc`).

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    CapsError,
    scanner::{Network, Scanner, network_admits},
};

/// A pool's applications, each with its keys and values (`application_metadata`).
pub type Applications = BTreeMap<String, BTreeMap<String, String>>;

const R: u8 = 1 << 1;
const W: u8 = 1 << 2;
const CLASS_R: u8 = 1 << 3;
const CLASS_W: u8 = 1 << 4;
const X: u8 = CLASS_R | CLASS_W;
const ANY: u8 = 0xff;

/// A class method that a request calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassCall<'a> {
    /// The class.
    pub class: &'a str,
    /// The method.
    pub method: &'a str,
    /// Whether the method reads.
    pub reads: bool,
    /// Whether the method writes.
    pub writes: bool,
}

/// What a request wants. `read` and `write` speak of plain operations only: a class method needs the class
/// permissions instead (`OpInfo::set_from_op`).
#[derive(Debug, Clone, Copy)]
pub struct OsdAccess<'a> {
    /// The pool's name.
    pub pool: &'a str,
    /// The pool's applications.
    pub applications: &'a Applications,
    /// The object's namespace.
    pub namespace: &'a str,
    /// The object's name, or its locator key if it has one.
    pub object: &'a str,
    /// Whether some plain operation reads.
    pub read: bool,
    /// Whether some plain operation writes.
    pub write: bool,
    /// The class methods called.
    pub classes: &'a [ClassCall<'a>],
    /// Where the request comes from.
    pub peer: Option<IpAddr>,
}

/// Everything an entity may do on OSDs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsdCaps {
    grants: Vec<Grant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// One entry for a plain grant; those of the profile for a profile.
    rules: Vec<Rule>,
    network: Option<Option<Network>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rule {
    target: Target,
    allow: u8,
    /// Class and method; an empty method is every one.
    class: Option<(String, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Target {
    pool: String,
    namespace: Option<String>,
    object_prefix: String,
    tag: Option<Tag>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tag {
    application: String,
    key: String,
    value: String,
}

impl OsdCaps {
    /// Everything is allowed: authentication is off.
    #[must_use]
    pub fn allow_all() -> Self {
        // The text is a constant of the grammar.
        Self::parse("allow *").unwrap_or_default()
    }

    /// Parses the text. An empty text grants nothing.
    pub fn parse(text: &str) -> Result<Self, CapsError> {
        let mut s = Scanner::new(text);
        s.skip_spaces();
        let mut grants = Vec::new();
        if s.at_end() {
            return Ok(Self { grants });
        }
        loop {
            s.skip_spaces();
            let grant = s.attempt(grant).ok_or_else(|| s.error("osd"))?;
            grants.push(grant);
            s.skip_spaces();
            if s.at_end() {
                return Ok(Self { grants });
            }
            s.literal(",")
                .or_else(|| s.literal(";"))
                .ok_or_else(|| s.error("osd"))?;
        }
    }

    /// Whether everything is granted, from anywhere.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        self.grants.iter().any(|g| {
            g.rules
                .iter()
                .any(|r| r.allow == ANY && r.target == Target::default())
        })
    }

    /// Whether some grant lets the entity write somewhere in the pool (none: a pool that does not exist). Who
    /// may do so may manage its snapshots; a grant for a pool's application does not count (`is_osd_writable`,
    /// `src/mon/OSDMonitor.cc`).
    #[must_use]
    pub fn may_write_pool(&self, pool: Option<&str>) -> bool {
        let rules = self.grants.iter().flat_map(|g| &g.rules);
        rules.filter(|r| r.allow & W != 0).any(|r| {
            let any_pool = r.target.pool.is_empty() && r.target.tag.is_none() && pool.is_some();
            r.target == Target::default() || any_pool || Some(r.target.pool.as_str()) == pool
        })
    }

    /// Whether the request is granted. Class methods may be granted by several grants together, the rest of a
    /// request by one.
    #[must_use]
    pub fn allows(&self, access: &OsdAccess<'_>) -> bool {
        let mut classes = vec![false; access.classes.len()];
        self.grants
            .iter()
            .filter(|g| network_admits(g.network.as_ref(), access.peer))
            .flat_map(|g| &g.rules)
            .any(|rule| rule.allows(access, &mut classes))
    }
}

impl Rule {
    fn allows(&self, access: &OsdAccess<'_>, granted: &mut [bool]) -> bool {
        if !self.target.matches(access)
            || access.read && self.allow & R == 0
            || access.write && self.allow & W == 0
        {
            return false;
        }
        for (call, granted) in access.classes.iter().zip(granted.iter_mut()) {
            *granted |= self.allows_class(call);
        }
        granted.iter().all(|g| *g)
    }

    fn allows_class(&self, call: &ClassCall<'_>) -> bool {
        if let Some((class, method)) = &self.class {
            return class == call.class && (method.is_empty() || method == call.method);
        }
        (!call.reads || self.allow & CLASS_R != 0) && (!call.writes || self.allow & CLASS_W != 0)
    }
}

impl Target {
    fn matches(&self, access: &OsdAccess<'_>) -> bool {
        (self.pool.is_empty() || self.pool == access.pool)
            && self.matches_namespace(access.namespace)
            && self.tag.as_ref().is_none_or(|t| t.matches(access.applications))
            && access.object.starts_with(&self.object_prefix)
    }

    /// A namespace that ends in `*` stands for all that begin like it.
    fn matches_namespace(&self, namespace: &str) -> bool {
        match &self.namespace {
            None => true,
            Some(want) => {
                want == namespace || want.strip_suffix('*').is_some_and(|p| namespace.starts_with(p))
            }
        }
    }
}

impl Tag {
    fn matches(&self, applications: &Applications) -> bool {
        let Some(meta) = applications.get(&self.application) else {
            return false;
        };
        match (self.key.as_str(), self.value.as_str()) {
            ("*", "*") => true,
            ("*", value) => meta.values().any(|v| v == value),
            (key, "*") => meta.contains_key(key),
            (key, value) => meta.get(key).is_some_and(|v| v == value),
        }
    }
}

fn grant(s: &mut Scanner<'_>) -> Option<Grant> {
    let rules = s
        .attempt(|s| {
            s.literal("allow")?;
            let (allow, class) = spec(s)?;
            let target = target(s)?;
            at_boundary(s)?;
            Some(vec![Rule { target, allow, class }])
        })
        .or_else(|| {
            s.attempt(|s| {
                s.literal("allow")?;
                let target = target(s)?;
                let (allow, class) = spec(s)?;
                Some(vec![Rule { target, allow, class }])
            })
        })
        .or_else(|| s.attempt(profile))?;
    Some(Grant {
        rules,
        network: s.network(),
    })
}

/// What may follow a grant: its network, a separator or the end. Keeps the first form from taking the
/// beginning of the second one.
fn at_boundary(s: &mut Scanner<'_>) -> Option<()> {
    let mut ahead = *s;
    if ahead.network().is_some() {
        return Some(());
    }
    ahead.skip_spaces();
    (ahead.at_end() || ahead.literal(",").is_some() || ahead.literal(";").is_some()).then_some(())
}

/// `* | [r][w][x] [class-read] [class-write] | class NAME [METHOD]`.
fn spec(s: &mut Scanner<'_>) -> Option<(u8, Option<(String, String)>)> {
    if let Some(allow) = s.attempt(permissions) {
        return Some((allow, None));
    }
    s.spaced("class")?;
    s.spaces()?;
    let class = s.string()?;
    let method = s
        .attempt(|s| {
            s.spaces()?;
            s.string()
        })
        .unwrap_or_default();
    Some((0, Some((class, method))))
}

fn permissions(s: &mut Scanner<'_>) -> Option<u8> {
    if s.spaced("*").or_else(|| s.spaced("all")).is_some() {
        return Some(ANY);
    }
    let mut allow = s
        .attempt(|s| {
            s.spaces()?;
            let mut allow = 0;
            for (letter, bits) in [("r", R), ("w", W), ("x", X)] {
                if s.literal(letter).is_some() {
                    allow |= bits;
                }
            }
            (allow != 0).then_some(allow)
        })
        .unwrap_or(0);
    for (word, bits) in [("class-read", CLASS_R), ("class-write", CLASS_W)] {
        if s.spaced(word).is_some() {
            allow |= bits;
        }
    }
    (allow != 0).then_some(allow)
}

fn target(s: &mut Scanner<'_>) -> Option<Target> {
    if let Some(tag) = s.attempt(tag) {
        return Some(Target {
            tag: Some(tag),
            ..Target::default()
        });
    }
    let tagged = s.attempt(|s| {
        let namespace = namespace(s)?;
        let tag = tag(s)?;
        Some(Target {
            namespace: Some(namespace),
            tag: Some(tag),
            ..Target::default()
        })
    });
    if tagged.is_some() {
        return tagged;
    }
    let pool = s.attempt(pool).unwrap_or_default();
    let namespace = s.attempt(namespace);
    let object_prefix = s
        .attempt(|s| {
            s.spaced("object_prefix")?;
            s.spaces()?;
            s.string()
        })
        .unwrap_or_default();
    Some(Target {
        pool,
        namespace,
        object_prefix,
        tag: None,
    })
}

fn pool(s: &mut Scanner<'_>) -> Option<String> {
    s.spaced("pool")?;
    s.equals_or_spaces()?;
    s.string()
}

fn namespace(s: &mut Scanner<'_>) -> Option<String> {
    s.spaced("namespace")?;
    s.equals_or_spaces()?;
    let mut name = s.maybe_empty_string()?;
    if s.literal("*").is_some() {
        name.push('*');
    }
    Some(name)
}

fn tag(s: &mut Scanner<'_>) -> Option<Tag> {
    s.spaced("tag")?;
    s.spaces()?;
    let application = s.string()?;
    s.spaces()?;
    let key = wildcard_or_string(s)?;
    s.skip_spaces();
    s.literal("=")?;
    s.skip_spaces();
    let value = wildcard_or_string(s)?;
    Some(Tag {
        application,
        key,
        value,
    })
}

fn wildcard_or_string(s: &mut Scanner<'_>) -> Option<String> {
    if s.literal("*").is_some() {
        return Some("*".to_owned());
    }
    s.string()
        .map(|word| if word == "all" { "*".to_owned() } else { word })
}

/// `profile NAME [pool=POOL] [namespace=NAMESPACE]`. A profile nobody knows grants nothing.
fn profile(s: &mut Scanner<'_>) -> Option<Vec<Rule>> {
    s.literal("profile")?;
    s.equals_or_spaces()?;
    let name = s.string()?;
    let pool = s.attempt(pool).unwrap_or_default();
    let namespace = s.attempt(namespace);
    Some(expand(&name, &pool, namespace))
}

fn expand(profile: &str, pool: &str, namespace: Option<String>) -> Vec<Rule> {
    let there = Target {
        pool: pool.to_owned(),
        namespace,
        ..Target::default()
    };
    let prefixed = |target: &Target, prefix: &str| Target {
        object_prefix: prefix.to_owned(),
        ..target.clone()
    };
    let plain = |target: Target, allow| Rule {
        target,
        allow,
        class: None,
    };
    let method = |target: Target, method: &str| Rule {
        target,
        allow: 0,
        class: Some(("rbd".to_owned(), method.to_owned())),
    };
    let anywhere = Target::default();
    // The pool's list of namespaces is in its unnamed namespace, whatever namespace is granted.
    let pool_metadata = method(
        Target {
            pool: pool.to_owned(),
            namespace: Some(String::new()),
            object_prefix: "rbd_info".to_owned(),
            tag: None,
        },
        "metadata_list",
    );
    match profile {
        "read-only" => vec![plain(there, R)],
        "read-write" => vec![plain(there, R | W)],
        "rbd" => vec![
            plain(prefixed(&anywhere, "rbd_info"), R),
            plain(prefixed(&anywhere, "rbd_children"), CLASS_R),
            plain(prefixed(&anywhere, "rbd_mirroring"), CLASS_R),
            pool_metadata,
            plain(there, R | W | X),
        ],
        "rbd-read-only" => vec![
            pool_metadata,
            plain(there.clone(), R | CLASS_R),
            method(prefixed(&there, "rbd_header."), "child_attach"),
            method(prefixed(&there, "rbd_header."), "child_detach"),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "osd_tests.rs"]
mod tests;
