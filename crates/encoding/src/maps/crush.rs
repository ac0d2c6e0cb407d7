//! The CRUSH map: buckets, rules and tunables by which clients place groups on OSDs (Ceph
//! `src/crush/crush.h`, `CrushWrapper.h`).

use std::collections::BTreeMap;

/// Bucket algorithms (`CRUSH_BUCKET_*`).
pub mod bucket_alg {
    /// All items weigh the same.
    pub const UNIFORM: u8 = 1;
    /// A linked list.
    pub const LIST: u8 = 2;
    /// A binary tree.
    pub const TREE: u8 = 3;
    /// Straws with weights that interfere.
    pub const STRAW: u8 = 4;
    /// Straws done right; Hammer and later.
    pub const STRAW2: u8 = 5;
}

/// Operations of a rule's steps (`CRUSH_RULE_*`).
pub mod step_op {
    /// Start at a bucket.
    pub const TAKE: u32 = 1;
    /// Choose items of a type, as many as there are.
    pub const CHOOSE_FIRSTN: u32 = 2;
    /// Choose items of a type, each at its own position.
    pub const CHOOSE_INDEP: u32 = 3;
    /// Hand out what was chosen.
    pub const EMIT: u32 = 4;
    /// Choose items of a type and a device below each.
    pub const CHOOSELEAF_FIRSTN: u32 = 6;
    /// The same, each at its own position.
    pub const CHOOSELEAF_INDEP: u32 = 7;
    /// Attempts of the steps that follow, in place of the tunable.
    pub const SET_CHOOSE_TRIES: u32 = 8;
    /// Attempts below each item that the steps that follow choose.
    pub const SET_CHOOSELEAF_TRIES: u32 = 9;
}

/// Weights as each algorithm keeps them, 16.16 fixed point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketWeights {
    /// One for all items.
    Uniform(u32),
    /// Of each item, and the sum up to it.
    List(Vec<(u32, u32)>),
    /// Of each node of the tree.
    Tree(Vec<u32>),
    /// Of each item, and the length of its straw.
    Straw(Vec<(u32, u32)>),
    /// Of each item.
    Straw2(Vec<u32>),
}

impl BucketWeights {
    /// The algorithm's number, see [`bucket_alg`].
    #[must_use]
    pub const fn alg(&self) -> u8 {
        match self {
            Self::Uniform(_) => bucket_alg::UNIFORM,
            Self::List(_) => bucket_alg::LIST,
            Self::Tree(_) => bucket_alg::TREE,
            Self::Straw(_) => bucket_alg::STRAW,
            Self::Straw2(_) => bucket_alg::STRAW2,
        }
    }
}

/// A node of the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrushBucket {
    /// Its id, negative.
    pub id: i32,
    /// Its type, a key of [`CrushMap::type_names`].
    pub kind: u16,
    /// `CRUSH_HASH_*`; 0 is rjenkins1.
    pub hash: u8,
    /// Its weight, 16.16 fixed point.
    pub weight: u32,
    /// Buckets (negative) and devices.
    pub items: Vec<i32>,
    /// The items' weights; of the same number but for uniform and tree buckets.
    pub weights: BucketWeights,
}

/// A step of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrushStep {
    /// See [`step_op`].
    pub op: u32,
    /// First argument.
    pub arg1: i32,
    /// Second argument.
    pub arg2: i32,
}

/// A rule: how to come from the root to devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrushRule {
    /// See [`super::pool_kind`].
    pub kind: u8,
    /// The smallest pool size it was meant for; ignored since Quincy.
    pub min_size: u8,
    /// The largest pool size it was meant for; ignored since Quincy.
    pub max_size: u8,
    /// The steps.
    pub steps: Vec<CrushStep>,
}

/// How hard CRUSH tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunables {
    /// Retries in the same bucket.
    pub choose_local_tries: u32,
    /// Retries in the same bucket by permutation.
    pub choose_local_fallback_tries: u32,
    /// Attempts in all.
    pub choose_total_tries: u32,
    /// Whether chooseleaf tries once at each level.
    pub chooseleaf_descend_once: u32,
    /// Whether chooseleaf varies by the parent's attempt.
    pub chooseleaf_vary_r: u8,
    /// How straws are computed.
    pub straw_calc_version: u8,
    /// Bit set of [`bucket_alg`] that may be made.
    pub allowed_bucket_algs: u32,
    /// Whether chooseleaf moves less when an OSD goes out; Jewel and later, written with CRUSH_TUNABLES5.
    pub chooseleaf_stable: u8,
}

impl Tunables {
    /// What applies where a map has none.
    pub const LEGACY: Self = Self {
        choose_local_tries: 2,
        choose_local_fallback_tries: 5,
        choose_total_tries: 19,
        chooseleaf_descend_once: 0,
        chooseleaf_vary_r: 0,
        straw_calc_version: 0,
        allowed_bucket_algs: 1 << bucket_alg::UNIFORM | 1 << bucket_alg::LIST | 1 << bucket_alg::STRAW,
        chooseleaf_stable: 0,
    };

    /// The profile of Hammer, which every client since then understands.
    pub const HAMMER: Self = Self {
        choose_local_tries: 0,
        choose_local_fallback_tries: 0,
        choose_total_tries: 50,
        chooseleaf_descend_once: 1,
        chooseleaf_vary_r: 1,
        straw_calc_version: 1,
        allowed_bucket_algs: Self::LEGACY.allowed_bucket_algs | 1 << bucket_alg::STRAW2,
        chooseleaf_stable: 0,
    };
}

/// Tunables of multi-step retry rules (Squid and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsrTunables {
    /// `msr_descents`.
    pub descents: u32,
    /// `msr_collision_tries`.
    pub collision_tries: u32,
}

/// Weights and ids that a bucket has under one set of choose args.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChooseArg {
    /// Weights of the items, by position.
    pub weight_set: Vec<Vec<u32>>,
    /// Ids to hash instead of the items'.
    pub ids: Vec<i32>,
}

/// A CRUSH map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrushMap {
    /// One above the largest device id.
    pub max_devices: i32,
    /// Buckets; that with id `-1 - n` stands at `n`.
    pub buckets: Vec<Option<CrushBucket>>,
    /// Rules by id.
    pub rules: Vec<Option<CrushRule>>,
    /// Names of bucket types; 0 is the device.
    pub type_names: BTreeMap<i32, String>,
    /// Names of buckets and devices.
    pub names: BTreeMap<i32, String>,
    /// Names of rules.
    pub rule_names: BTreeMap<i32, String>,
    /// Tunables.
    pub tunables: Tunables,
    /// Device class of each device.
    pub device_classes: BTreeMap<i32, i32>,
    /// Names of device classes.
    pub class_names: BTreeMap<i32, String>,
    /// For each bucket and class, the shadow bucket that has only devices of that class.
    pub class_buckets: BTreeMap<i32, BTreeMap<i32, i32>>,
    /// Sets of choose args by pool id (-1 is the default), each by index in [`Self::buckets`].
    pub choose_args: BTreeMap<i64, BTreeMap<u32, ChooseArg>>,
    /// Written to peers with CRUSH_MSR, if set.
    pub msr: Option<MsrTunables>,
}

impl Default for CrushMap {
    fn default() -> Self {
        Self {
            max_devices: 0,
            buckets: Vec::new(),
            rules: Vec::new(),
            type_names: BTreeMap::new(),
            names: BTreeMap::new(),
            rule_names: BTreeMap::new(),
            tunables: Tunables::LEGACY,
            device_classes: BTreeMap::new(),
            class_names: BTreeMap::new(),
            class_buckets: BTreeMap::new(),
            choose_args: BTreeMap::new(),
            msr: None,
        }
    }
}

/// Bucket types of a new cluster, from the device up.
const TYPES: [&str; 12] = [
    "osd",
    "host",
    "chassis",
    "rack",
    "row",
    "pdu",
    "pod",
    "room",
    "datacenter",
    "zone",
    "region",
    "root",
];
const TYPE_OSD: i32 = 0;
const TYPE_HOST: u16 = 1;
const TYPE_ROOT: u16 = 11;
/// Weight 1.
const ONE: u32 = 0x1_0000;

impl CrushMap {
    /// The name of the rule that [`CrushMap::simple`] makes, under id 0.
    pub const REPLICATED_RULE: &'static str = "replicated_rule";

    /// A map that every client since Hammer understands: root `default`, one host with these OSDs at weight 1,
    /// straw2 buckets, Hammer's tunables and one rule that chooses OSDs. Negative ids are left out.
    #[must_use]
    pub fn simple(osd_ids: &[i32], host: &str) -> Self {
        let mut osds: Vec<i32> = osd_ids.iter().copied().filter(|id| *id >= 0).collect();
        osds.sort_unstable();
        osds.dedup();
        let weight = (osds.len() as u32).saturating_mul(ONE);
        let root = straw2(-1, TYPE_ROOT, vec![-2], vec![weight]);
        let host_bucket = straw2(-2, TYPE_HOST, osds.clone(), vec![ONE; osds.len()]);
        let mut names: BTreeMap<i32, String> = osds.iter().map(|id| (*id, format!("osd.{id}"))).collect();
        names.insert(-1, "default".to_owned());
        names.insert(-2, host.to_owned());
        Self {
            max_devices: osds.last().map_or(0, |id| id.saturating_add(1)),
            buckets: vec![Some(root), Some(host_bucket)],
            rules: vec![Some(CrushRule::replicated(-1, TYPE_OSD))],
            type_names: (0..).zip(TYPES.map(str::to_owned)).collect(),
            names,
            rule_names: [(0, Self::REPLICATED_RULE.to_owned())].into(),
            tunables: Tunables::HAMMER,
            ..Self::default()
        }
    }

    /// The map for clients without CRUSH_V4, before Hammer, which cannot read straw2 buckets: lists in their place,
    /// of the same items and weights, which every client reads. It places groups elsewhere than the map that newer
    /// clients have: only for clusters whose OSDs all serve every group, as ours do.
    #[must_use]
    pub fn without_straw2(&self) -> Self {
        let mut map = self.clone();
        for bucket in map.buckets.iter_mut().flatten() {
            if let BucketWeights::Straw2(weights) = &bucket.weights {
                let sums = weights.iter().scan(0_u32, |sum, w| {
                    *sum = sum.saturating_add(*w);
                    Some((*w, *sum))
                });
                bucket.weights = BucketWeights::List(sums.collect());
            }
        }
        map
    }

    /// The id of the rule of that name.
    #[must_use]
    pub fn rule_id(&self, name: &str) -> Option<u8> {
        let (id, _) = self.rule_names.iter().find(|(_, n)| *n == name)?;
        let id = u8::try_from(*id).ok()?;
        self.rules.get(usize::from(id))?.as_ref().map(|_| id)
    }

    /// Adds a rule under the first free id. Returns none if all 256 are taken.
    pub fn add_rule(&mut self, name: &str, rule: CrushRule) -> Option<u8> {
        let free = self.rules.iter().position(Option::is_none);
        let id = u8::try_from(free.unwrap_or(self.rules.len())).ok()?;
        match self.rules.get_mut(usize::from(id)) {
            Some(place) => *place = Some(rule),
            None => self.rules.push(Some(rule)),
        }
        self.rule_names.insert(id.into(), name.to_owned());
        Some(id)
    }

    /// Removes a rule; others keep their ids.
    pub fn remove_rule(&mut self, id: u8) {
        if let Some(place) = self.rules.get_mut(usize::from(id)) {
            *place = None;
        }
        self.rule_names.remove(&id.into());
    }

    /// Whether clients need CRUSH_V2 for its rules: one of them chooses positions, or sets attempts.
    #[must_use]
    pub fn has_v2_rules(&self) -> bool {
        let v2 = [
            step_op::CHOOSE_INDEP,
            step_op::CHOOSELEAF_INDEP,
            step_op::SET_CHOOSE_TRIES,
            step_op::SET_CHOOSELEAF_TRIES,
        ];
        let mut steps = self.rules.iter().flatten().flat_map(|rule| &rule.steps);
        steps.any(|step| v2.contains(&step.op))
    }

    /// The bucket of that (negative) id.
    #[must_use]
    pub fn bucket(&self, id: i32) -> Option<&CrushBucket> {
        let at = usize::try_from(-1 - i64::from(id)).ok()?;
        self.buckets.get(at)?.as_ref()
    }
}

fn straw2(id: i32, kind: u16, items: Vec<i32>, weights: Vec<u32>) -> CrushBucket {
    CrushBucket {
        id,
        kind,
        hash: 0,
        weight: weights.iter().fold(0, |sum, w| sum.saturating_add(*w)),
        items,
        weights: BucketWeights::Straw2(weights),
    }
}

impl CrushRule {
    /// A rule for erasure-coded pools: each chunk on a device of its own below different items of type `domain` (0: the
    /// devices themselves) under bucket `root` (`CrushWrapper::add_simple_rule`), for pools of any size, as Quincy
    /// and later write it.
    #[must_use]
    pub fn erasure(root: i32, domain: i32) -> Self {
        let step = |op, arg1, arg2| CrushStep { op, arg1, arg2 };
        let choose = match domain {
            TYPE_OSD => step_op::CHOOSE_INDEP,
            _ => step_op::CHOOSELEAF_INDEP,
        };
        Self {
            kind: super::pool_kind::ERASURE,
            min_size: 1,
            max_size: 100,
            steps: vec![
                step(step_op::SET_CHOOSELEAF_TRIES, 5, 0),
                step(step_op::SET_CHOOSE_TRIES, 100, 0),
                step(step_op::TAKE, root, 0),
                step(choose, 0, domain),
                step(step_op::EMIT, 0, 0),
            ],
        }
    }

    /// A rule for replicated pools: below `root`, in as many nodes of type `domain` as the pool has copies, one OSD each.
    #[must_use]
    pub fn replicated(root: i32, domain: i32) -> Self {
        let step = |op, arg1, arg2| CrushStep { op, arg1, arg2 };
        let choose = match domain {
            TYPE_OSD => step_op::CHOOSE_FIRSTN,
            _ => step_op::CHOOSELEAF_FIRSTN,
        };
        Self {
            kind: super::pool_kind::REPLICATED,
            min_size: 1,
            max_size: 10,
            steps: vec![
                step(step_op::TAKE, root, 0),
                step(choose, 0, domain),
                step(step_op::EMIT, 0, 0),
            ],
        }
    }
}
