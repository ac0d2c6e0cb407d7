//! The embedded transactional store: an ordered key-value space and block volumes (sparse files), with transactions
//! over both. It knows nothing of Ceph.
//!
//! **Acknowledged means durable**: what [`Store::after`] or [`Store::wait`] reported survives a killed process and a
//! power loss. Transactions are atomic (see [`Transaction`] for the one limit of this) and totally ordered.
//!
//! A transaction goes through three stages, each with a thread:
//! 1. *journal*: one durable write makes all waiting transactions durable together. Small data travels in it; large
//!    data is written to the volume file first, by threads of its own, and only named in it.
//! 2. *apply*: journaled data is written to the volume files, through the page cache.
//! 3. *checkpoint*: the files are synced and the changed metadata is committed to the metadata library, which makes
//!    the journal so far superfluous.
//!
//! Until a stage is done, readers see its outcome from memory.
//!
//! Volumes are files, or lie on [`Devices`]: then all data is written there before the journal names it, and the store
//! keeps the metadata alone.
//!
//! Volumes in files have checksums of their blocks: what is not what was written is an error, and not data ([`StoreError::Checksum`]).
//!
//! On disk: `LOCK`, `meta.redb`, `journal`, and `volumes/` with a file for each volume that was written to, and one for its checksums.

mod around;
mod backup;
mod buffers;
mod callbacks;
mod core;
mod damage;
mod device;
mod directs;
mod disk;
mod error;
mod failure;
mod fill;
mod fsck;
mod gather;
mod journal;
mod kv;
mod layer;
mod map;
mod memory;
mod meta;
mod options;
mod pace;
mod pending;
mod piece;
mod prepare;
mod queue;
mod ranges;
mod read_cache;
mod reads;
mod reclaim;
mod record;
mod recovery;
mod regions;
mod remote;
mod remote_read;
mod resum;
mod rows;
mod scrub;
mod settle;
mod stages;
mod step;
mod store;
mod sums;
mod sums_file;
mod transaction;
mod upkeep;
mod verify;
mod volume;
mod volumes;
mod waiters;
mod write_back;

pub use backup::restore;
pub use device::{DEVICE_UNIT, Device, DeviceSpace, Devices, ReadDone, WriteDone};
pub use disk::{Access, Disk, DiskFile, DiskSpace, DiskStat, RealDisk};
pub use error::{Result, StoreError};
pub use fsck::{Damage, StoreReport, check};
pub use memory::{CacheUse, Held, Memory};
pub use options::{Around, Options};
pub use rows::{Rows, key_after};
pub use scrub::{Integrity, Scrub, Scrubbed};
pub use step::Stage;
pub use store::{Progress, Space, Store, prefix_end};
pub use transaction::{MAX_KEY, MAX_VALUE, MAX_VOLUME, Seq, Transaction, VolumeId};
pub use waiters::{DurableAt, Waiter};
