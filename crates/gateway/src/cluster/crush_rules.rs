//! CRUSH rules: made, renamed and removed (`add_simple_rule_at` in Ceph `src/crush/CrushWrapper.cc`).

use encoding::maps::{CrushMap, CrushRule, OsdMap};
use rustix::io::Errno;

use super::{Cluster, ClusterError, Edit, error::refused};

/// Where a rule chooses OSDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlace {
    /// Below this node of the tree.
    pub root: String,
    /// In as many nodes of this type as there are copies or chunks.
    pub domain: String,
    /// Of this device class; of any if it is empty.
    pub class: String,
}

/// When a rule got the name that it was to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenamedRule {
    /// By this request.
    Now,
    /// It has it already.
    Before,
}

/// The number of a type of nodes.
pub(super) fn type_id(crush: &CrushMap, name: &str) -> Option<i32> {
    let mut types = crush.type_names.iter();
    types.find(|(_, n)| *n == name).map(|(id, _)| *id)
}

/// Adds a rule to a map in the making: `rule` makes it of root and type. Returns its id.
pub(super) fn add(
    map: &mut OsdMap,
    name: &str,
    place: &RulePlace,
    rule: fn(i32, i32) -> CrushRule,
) -> Result<u8, ClusterError> {
    let (crush, RulePlace { root, domain, class }) = (&map.crush, place);
    let root_id = crush.names.iter().find(|(_, n)| *n == root).map(|(id, _)| *id);
    let root_id = root_id.ok_or_else(|| refused(Errno::NOENT, format!("root item {root} does not exist")))?;
    let domain_id =
        type_id(crush, domain).ok_or_else(|| refused(Errno::INVAL, format!("unknown type {domain}")))?;
    if !class.is_empty() {
        return Err(refused(
            Errno::INVAL,
            format!("device class {class} does not exist"),
        ));
    }
    // A rule that chooses what there is none of places nothing anywhere: all requests would wait.
    let mut buckets = crush.buckets.iter().flatten();
    if domain_id != 0 && !buckets.any(|b| i32::from(b.kind) == domain_id) {
        return Err(refused(
            Errno::INVAL,
            format!("there is no bucket of type {domain} to choose"),
        ));
    }
    let id = map
        .crush
        .add_rule(name, rule(root_id, domain_id))
        .ok_or_else(|| refused(Errno::NOSPC, "there are too many CRUSH rules"))?;
    map.crush_version += 1;
    Ok(id)
}

/// CRUSH rules.
impl Cluster {
    /// Makes a rule for replicated pools; returns its id, or none if there is a rule of that name.
    ///
    /// # Errors
    /// If what it names in the CRUSH map is not there.
    pub fn create_replicated_rule(&self, name: &str, place: &RulePlace) -> Result<Option<u8>, ClusterError> {
        self.change_osdmap(|edit| {
            if edit.map.crush.rule_id(name).is_some() {
                edit.unchanged = true;
                return Ok(None);
            }
            add(&mut edit.map, name, place, CrushRule::replicated).map(Some)
        })
    }

    /// Renames a rule. Where there is none of the old name and one of the new, that was done before.
    ///
    /// # Errors
    /// ENOENT if there is neither; EEXIST if there are both; EBUSY for the rule that pools get by default.
    pub fn rename_crush_rule(&self, old: &str, new: &str) -> Result<RenamedRule, ClusterError> {
        self.change_osdmap(|edit| {
            let crush = &mut edit.map.crush;
            let id = match (crush.rule_id(old), crush.rule_id(new)) {
                (None, Some(_)) => {
                    edit.unchanged = true;
                    return Ok(RenamedRule::Before);
                }
                (None, None) => {
                    return Err(refused(
                        Errno::NOENT,
                        format!("source rule name '{old}' does not exist"),
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(refused(
                        Errno::EXIST,
                        format!("destination rule name '{new}' already exists"),
                    ));
                }
                (Some(id), None) => id,
            };
            if old == CrushMap::REPLICATED_RULE {
                return Err(refused(Errno::BUSY, format!("crush rule {old} ({id}) is in use")));
            }
            crush.rule_names.insert(id.into(), new.to_owned());
            edit.map.crush_version += 1;
            Ok(RenamedRule::Now)
        })
    }

    /// Removes a CRUSH rule; returns whether there was one.
    ///
    /// # Errors
    /// EBUSY if a pool is placed by it.
    pub fn remove_crush_rule(&self, name: &str) -> Result<bool, ClusterError> {
        self.change_osdmap(|edit: &mut Edit| {
            let Some(id) = edit.map.crush.rule_id(name) else {
                edit.unchanged = true;
                return Ok(false);
            };
            // The rule that pools get by default stays: it is written anew with the tree.
            if name == CrushMap::REPLICATED_RULE || edit.map.pools.values().any(|pool| pool.crush_rule == id)
            {
                let text = format!("crush rule {name} ({id}) is in use");
                return Err(refused(Errno::BUSY, text));
            }
            edit.map.crush.remove_rule(id);
            edit.map.crush_version += 1;
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{PoolLayout, PoolRequest, tests::cluster};

    fn place(domain: &str) -> RulePlace {
        RulePlace {
            root: "default".to_owned(),
            domain: domain.to_owned(),
            class: String::new(),
        }
    }

    #[test]
    fn a_rule_for_replicated_pools_is_made_once_and_used_by_its_name() {
        let c = cluster();
        let id = c
            .create_replicated_rule("by-host", &place("host"))
            .unwrap()
            .unwrap();
        assert_eq!(c.create_replicated_rule("by-host", &place("osd")).unwrap(), None);
        let request = PoolRequest {
            name: "pool".to_owned(),
            pg_num: 8,
            layout: PoolLayout::Replicated {
                size: 3,
                rule: Some("by-host".to_owned()),
            },
        };
        let pool = c.create_pool(&request).unwrap();
        assert_eq!(c.osdmap().pools[&pool].crush_rule, id);
        assert!(c.remove_crush_rule("by-host").is_err());
        assert_eq!(
            c.rename_crush_rule("by-host", "by-rack").unwrap(),
            RenamedRule::Now
        );
        assert_eq!(
            c.rename_crush_rule("by-host", "by-rack").unwrap(),
            RenamedRule::Before
        );
        assert_eq!(c.osdmap().crush.rule_id("by-rack"), Some(id));
    }

    #[test]
    fn a_rule_that_would_choose_nothing_is_refused() {
        let c = cluster();
        let epoch = c.osdmap().epoch;
        for wrong in [
            place("rack"),
            place("planet"),
            RulePlace {
                root: "nowhere".to_owned(),
                ..place("host")
            },
            RulePlace {
                class: "ssd".to_owned(),
                ..place("host")
            },
        ] {
            assert!(c.create_replicated_rule("rule", &wrong).is_err(), "{wrong:?}");
        }
        assert!(c.rename_crush_rule("no", "other").is_err());
        assert!(c.rename_crush_rule("replicated_rule", "other").is_err());
        assert_eq!(c.osdmap().epoch, epoch);
    }
}
