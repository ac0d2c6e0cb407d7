//! An OSD as its clients see it, without a network.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

mod deleted_pools;
mod lone_reads;
mod model;
mod op_vectors;
mod play;
mod rig;
mod wild;

use ::store as disk_store;
