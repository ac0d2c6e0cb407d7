//! Who gave a command, and what it may be about.

use std::{collections::BTreeMap, net::IpAddr};

use encoding::Errno;

use super::failure::Failure;
use crate::cluster::caps::{CommandAccess, CommandCaps};

/// The name of the module, as capabilities have it.
const MODULE: &str = "rbd_support";

/// Who gave a command. Its capabilities may be limited to a pool or a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// What it may ask for.
    pub caps: &'a CommandCaps,
    /// Where it is.
    pub peer: Option<IpAddr>,
    /// Whether the command reads.
    pub read: bool,
    /// Whether it changes something.
    pub write: bool,
}

impl Caller<'_> {
    /// Whether the command may be about that pool and namespace.
    pub fn is_authorized(&self, pool: &str, namespace: &str) -> bool {
        let args = BTreeMap::from([
            ("pool".to_owned(), pool.to_owned()),
            ("namespace".to_owned(), namespace.to_owned()),
        ]);
        self.caps.allows(&CommandAccess {
            service: "mgr",
            module: MODULE,
            command: "",
            args: &args,
            read: self.read,
            write: self.write,
            exec: false,
            peer: self.peer,
        })
    }

    /// The same as a result. Python shows what is not given as `None`.
    pub fn authorize(&self, pool: Option<&str>, namespace: Option<&str>) -> Result<(), Failure> {
        if self.is_authorized(pool.unwrap_or_default(), namespace.unwrap_or_default()) {
            return Ok(());
        }
        let shown = |v: Option<&str>| v.unwrap_or("None").to_owned();
        let text = format!(
            "not authorized on pool={}, namespace={}",
            shown(pool),
            shown(namespace)
        );
        Err(Failure::new(Errno::EACCES, text))
    }
}
