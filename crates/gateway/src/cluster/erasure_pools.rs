//! Erasure code profiles in the map, the CRUSH rules made of them, and the pools that use both.

use encoding::maps::{CrushMap, CrushRule, OsdMap, PgPool, pool_kind};
use rustix::io::Errno;

use super::{
    Cluster, ClusterError,
    crush_rules::{self, RulePlace, type_id},
    erasure_code::{DEFAULT_PROFILE, ErasureCode, Profile, default_profile, shown},
    error::refused,
};

/// The name of the rule of pools with the default profile.
const DEFAULT_RULE: &str = "erasure-code";

/// The id of the rule `name`, made after the profile if there is none.
fn rule_for(map: &mut OsdMap, name: &str, profile: &Profile) -> Result<u8, ClusterError> {
    let value = |key: &str, default: &'static str| match profile.get(key).map(String::as_str) {
        None | Some("") => default.to_owned(),
        Some(value) => value.to_owned(),
    };
    let place = RulePlace {
        root: value("crush-root", "default"),
        domain: value("crush-failure-domain", "host"),
        class: value("crush-device-class", ""),
    };
    match map.crush.rule_id(name) {
        Some(id) => Ok(id),
        None => crush_rules::add(map, name, &place, CrushRule::erasure),
    }
}

/// The profile of that name and its code. The default one is made if there is none.
fn profile_and_code(map: &mut OsdMap, name: &str) -> Result<(Profile, ErasureCode), ClusterError> {
    if name == DEFAULT_PROFILE {
        let profiles = &mut map.erasure_code_profiles;
        profiles
            .entry(DEFAULT_PROFILE.to_owned())
            .or_insert_with(default_profile);
    }
    let mut profile = map.erasure_code_profiles.get(name).cloned().unwrap_or_default();
    let code = ErasureCode::of(&mut profile)?;
    Ok((profile, code))
}

/// An erasure-coded pool with the code of a profile, placed by the rule of that name, or by one made for it.
pub(super) fn pool(
    map: &mut OsdMap,
    name: &str,
    pg_num: u32,
    profile_name: &str,
    rule: Option<&str>,
) -> Result<PgPool, ClusterError> {
    let (profile, code) = profile_and_code(map, profile_name)?;
    let chunks = code.data.saturating_add(code.coding);
    let rule = match rule {
        Some(rule) => rule_of_kind(&map.crush, rule, pool_kind::ERASURE)?,
        None if profile_name == DEFAULT_PROFILE => rule_for(map, DEFAULT_RULE, &profile)?,
        None => rule_for(map, name, &profile)?,
    };
    check_rule(&map.crush, rule, pool_kind::ERASURE)?;
    Ok(PgPool {
        kind: pool_kind::ERASURE,
        size: chunks,
        min_size: code.data + code.coding.saturating_sub(1).min(1),
        stripe_width: code.stripe_width,
        erasure_code_profile: profile_name.to_owned(),
        ..PgPool::replicated(pg_num, chunks, rule)
    })
}

/// The rule of that name, for pools of that kind.
pub(super) fn rule_of_kind(crush: &CrushMap, name: &str, kind: u8) -> Result<u8, ClusterError> {
    let id = crush
        .rule_id(name)
        .ok_or_else(|| refused(Errno::NOENT, format!("specified rule {name} doesn't exist")))?;
    check_rule(crush, id, kind)?;
    Ok(id)
}

/// Fails if a rule is not for pools of that kind.
pub(super) fn check_rule(crush: &CrushMap, id: u8, kind: u8) -> Result<(), ClusterError> {
    let rule = crush.rules.get(usize::from(id)).and_then(Option::as_ref);
    match rule {
        Some(rule) if rule.kind == kind => Ok(()),
        _ => Err(refused(Errno::INVAL, "(22) Invalid argument")),
    }
}

/// Puts the profile that every cluster has into a map that has none.
pub(super) fn ensure_default_profile(map: &mut OsdMap) {
    if map.erasure_code_profiles.is_empty() {
        let name = DEFAULT_PROFILE.to_owned();
        map.erasure_code_profiles.insert(name, default_profile());
    }
}

/// Erasure code profiles.
impl Cluster {
    /// Stores a profile; returns whether that changed anything. Another one of that name is replaced only with `force`.
    ///
    /// # Errors
    /// For what is no profile, and EPERM if there is another one of that name.
    pub fn set_erasure_profile(
        &self,
        name: &str,
        mut profile: Profile,
        force: bool,
    ) -> Result<bool, ClusterError> {
        self.change_osdmap(|edit| {
            if let Some(domain) = profile.get("crush-failure-domain")
                && type_id(&edit.map.crush, domain).is_none()
            {
                let text = format!(
                    "erasure-code-profile {} contains an invalid failure-domain \"{domain}\"",
                    shown(&profile)
                );
                return Err(ClusterError::Invalid(text));
            }
            ErasureCode::of(&mut profile)?;
            if let Some(existing) = edit.map.erasure_code_profiles.get(name) {
                let mut existing = existing.clone();
                ErasureCode::of(&mut existing)?;
                if existing == profile {
                    edit.unchanged = true;
                    return Ok(false);
                }
                if !force {
                    let text = format!(
                        "will not override erasure code profile {name} because the existing profile {} is different \
                         from the proposed profile {}",
                        shown(&existing),
                        shown(&profile)
                    );
                    return Err(refused(Errno::PERM, text));
                }
            }
            edit.map.erasure_code_profiles.insert(name.to_owned(), profile);
            Ok(true)
        })
    }

    /// Removes a profile; returns whether there was one.
    ///
    /// # Errors
    /// EBUSY if a pool has it.
    pub fn remove_erasure_profile(&self, name: &str) -> Result<bool, ClusterError> {
        self.change_osdmap(|edit| {
            let map = &mut edit.map;
            let users: Vec<&str> = map
                .pools
                .iter()
                .filter(|(_, pool)| pool.is_erasure() && pool.erasure_code_profile == name)
                .filter_map(|(id, _)| map.pool_names.get(id).map(String::as_str))
                .collect();
            if !users.is_empty() {
                let text = format!(
                    "{} pool(s) are using the erasure code profile '{name}'",
                    users.join(" ")
                );
                return Err(refused(Errno::BUSY, text));
            }
            let removed = map.erasure_code_profiles.remove(name).is_some();
            edit.unchanged = !removed;
            Ok(removed)
        })
    }

    /// Makes a rule for pools of a profile; returns its id, or none if there is a rule of that name.
    ///
    /// # Errors
    /// If there is no such profile, or what it names in the CRUSH map is not there.
    pub fn create_erasure_rule(&self, name: &str, profile_name: &str) -> Result<Option<u8>, ClusterError> {
        self.change_osdmap(|edit| {
            if edit.map.crush.rule_id(name).is_some() {
                edit.unchanged = true;
                return Ok(None);
            }
            let (profile, _) = profile_and_code(&mut edit.map, profile_name)?;
            rule_for(&mut edit.map, name, &profile).map(Some)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{PoolLayout, PoolRequest, erasure_code::from_words, tests::cluster};

    fn erasure(name: &str, profile: &str) -> PoolRequest {
        PoolRequest {
            name: name.to_owned(),
            pg_num: 8,
            layout: PoolLayout::Erasure {
                profile: profile.to_owned(),
                rule: None,
            },
        }
    }

    fn profile(words: &[&str]) -> Profile {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        from_words(&words).unwrap()
    }

    #[test]
    fn a_pool_has_the_figures_of_its_profile_and_a_rule_of_its_own() {
        let c = cluster();
        c.set_erasure_profile("p", profile(&["k=2", "m=1", "crush-failure-domain=osd"]), false)
            .unwrap();
        let id = c.create_pool(&erasure("ec", "p")).unwrap();
        let map = c.osdmap();
        let pool = &map.pools[&id];
        assert_eq!(
            (pool.kind, pool.size, pool.min_size, pool.stripe_width),
            (3, 3, 2, 8192)
        );
        assert_eq!(map.crush.rule_id("ec"), Some(pool.crush_rule));
        assert_eq!(pool.append_alignment(), Some(8192));
    }

    #[test]
    fn pools_of_the_default_profile_share_a_rule_that_goes_when_they_are_gone() {
        let c = cluster();
        let a = c.create_pool(&erasure("a", "default")).unwrap();
        let b = c.create_pool(&erasure("b", "default")).unwrap();
        let map = c.osdmap();
        assert_eq!(map.pools[&a].crush_rule, map.pools[&b].crush_rule);
        assert!(c.remove_crush_rule("erasure-code").is_err());
        c.delete_pool(a).unwrap();
        c.delete_pool(b).unwrap();
        assert!(c.remove_crush_rule("erasure-code").unwrap());
        assert!(!c.remove_crush_rule("erasure-code").unwrap());
        assert!(c.remove_crush_rule("replicated_rule").is_err());
    }

    #[test]
    fn a_profile_is_replaced_only_by_force_and_removed_only_when_unused() {
        let c = cluster();
        let (one, two) = (profile(&["k=2", "m=1"]), profile(&["k=3", "m=1"]));
        assert!(c.set_erasure_profile("p", one.clone(), false).unwrap());
        assert!(!c.set_erasure_profile("p", one, false).unwrap());
        assert!(c.set_erasure_profile("p", two.clone(), false).is_err());
        assert!(c.set_erasure_profile("p", two, true).unwrap());
        let id = c.create_pool(&erasure("ec", "p")).unwrap();
        assert!(c.remove_erasure_profile("p").is_err());
        c.delete_pool(id).unwrap();
        assert!(c.remove_erasure_profile("p").unwrap());
        assert!(!c.remove_erasure_profile("p").unwrap());
    }

    #[test]
    fn what_would_be_placed_nowhere_is_refused() {
        let c = cluster();
        let refused = |words: &[&str]| {
            c.set_erasure_profile("p", profile(words), true).unwrap();
            c.create_pool(&erasure("ec", "p")).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&["k=2", "m=1", "crush-root=x"]),
            "root item x does not exist"
        );
        assert_eq!(
            refused(&["k=2", "m=1", "crush-device-class=ssd"]),
            "device class ssd does not exist"
        );
        assert_eq!(
            refused(&["k=2", "m=1", "crush-failure-domain=rack"]),
            "there is no bucket of type rack to choose"
        );
        let missing = c.create_pool(&erasure("ec", "nope")).unwrap_err().to_string();
        assert!(missing.ends_with("no 'plugin' entry in the erasure_code_profile {}"));
    }
}
