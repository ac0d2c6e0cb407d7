//! Keyring files (Ceph `src/auth/KeyRing.cc`): a section for each entity with `key` and `caps SERVICE`.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::{Bytes, BytesMut};
use encoding::Put;

use super::{AuthEntityName, CryptoKey, EntityAuth, KeyError};

/// Why a keyring cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// A line that is neither a section, nor `name = value`, nor a comment.
    #[error("line {0}: syntax error")]
    Syntax(usize),
    /// A section that names no entity.
    #[error("line {line}: `{name}` is no entity name")]
    Entity {
        /// Line number, from 1.
        line: usize,
        /// The section's name.
        name: String,
    },
    /// A setting before the first section.
    #[error("line {0}: setting outside of a section")]
    NoSection(usize),
    /// A key that cannot be read.
    #[error("line {line}: {source}")]
    Key {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// Keys and capabilities by entity (`client.admin`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keyring {
    /// By name, as `TYPE.ID`.
    pub entities: BTreeMap<String, EntityAuth>,
}

impl Keyring {
    /// Parses the text of a keyring file. Unknown settings are ignored, as Ceph does.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut ring = Self::default();
        let mut section: Option<String> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                let name = entity_section(name.trim(), number)?;
                ring.entities.entry(name.clone()).or_default();
                section = Some(name);
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(KeyringError::Syntax(number))?;
            let entity = section
                .as_ref()
                .and_then(|s| ring.entities.get_mut(s))
                .ok_or(KeyringError::NoSection(number))?;
            set(entity, name, unquoted(value.trim()), number)?;
        }
        Ok(ring)
    }

    /// The text of a keyring file.
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = String::new();
        for (name, entity) in &self.entities {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "[{name}]\n\tkey = {}", entity.key.to_base64().as_str());
            if let Some(pending) = &entity.pending_key {
                let _ = writeln!(out, "\tpending key = {}", pending.to_base64().as_str());
            }
            for service in entity.caps.keys() {
                let caps = entity.caps_text(service).unwrap_or_default();
                let caps = caps.replace('\\', "\\\\").replace('"', "\\\"");
                let _ = writeln!(out, "\tcaps {service} = \"{caps}\"");
            }
        }
        out
    }
}

fn entity_section(name: &str, line: usize) -> Result<String, KeyringError> {
    match AuthEntityName::parse(name) {
        Some(entity) => Ok(entity.to_string()),
        None => Err(KeyringError::Entity {
            line,
            name: name.to_owned(),
        }),
    }
}

fn set(entity: &mut EntityAuth, name: &str, value: String, line: usize) -> Result<(), KeyringError> {
    let mut words = name.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("key"), None, None) => {
            entity.key =
                CryptoKey::from_base64(&value).map_err(|source| KeyringError::Key { line, source })?;
        }
        // A key that is to replace the other: Ceph writes it, but reads no keyring that has one.
        (Some("pending"), Some("key"), None) => {
            let key = CryptoKey::from_base64(&value).map_err(|source| KeyringError::Key { line, source })?;
            entity.pending_key = Some(key);
        }
        (Some("caps"), Some(service), None) => {
            entity.caps.insert(service.to_owned(), encoded_caps(&value));
        }
        _ => {}
    }
    Ok(())
}

/// A capability text as it is stored and put into tickets: behind its 32-bit length.
pub(super) fn encoded_caps(text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + text.len());
    out.put_string(text);
    out.freeze()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            c
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Throw-away keys published with the recordings.
    const RING: &str = "[client.admin]\n\tkey = AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==\n\tcaps mds = \"allow *\"\n\
                        \tcaps mon = \"allow command \\\"auth ls\\\"\"\n[osd.0]\n\tkey = AQByZwBrDS79FhAAC97vbCMx7mrjbSfNHrPgIQ==\n";

    #[test]
    fn a_keyring_round_trips() {
        let ring = Keyring::parse(RING).unwrap();
        assert_eq!(ring.format(), RING);
        let admin = &ring.entities["client.admin"];
        assert_eq!(
            admin.caps_text("mon").as_deref(),
            Some("allow command \"auth ls\"")
        );
        assert_eq!(admin.caps_text("osd"), None);
    }

    #[test]
    fn comments_spaces_and_unknown_settings_are_skipped() {
        let text =
            "# note\n\n[ client.a ]\n  auid = 5\n  key=AQByZwBrN4GwFRAA9rR2yzc7eQXNAmnHnFxtpw==\n ; end\n";
        assert!(Keyring::parse(text).unwrap().entities.contains_key("client.a"));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(Keyring::parse("key = x"), Err(KeyringError::NoSection(1)));
        assert_eq!(
            Keyring::parse("[client.a]\nnonsense"),
            Err(KeyringError::Syntax(2))
        );
        assert!(matches!(
            Keyring::parse("[client.a]\nkey = x"),
            Err(KeyringError::Key { line: 2, .. })
        ));
        assert!(matches!(
            Keyring::parse("[admin]"),
            Err(KeyringError::Entity { line: 1, .. })
        ));
    }
}
