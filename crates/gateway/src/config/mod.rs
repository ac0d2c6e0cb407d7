//! The configuration: one table of settings, each a flag, a key of the TOML file and an environment variable.
//!
//! A flag wins over the environment, that over the file, that over the default.

mod backend;
mod file;
mod integrity;
mod limits;
mod listen;
mod memory;
pub mod owners;
mod table;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use encoding::{Feature, Features};

pub use backend::CurveSettings;
pub use file::commented_defaults;
pub use integrity::IntegritySettings;
pub use limits::{LEAST_JOURNAL, ServerLimits};
pub use listen::{Listener, offset};
use msgr::{
    GateLimits,
    auth::ConMode,
    v2::{Algorithm, Compression, CompressionMode},
};
pub use table::{SETTINGS, Setting, setting};

/// The newest messenger protocol that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaxMsgr {
    /// msgr v1 alone: maps name no v2 addresses.
    V1,
    /// msgr v1 and v2.0, in crc mode alone.
    V20,
    /// All.
    V21,
}

/// How clients authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// By key.
    Cephx,
    /// Not at all.
    None,
}

/// What `rbdgate serve` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where everything is kept; absolute.
    pub data: PathBuf,
    /// The monitor's msgr v2 address.
    pub mon_v2: SocketAddr,
    /// The monitor's msgr v1 address.
    pub mon_v1: SocketAddr,
    /// The first of the OSDs' and the manager's addresses.
    pub osd: SocketAddr,
    /// Where metrics and health are served over HTTP.
    pub http: SocketAddr,
    /// How clients authenticate.
    pub auth: Auth,
    /// How many OSDs the cluster shows.
    pub osd_count: u16,
    /// Features not offered to clients.
    pub mask_features: Features,
    /// How msgr v2 frames may be protected; the client's order of preference decides.
    pub modes: Vec<ConMode>,
    /// The newest messenger protocol that is spoken.
    pub max_msgr: MaxMsgr,
    /// Whether and how msgr v2.1 frames are compressed.
    pub compression: Compression,
    /// Further listeners.
    pub listen: Vec<Listener>,
    /// What is taken of clients and of strangers.
    pub limits: ServerLimits,
    /// Memory for large pieces of images that may be read again, in bytes.
    pub read_cache: usize,
    /// The journal's capacity, where the disk is large enough for it, in bytes.
    pub journal_size: u64,
    /// What is done about data that is not what was written.
    pub integrity: IntegritySettings,
    /// What is logged: a level or `tracing` filter directives.
    pub log: String,
    /// The CurveBS cluster that images lie on; without one they lie in files.
    pub curve: Option<CurveSettings>,
    /// All settings as text, by key: for who asks what this process runs with.
    pub texts: Vec<(&'static str, String)>,
}

/// Why the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value is not one of those allowed.
    #[error("{source_name}: {key} = {value:?}: {allowed} is expected")]
    BadValue {
        /// Where it was set.
        source_name: String,
        /// The setting.
        key: String,
        /// What it was set to.
        value: String,
        /// What may stand there.
        allowed: String,
    },
    /// The file has a key that there is not.
    #[error("{file}: no setting is called {key:?}; there are {known}")]
    UnknownKey {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// All keys.
        known: String,
    },
    /// The file cannot be read or parsed.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    text: String,
    source: String,
}

/// Where values come from.
#[derive(Debug, Default)]
pub struct Sources {
    values: BTreeMap<&'static str, Value>,
    curve: Option<CurveSettings>,
}

impl Sources {
    /// The defaults, then the file (if any), the environment and the flags.
    ///
    /// # Errors
    /// If the file cannot be read, or has keys that there are not.
    pub fn gather(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut values: BTreeMap<_, _> = SETTINGS
            .iter()
            .map(|s| {
                (
                    s.key,
                    Value {
                        text: s.default.to_owned(),
                        source: "default".to_owned(),
                    },
                )
            })
            .collect();
        let mut curve = None;
        if let Some(path) = file {
            let (settings, backend) = file::read(path)?;
            curve = backend;
            for (key, text) in settings {
                values.insert(
                    key,
                    Value {
                        text,
                        source: path.display().to_string(),
                    },
                );
            }
        }
        for setting in SETTINGS {
            let variable = setting.variable();
            if let Some(text) = environment(&variable) {
                values.insert(
                    setting.key,
                    Value {
                        text,
                        source: variable,
                    },
                );
            }
            if let Some(text) = flags(setting.key) {
                values.insert(
                    setting.key,
                    Value {
                        text,
                        source: format!("--{}", setting.key),
                    },
                );
            }
        }
        Ok(Self { values, curve })
    }

    /// The settings.
    ///
    /// # Errors
    /// At the first value that is not allowed.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let data = self.get("data", |text| (!text.is_empty()).then(|| PathBuf::from(text)))?;
        Ok(Settings {
            data: std::path::absolute(&data).map_err(|e| ConfigError::File {
                file: data.display().to_string(),
                reason: e.to_string(),
            })?,
            mon_v2: self.address("mon-v2")?,
            mon_v1: self.address("mon-v1")?,
            osd: self.address("osd")?,
            http: self.address("http")?,
            auth: self.get("auth", |text| match text {
                "cephx" => Some(Auth::Cephx),
                "none" => Some(Auth::None),
                _ => None,
            })?,
            osd_count: self.get("osd-count", |text| {
                text.parse().ok().filter(|n| (1..=64).contains(n))
            })?,
            mask_features: self.get("mask-features", |text| parse_features(text, ','))?,
            modes: self.get("modes", |text| match text {
                "secure,crc" | "crc,secure" => Some(vec![ConMode::SECURE, ConMode::CRC]),
                "secure" => Some(vec![ConMode::SECURE]),
                "crc" => Some(vec![ConMode::CRC]),
                _ => None,
            })?,
            compression: self.compression()?,
            max_msgr: self.get("max-msgr", parse_max_msgr)?,
            listen: self.get("listen", listen::parse)?,
            limits: self.limits()?,
            read_cache: self.get("read-cache", memory::parse_read_cache)?,
            journal_size: self.get("journal-size", limits::parse_journal_size)?,
            integrity: IntegritySettings::of(self)?,
            log: self.get("log", |text| {
                let valid = !text.is_empty() && tracing_subscriber::EnvFilter::try_new(text).is_ok();
                let level = text.parse::<tracing::Level>().is_ok() || text.contains(['=', ',']);
                (valid && level).then(|| text.to_owned())
            })?,
            curve: self.curve.clone(),
            texts: self.texts(),
        })
    }

    fn compression(&self) -> Result<Compression, ConfigError> {
        Ok(Compression {
            mode: self.get("compress", |text| match text {
                "none" => Some(CompressionMode::None),
                "force" => Some(CompressionMode::Force),
                _ => None,
            })?,
            algorithms: self.get("compress-algorithms", parse_algorithms)?,
            min_size: self.get("compress-min-size", |text| text.parse().ok())?,
            in_secure_mode: self.get("compress-secure", |text| text.parse().ok())?,
        })
    }

    fn limits(&self) -> Result<ServerLimits, ConfigError> {
        let from_one = |text: &str| text.parse().ok().filter(|n| *n > 0);
        Ok(ServerLimits {
            gate: GateLimits {
                connections: self.get("max-connections", from_one)?,
                handshakes: self.get("max-handshakes", from_one)?,
                refusals: self.get("max-refusals", |text| text.parse().ok())?,
            },
            session_memory: self.get("session-memory", limits::parse_bytes)?,
            memory: self.get("sessions-memory", limits::parse_bytes)?,
        })
    }

    /// The value of each setting, as text.
    #[must_use]
    pub fn texts(&self) -> Vec<(&'static str, String)> {
        self.values
            .iter()
            .map(|(key, v)| (*key, v.text.clone()))
            .collect()
    }

    fn address(&self, key: &'static str) -> Result<SocketAddr, ConfigError> {
        self.get(key, |text| text.parse().ok())
    }

    fn get<T>(&self, key: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        let value = &self.values[key];
        parse(&value.text).ok_or_else(|| ConfigError::BadValue {
            source_name: value.source.clone(),
            key: key.to_owned(),
            value: value.text.clone(),
            allowed: setting(key).map_or("a value", |s| s.allowed).to_owned(),
        })
    }
}

fn parse_max_msgr(text: &str) -> Option<MaxMsgr> {
    match text {
        "v1" => Some(MaxMsgr::V1),
        "v2.0" => Some(MaxMsgr::V20),
        "v2.1" => Some(MaxMsgr::V21),
        _ => None,
    }
}

/// A feature word, or names of features with `separator` between them.
fn parse_features(text: &str, separator: char) -> Option<Features> {
    if text == "none" {
        return Some(Features::NONE);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Features);
    }
    text.split(separator).try_fold(Features::NONE, |word, name| {
        let name = name.trim();
        let feature = Feature::from_name(name.strip_prefix("CEPH_FEATURE_").unwrap_or(name))?;
        Some(Features(word.0 | feature.word().0))
    })
}

/// Names of algorithms that are spoken here.
fn parse_algorithms(text: &str) -> Option<Vec<Algorithm>> {
    let spoken = |name: &str| Algorithm::from_name(name.trim()).filter(|a| Algorithm::SPOKEN.contains(a));
    text.split(',').map(spoken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rbdgate.toml");
        std::fs::write(&path, file).unwrap();
        let look = |all: &[(&str, &str)], key: &str| {
            all.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned())
        };
        Sources::gather(Some(&path), |k| look(env, k), |k| look(flags, k))?.settings()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let file = "osd-count = 2\nauth = \"none\"\nmon-v2 = \"127.0.0.1:1\"";
        let env = [("RBDGATE_OSD_COUNT", "3"), ("RBDGATE_MON_V2", "127.0.0.1:2")];
        let s = gather(file, &env, &[("mon-v2", "127.0.0.1:3")]).unwrap();
        assert_eq!((s.auth, s.osd_count, s.mon_v2.port()), (Auth::None, 3, 3));
        assert_eq!(s.http.port(), 9283);
    }

    #[test]
    fn a_bad_value_names_the_key_the_value_and_what_is_allowed() {
        for (key, value) in [
            ("osd-count", "0"),
            ("auth", "yes"),
            ("max-msgr", "v3"),
            ("modes", "plain"),
            ("compress", "aggressive"),
            ("compress-algorithms", "lz4,zlib"),
            ("compress-min-size", "-1"),
            ("compress-secure", "maybe"),
            ("mask-features", "MSG_AUTH,NOTHING"),
            ("mon-v2", "localhost"),
            ("max-connections", "0"),
            ("max-refusals", "-1"),
            ("session-memory", "1T"),
            ("journal-size", "4M"),
            ("journal-size", "17G"),
            ("checksums", "yes"),
            ("scrub-interval", "7d"),
            ("scrub-rate", "1K"),
            ("listen", "127.0.0.1:7000,max-msgr=v3"),
            ("log", "loud"),
            ("osd-count", "65"),
        ] {
            let text = gather("", &[], &[(key, value)]).unwrap_err().to_string();
            let allowed = setting(key).unwrap().allowed;
            assert!(
                text.contains(key) && text.contains(value) && text.contains(allowed),
                "{text}"
            );
        }
    }

    #[test]
    fn features_are_masked_by_word_or_by_name() {
        let masked = |value| {
            gather("", &[], &[("mask-features", value)])
                .unwrap()
                .mask_features
        };
        assert_eq!(masked("none"), Features::NONE);
        assert_eq!(masked("0x800000"), Features(1 << 23));
        assert_eq!(
            masked("msg_auth, CEPH_FEATURE_CEPHX_V2"),
            Features(1 << 23 | 1 << 61)
        );
    }

    #[test]
    fn listeners_are_a_list_in_the_file() {
        let file = "listen = [\"127.0.0.1:7000,max-msgr=v1\", \"127.0.0.1:7100\"]";
        let listen = gather(file, &[], &[]).unwrap().listen;
        let ports: Vec<u16> = listen.iter().map(|l| l.at.port()).collect();
        assert_eq!(ports, [7000, 7100]);
        assert_eq!(gather(file, &[], &[("listen", "none")]).unwrap().listen, []);
    }

    #[test]
    fn an_unknown_key_in_the_file_is_refused_with_the_known_ones() {
        let text = gather("osd_count = 2", &[], &[]).unwrap_err().to_string();
        assert!(text.contains("osd_count") && text.contains("osd-count"), "{text}");
    }

    #[test]
    fn the_commented_defaults_are_a_valid_file_that_changes_nothing() {
        let plain = gather("", &[], &[]).unwrap();
        assert_eq!(gather(&commented_defaults(), &[], &[]).unwrap(), plain);
        let active = SETTINGS.iter().fold(commented_defaults(), |t, s| {
            t.replace(&format!("#{} =", s.key), &format!("{} =", s.key))
        });
        assert_eq!(gather(&active, &[], &[]).unwrap(), plain);
    }
}
