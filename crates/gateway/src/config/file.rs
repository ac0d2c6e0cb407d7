//! The configuration file.

use std::{fmt::Write as _, path::Path};

use super::{ConfigError, CurveSettings, SETTINGS, backend};

/// Values by key, and the backend.
type Contents = (Vec<(&'static str, String)>, Option<CurveSettings>);

/// The keys and values of a TOML file. Numbers and booleans count as their text.
pub(super) fn read(path: &Path) -> Result<Contents, ConfigError> {
    let fail = |reason: String| ConfigError::File {
        file: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| fail(e.to_string()))?;
    let mut values = Vec::new();
    let mut curve = None;
    for (key, value) in table {
        if key == "backend" {
            curve = backend::parse(&path.display().to_string(), &value)?;
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|s| s.key == key) else {
            let known = SETTINGS.iter().map(|s| s.key).collect::<Vec<_>>().join(", ");
            return Err(ConfigError::UnknownKey {
                file: path.display().to_string(),
                key,
                known,
            });
        };
        let text = match value {
            toml::Value::String(text) => text,
            // Of a setting that may be given more than once.
            toml::Value::Array(texts) if texts.iter().all(toml::Value::is_str) => {
                let texts: Vec<&str> = texts.iter().filter_map(toml::Value::as_str).collect();
                texts.join(super::listen::SEPARATOR)
            }
            other => other.to_string(),
        };
        values.push((setting.key, text));
    }
    Ok((values, curve))
}

/// A configuration file with every setting explained and commented out.
#[must_use]
pub fn commented_defaults() -> String {
    let mut out = String::from(
        "# Configuration of rbdgate. Each setting is also a flag (--KEY) and an environment variable; a flag wins\n\
         # over the variable, that over this file. What is commented out is the default.\n",
    );
    for setting in SETTINGS {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\n# {}\n# Allowed: {}. Variable: {}\n#{} = {:?}\n",
            setting.help,
            setting.allowed,
            setting.variable(),
            setting.key,
            setting.default
        );
    }
    out.push_str(&backend::commented());
    out
}
