//! Erasure code profiles: which code a pool has, as Ceph's plugins read it (`src/erasure-code`). Nothing is coded
//! here, every object is stored once; what matters is what clients see: the number of chunks and the width of a stripe.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::{ClusterError, error::refused};

/// A profile: keys and values.
pub type Profile = BTreeMap<String, String>;

/// The name of the profile that a pool has if none is named.
pub const DEFAULT_PROFILE: &str = "default";
/// `osd_pool_erasure_code_stripe_unit`: bytes of a chunk.
const STRIPE_UNIT: u64 = 4096;
/// Largest numbers that make sense in a profile: packets and words are much smaller.
const MAX_NUMBER: i64 = 1 << 20;
/// `LARGEST_VECTOR_WORDSIZE`.
const VECTOR: u64 = 16;
/// `EC_ISA_ADDRESS_ALIGNMENT`.
const ISA_ALIGNMENT: u64 = 32;

/// `osd_pool_default_erasure_code_profile`.
#[must_use]
pub fn default_profile() -> Profile {
    [
        ("k", "2"),
        ("m", "2"),
        ("plugin", "jerasure"),
        ("technique", "reed_sol_van"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// A profile from words `KEY=VALUE`, on top of the default one if the plugin is the same.
///
/// # Errors
/// For a key of before Luminous.
pub fn from_words(words: &[String]) -> Result<Profile, ClusterError> {
    let mut given = Profile::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if let Some(rest) = key.strip_prefix("ruleset-") {
            return Err(invalid(format!(
                "property '{key}' is no longer supported; try 'crush-{rest}' instead"
            )));
        }
        given.insert(key.to_owned(), value.to_owned());
    }
    let mut profile = default_profile();
    if given
        .get("plugin")
        .is_some_and(|p| profile.get("plugin") != Some(p))
    {
        return Ok(given);
    }
    profile.append(&mut given);
    Ok(profile)
}

/// A profile as messages show it.
#[must_use]
pub fn shown(profile: &Profile) -> String {
    let pairs: Vec<String> = profile.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{{{}}}", pairs.join(","))
}

/// A code: how many chunks an object's stripes have, and how wide they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasureCode {
    /// Chunks with data.
    pub data: u8,
    /// Chunks that can be lost.
    pub coding: u8,
    /// Bytes of a stripe's data.
    pub stripe_width: u32,
}

impl ErasureCode {
    /// Reads a profile, and adds what its plugin would: the values that were not given.
    ///
    /// # Errors
    /// Those of Ceph's plugins; EOPNOTSUPP for plugins and techniques that are not known here.
    pub fn of(profile: &mut Profile) -> Result<Self, ClusterError> {
        let aligned = match profile.get("plugin").map(String::as_str) {
            Some("jerasure") => jerasure(profile)?,
            Some("isa") => isa(profile)?,
            Some(other @ ("lrc" | "shec" | "clay")) => {
                let text = format!("erasure code plugin '{other}' is not supported; use jerasure or isa");
                return Err(refused(Errno::OPNOTSUPP, text));
            }
            Some(other) => {
                return Err(refused(
                    Errno::IO,
                    format!("there is no erasure code plugin '{other}'"),
                ));
            }
            None => {
                return Err(invalid(format!(
                    "cannot determine the erasure code plugin because there is no 'plugin' entry in the \
                     erasure_code_profile {}",
                    shown(profile)
                )));
            }
        };
        for (key, value) in [
            ("crush-root", "default"),
            ("crush-failure-domain", "host"),
            ("crush-device-class", ""),
        ] {
            set_default(profile, key, value);
        }
        aligned.code(profile)
    }
}

/// What a plugin makes of the numbers in a profile.
#[derive(Debug)]
struct Aligned {
    k: u64,
    m: u64,
    /// What the size of a chunk, or of all together, is padded to.
    alignment: u64,
    per_chunk: bool,
}

impl Aligned {
    fn chunk_size(&self, bytes: u64) -> u64 {
        if self.per_chunk {
            bytes.div_ceil(self.k).next_multiple_of(self.alignment)
        } else {
            bytes.next_multiple_of(self.alignment) / self.k
        }
    }

    fn code(&self, profile: &Profile) -> Result<ErasureCode, ClusterError> {
        let unit = match profile.get("stripe_unit") {
            None => STRIPE_UNIT,
            Some(text) => stripe_unit(text)?,
        };
        let chunk = self.chunk_size(unit * self.k);
        if profile.contains_key("stripe_unit") && chunk != unit {
            return Err(invalid(format!(
                "stripe_unit {unit} does not match ec profile alignment. Would be padded to {chunk}"
            )));
        }
        let too_many = || {
            invalid(format!(
                "k={} and m={} are more chunks than a pool has",
                self.k, self.m
            ))
        };
        let width = u32::try_from(chunk * self.k).map_err(|_| invalid("stripes are too wide"))?;
        let (data, coding) = (u8::try_from(self.k), u8::try_from(self.m));
        let (data, coding) = (data.map_err(|_| too_many())?, coding.map_err(|_| too_many())?);
        data.checked_add(coding).ok_or_else(too_many)?;
        Ok(ErasureCode {
            data,
            coding,
            stripe_width: width,
        })
    }
}

fn stripe_unit(text: &str) -> Result<u64, ClusterError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "K" | "Ki" => 10,
        "M" | "Mi" => 20,
        _ => 64,
    };
    let bytes = number.parse::<u64>().ok().filter(|_| shift < 64);
    let bytes = bytes.and_then(|n| n.checked_mul(1 << shift));
    bytes
        .filter(|n| (1..=1 << 26).contains(n))
        .ok_or_else(|| invalid(format!("could not parse stripe_unit '{text}'")))
}

fn jerasure(profile: &mut Profile) -> Result<Aligned, ClusterError> {
    let technique = profile.get("technique").cloned().unwrap_or_default();
    let coding = match technique.as_str() {
        "reed_sol_r6_op" => 2,
        "reed_sol_van" | "cauchy_orig" | "cauchy_good" => 3,
        "liberation" | "blaum_roth" | "liber8tion" => {
            let text = format!("technique={technique} is not supported; use reed_sol_van or cauchy_good");
            return Err(refused(Errno::OPNOTSUPP, text));
        }
        other => {
            return Err(refused(
                Errno::NOENT,
                format!(
                    "technique={other} is not a valid coding technique.  Choose one of the following: reed_sol_van, \
                     reed_sol_r6_op, cauchy_orig, cauchy_good, liberation, blaum_roth, liber8tion"
                ),
            ));
        }
    };
    let (k, m) = chunks(profile, 7, coding)?;
    let w = number(profile, "w", 8)?;
    let cauchy = technique.starts_with("cauchy");
    if !cauchy && ![8, 16, 32].contains(&w) || !(1..=32).contains(&w) {
        return Err(invalid(format!("w={w} must be one of {{8, 16, 32}}")));
    }
    if technique == "reed_sol_r6_op" && m != 2 {
        return Err(invalid(format!(
            "ReedSolomonRAID6: m={m} must be 2 for RAID6: revert to 2"
        )));
    }
    let packet = match cauchy {
        true => number(profile, "packetsize", 2048)?.max(1),
        false => 1,
    };
    let per_chunk = technique != "reed_sol_r6_op" && truth(profile, "jerasure-per-chunk-alignment");
    let word = w * packet;
    let alignment = match per_chunk {
        true if cauchy => word.next_multiple_of(VECTOR),
        true => w * VECTOR,
        false if (word * 4).is_multiple_of(VECTOR) => k * word * 4,
        false => k * word * VECTOR,
    };
    Ok(Aligned {
        k,
        m,
        alignment,
        per_chunk,
    })
}

fn isa(profile: &mut Profile) -> Result<Aligned, ClusterError> {
    set_default(profile, "technique", "reed_sol_van");
    let technique = profile.get("technique").cloned().unwrap_or_default();
    if technique != "reed_sol_van" && technique != "cauchy" {
        let text = format!(
            "technique={technique} is not a valid coding technique. Choose one of the following: reed_sol_van,cauchy"
        );
        return Err(refused(Errno::NOENT, text));
    }
    let (k, m) = chunks(profile, 7, 3)?;
    if technique == "reed_sol_van" && (k > 32 || m > 4 || m == 4 && k > 21) {
        return Err(invalid(format!(
            "Vandermonde: k={k} and m={m} do not guarantee an MDS codec"
        )));
    }
    Ok(Aligned {
        k,
        m,
        alignment: ISA_ALIGNMENT,
        per_chunk: true,
    })
}

/// `k` and `m` (`ErasureCode::sanity_check_k_m`).
fn chunks(profile: &mut Profile, data: u64, coding: u64) -> Result<(u64, u64), ClusterError> {
    let k = number(profile, "k", data)?;
    let m = number(profile, "m", coding)?;
    if k < 2 {
        return Err(invalid(format!("k={k} must be >= 2")));
    }
    if m < 1 {
        return Err(invalid(format!("m={m} must be >= 1")));
    }
    let mapped = profile.get("mapping").map_or(k + m, |map| map.len() as u64);
    if mapped != k + m {
        return Err(invalid(format!(
            "mapping maps {mapped} chunks instead of the expected {}",
            k + m
        )));
    }
    Ok((k, m))
}

fn set_default(profile: &mut Profile, key: &str, value: &str) {
    let stored = profile.entry(key.to_owned()).or_default();
    if stored.is_empty() {
        value.clone_into(stored);
    }
}

/// A number of the profile; `default` if it is not given, which is then written there (`ErasureCode::to_int`).
fn number(profile: &mut Profile, key: &str, default: u64) -> Result<u64, ClusterError> {
    set_default(profile, key, &default.to_string());
    let text = profile.get(key).map_or("", String::as_str);
    let number: i64 = text.parse().map_err(|_| {
        invalid(format!(
            "could not convert {key}={text} to int because Expected option value to be integer, got '{text}', set \
             to default {default}"
        ))
    })?;
    if number > MAX_NUMBER {
        return Err(invalid(format!("{key}={number} is too large")));
    }
    Ok(u64::try_from(number).unwrap_or(0))
}

/// A truth value; false if it is not given, which is then written there (`ErasureCode::to_bool`).
fn truth(profile: &mut Profile, key: &str) -> bool {
    set_default(profile, key, "false");
    matches!(profile.get(key).map(String::as_str), Some("yes" | "true"))
}

fn invalid(text: impl Into<String>) -> ClusterError {
    ClusterError::Invalid(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(words: &str) -> (Result<ErasureCode, String>, Profile) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let mut profile = from_words(&words).unwrap();
        let code = ErasureCode::of(&mut profile).map_err(|e| e.to_string());
        (code, profile)
    }

    fn figures(words: &str) -> (u8, u8, u32) {
        let code = code(words).0.unwrap();
        (code.data, code.coding, code.stripe_width)
    }

    #[test]
    fn chunks_and_stripes_are_those_of_ceph_16_2_15() {
        assert_eq!(figures(""), (2, 2, 8192));
        assert_eq!(figures("k=2 m=1 stripe_unit=16384"), (2, 1, 32768));
        assert_eq!(figures("plugin=isa k=4 m=2"), (4, 2, 16384));
        assert_eq!(
            figures("k=4 m=2 technique=cauchy_good packetsize=2048"),
            (4, 2, 262_144)
        );
    }

    #[test]
    fn a_profile_gets_what_its_plugin_adds() {
        let profile = code("k=2 m=1").1;
        assert_eq!(
            shown(&profile),
            "{crush-device-class=,crush-failure-domain=host,crush-root=default,jerasure-per-chunk-alignment=false,\
             k=2,m=1,plugin=jerasure,technique=reed_sol_van,w=8}"
        );
        let profile = code("plugin=isa k=4 m=2").1;
        assert_eq!(
            shown(&profile),
            "{crush-device-class=,crush-failure-domain=host,crush-root=default,k=4,m=2,plugin=isa,\
             technique=reed_sol_van}"
        );
    }

    #[test]
    fn what_makes_no_code_is_refused_as_by_ceph() {
        let error = |words: &str| code(words).0.unwrap_err();
        assert_eq!(error("k=1 m=1"), "k=1 must be >= 2");
        assert_eq!(error("k=2 m=0"), "m=0 must be >= 1");
        assert!(error("k=x").starts_with("could not convert k=x to int because Expected"));
        assert!(error("stripe_unit=1000 m=1").ends_with("Would be padded to 1024"));
        assert!(error("k=200 m=100").contains("more chunks"));
        assert!(error("k=99999999 m=1").contains("too large"));
        assert!(error("w=0").contains("must be one of"));
        assert!(from_words(&["ruleset-root=foo".to_owned()]).is_err());
    }
}
