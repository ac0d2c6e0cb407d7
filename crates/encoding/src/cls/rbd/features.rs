//! Features of images (Ceph `src/include/rbd/features.h`).

/// Clones.
pub const LAYERING: u64 = 1 << 0;
/// Striping over several objects.
pub const STRIPINGV2: u64 = 1 << 1;
/// One writer at a time.
pub const EXCLUSIVE_LOCK: u64 = 1 << 2;
/// A map of which objects exist.
pub const OBJECT_MAP: u64 = 1 << 3;
/// The map also says what changed since a snapshot.
pub const FAST_DIFF: u64 = 1 << 4;
/// Flattening detaches snapshots too.
pub const DEEP_FLATTEN: u64 = 1 << 5;
/// Writes go to a journal first.
pub const JOURNALING: u64 = 1 << 6;
/// Data objects are in another pool.
pub const DATA_POOL: u64 = 1 << 7;
/// Operation features are in use.
pub const OPERATIONS: u64 = 1 << 8;
/// The image is being migrated.
pub const MIGRATING: u64 = 1 << 9;
/// The image is a mirror of another.
pub const NON_PRIMARY: u64 = 1 << 10;
/// A client's write-back cache holds data that is not here yet.
pub const DIRTY_CACHE: u64 = 1 << 11;

/// All there are.
pub const ALL: u64 = (1 << 12) - 1;
/// Who does not know these cannot even read.
pub const INCOMPATIBLE: u64 = LAYERING | STRIPINGV2 | DATA_POOL | DIRTY_CACHE;
/// Who does not know these cannot write.
pub const RW_INCOMPATIBLE: u64 = ALL;
/// What can be switched on and off.
pub const MUTABLE: u64 = EXCLUSIVE_LOCK | OBJECT_MAP | FAST_DIFF | JOURNALING | NON_PRIMARY | DIRTY_CACHE;
/// What can only be switched off.
pub const DISABLE_ONLY: u64 = DEEP_FLATTEN;
/// What only the class itself sets.
pub const INTERNAL: u64 = OPERATIONS | MIGRATING;

/// Operation feature: the image has clones (version 2).
pub const OP_CLONE_PARENT: u64 = 1 << 0;
/// Operation feature: the image is a clone (version 2).
pub const OP_CLONE_CHILD: u64 = 1 << 1;
/// Operation feature: the image is in a group.
pub const OP_GROUP: u64 = 1 << 2;
/// Operation feature: there are snapshots in the trash.
pub const OP_SNAP_TRASH: u64 = 1 << 3;
/// All operation features.
pub const OP_ALL: u64 = OP_CLONE_PARENT | OP_CLONE_CHILD | OP_GROUP | OP_SNAP_TRASH;
