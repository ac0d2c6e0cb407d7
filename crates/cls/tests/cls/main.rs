//! Class methods on an object in memory.

#![allow(clippy::unwrap_used)]

// The names that the workspace gives its crates.
extern crate rbdgate_cls as cls;

mod children;
mod data;
mod directory;
mod garbage;
mod group;
mod header;
mod hello;
mod journal;
mod lock;
mod memory;
mod metadata;
mod migration;
mod mirror;
mod object_map;
mod parent;
mod replay;
mod snapshot;
mod table;
mod trash;
mod version;
