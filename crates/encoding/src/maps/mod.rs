//! Cluster maps: where monitors, managers and OSDs are, which pools exist and how objects are placed.
//!
//! Each map is decoded whole and encoded for a peer's features in the form that Ceph Pacific to Reef write;
//! what only newer releases write is kept as an option and written to peers that know it.

mod blocklist;
mod crush;
mod crush_codec;
mod incremental;
mod incremental_classic;
mod incremental_codec;
mod mgrmap;
mod monmap;
mod object_hash;
mod osd_info;
mod osdmap;
mod osdmap_apply;
mod osdmap_classic;
mod osdmap_codec;
mod osdmap_diff;
mod pg_pool;
mod pg_pool_codec;
mod release;
mod snap_intervals;
mod wire;

pub use crush::{
    BucketWeights, ChooseArg, CrushBucket, CrushMap, CrushRule, CrushStep, MsrTunables, Tunables, bucket_alg,
    step_op,
};
pub use incremental::OsdMapIncremental;
pub use mgrmap::{MgrMap, ModuleInfo, ModuleOption, StandbyInfo};
pub use monmap::{AuthCiphers, MonInfo, MonMap};
pub use object_hash::{ceph_stable_mod, ceph_str_hash_linux, ceph_str_hash_rjenkins};
pub use osd_info::{OsdInfo, OsdXinfo};
pub use osdmap::{OsdAddrs, OsdMap, StretchMode, osd_state, osdmap_flags, significant_features};
pub use osdmap_apply::ApplyError;
pub use pg_pool::{
    HitSetParams, PeeringCrush, PgMergeMeta, PgPool, PoolOpt, PoolSnapInfo, pool_flags, pool_kind, pool_opt,
};
pub use release::Release;
pub use snap_intervals::SnapIntervals;
