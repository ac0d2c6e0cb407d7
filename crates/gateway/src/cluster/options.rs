//! Options of Ceph's daemons that this server itself heeds, and how their values are read.
//!
//! Options of clients (`rbd_cache`, ...) are kept and handed out as they were set; values that no librbd can read are refused before
//! that (`mon::client_options`).

use std::sync::LazyLock;

use crate::op_tracker;

use super::{
    Cluster, MON_NAME,
    auth_options::{AUTH_OPTIONS, INSECURE_KEYS, INSECURE_RECLAIM},
};

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// `true` or `false`.
    Bool,
    /// A number without a fraction, not negative.
    Uint,
    /// A number, not negative.
    Float,
}

impl OptionKind {
    /// The kind's name, as `config help` shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Uint => "uint",
            Self::Float => "float",
        }
    }

    /// The value in the form in which it is kept.
    ///
    /// # Errors
    /// If the text is no such value: why, in a word for the user.
    pub fn check(self, text: &str) -> Result<String, String> {
        match self {
            Self::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok("true".to_owned()),
                "false" | "no" | "off" | "0" => Ok("false".to_owned()),
                _ => Err(format!("Expected option value to be integer, got '{text}'")),
            },
            Self::Uint => match text.parse::<u64>() {
                Ok(n) => Ok(n.to_string()),
                Err(_) => Err(format!("Expected option value to be integer, got '{text}'")),
            },
            Self::Float => match text.parse::<f64>() {
                Ok(v) if v.is_finite() && v >= 0.0 => Ok(text.to_owned()),
                _ => Err(format!("Expected option value to be a number, got '{text}'")),
            },
        }
    }
}

/// An option that is heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOption {
    /// Its name in Ceph.
    pub name: &'static str,
    /// What its value is.
    pub kind: OptionKind,
    /// What holds if it is not set.
    pub default: &'static str,
    /// What it does here.
    pub help: &'static str,
}

/// Whether pools may be deleted. True unless the operator says otherwise: there is no other way to get rid of one, and the command
/// asks twice.
pub const ALLOW_DELETE: &str = "mon_allow_pool_delete";
/// How long a client stays shut out if the command does not say, in seconds.
pub const BLOCKLIST_EXPIRE: &str = "mon_osd_blocklist_default_expire";
/// Placement groups of a new pool.
pub const POOL_PG_NUM: &str = "osd_pool_default_pg_num";
/// Copies that a new pool tells clients of.
pub const POOL_SIZE: &str = "osd_pool_default_size";
/// Largest value of the `config-key` store, in bytes.
pub const CONFIG_KEY_MAX: &str = "mon_config_key_max_entry_size";

/// A row of the list.
pub(crate) const fn option(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    help: &'static str,
) -> KnownOption {
    KnownOption {
        name,
        kind,
        default,
        help,
    }
}

/// The options that are heeded, by name.
#[must_use]
pub fn known_options() -> &'static [KnownOption] {
    static ALL: LazyLock<Vec<KnownOption>> = LazyLock::new(all_options);
    &ALL
}

fn all_options() -> Vec<KnownOption> {
    let mut out = vec![
        option(
            ALLOW_DELETE,
            OptionKind::Bool,
            "true",
            "whether pools may be deleted",
        ),
        option(
            BLOCKLIST_EXPIRE,
            OptionKind::Float,
            "3600",
            "how long a client stays on the blocklist if the command does not say, in seconds",
        ),
        option(
            POOL_PG_NUM,
            OptionKind::Uint,
            "32",
            "placement groups of a new pool",
        ),
        option(
            POOL_SIZE,
            OptionKind::Uint,
            "1",
            "copies that a new pool tells clients of",
        ),
        option(
            CONFIG_KEY_MAX,
            OptionKind::Uint,
            "65536",
            "largest value of the config-key store, in bytes",
        ),
    ];
    for (name, default) in AUTH_OPTIONS {
        let (kind, help) = match name {
            INSECURE_RECLAIM => (
                OptionKind::Bool,
                "whether clients may keep their id without a ticket for it",
            ),
            INSECURE_KEYS => (OptionKind::Bool, "whether keys of type aes may be made"),
            _ => (OptionKind::Float, "how long a ticket lives, in seconds"),
        };
        out.push(option(name, kind, default, help));
    }
    out.extend(op_tracker::OPTIONS);
    out.sort_by_key(|o| o.name);
    out
}

/// The heeded option of that name.
#[must_use]
pub fn known_option(name: &str) -> Option<KnownOption> {
    known_options().iter().find(|o| o.name == name).copied()
}

/// The options that are heeded.
impl Cluster {
    /// The value that holds for the monitor: set, or the default.
    pub(super) fn option_text(&self, name: &str) -> String {
        let set = self.config_of(&format!("mon.{MON_NAME}")).remove(name);
        set.unwrap_or_else(|| known_option(name).map_or("", |o| o.default).to_owned())
    }

    /// A truth value.
    #[must_use]
    pub fn option_bool(&self, name: &str) -> bool {
        OptionKind::Bool
            .check(&self.option_text(name))
            .is_ok_and(|v| v == "true")
    }

    /// A number; the default if what is set is none.
    #[must_use]
    pub fn option_number(&self, name: &str) -> f64 {
        let default = known_option(name)
            .and_then(|o| o.default.parse().ok())
            .unwrap_or(0.0);
        let set = self
            .option_text(name)
            .parse::<f64>()
            .ok()
            .filter(|v| v.is_finite());
        set.unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    #[test]
    fn values_are_checked_by_kind() {
        assert_eq!(OptionKind::Bool.check("yes"), Ok("true".to_owned()));
        assert_eq!(OptionKind::Uint.check("012"), Ok("12".to_owned()));
        for (kind, bad) in [
            (OptionKind::Bool, "perhaps"),
            (OptionKind::Uint, "-1"),
            (OptionKind::Float, "nan"),
        ] {
            assert!(kind.check(bad).is_err(), "{bad}");
        }
        for known in known_options() {
            assert!(known.kind.check(known.default).is_ok(), "{}", known.name);
        }
    }

    #[test]
    fn what_is_set_for_the_monitor_or_everybody_holds_and_an_override_of_the_daemon_wins() {
        let cluster = cluster();
        assert!(cluster.option_bool(ALLOW_DELETE));
        cluster.set_config("global", ALLOW_DELETE, Some("false")).unwrap();
        assert!(!cluster.option_bool(ALLOW_DELETE));
        cluster.override_option("mon.a", ALLOW_DELETE, Some("true"));
        assert!(cluster.option_bool(ALLOW_DELETE));
        cluster.override_option("mon.a", ALLOW_DELETE, None);
        assert!(!cluster.option_bool(ALLOW_DELETE));
    }
}
