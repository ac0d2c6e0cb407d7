//! Images, as librbd works on them (Ceph `src/librbd`): what the manager does with them by itself.
//!
//! It is a client of the OSDs ([`crate::rados`]) and knows nothing else of this server. All that it changes it changes by the
//! same class methods and in the same order as librbd does, under the image's exclusive lock where there is one, and it may be
//! interrupted anywhere: what was done is found done when the operation is repeated.

mod detach;
pub mod directory;
mod flatten;
mod group;
mod header;
mod image;
mod journal;
mod layout;
mod lock;
mod messages;
pub mod migration;
mod migration_copy;
pub mod mirror;
mod object_map;
mod relink;
mod remove;
mod snapshot;
pub mod trash;
mod view;

use encoding::Errno;

pub use flatten::flatten;
pub use header::{Header, Snap};
pub use image::{Image, exists_header, header_oid};
pub use remove::{Removal, remove_by_name};

/// Told how far an operation is: steps done, and of how many. An error ends the operation with it.
pub type Progress<'a> = &'a dyn Fn(u64, u64) -> Result<(), Errno>;

/// Class `rbd`.
const RBD: &str = "rbd";
/// What ends an operation whose lock went over to another client (ERESTART, which has the number of EOLDSNAPC).
const RESTART: Errno = Errno::EOLDSNAPC;
/// Writes of an operation that may be under way at once (`rbd_concurrent_management_ops`).
const CONCURRENT: usize = 10;
