//! Going on with, ending and undoing migrations (Ceph `src/librbd/api/Migration.cc`). They are prepared by clients.

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{
        MigrationHeaderType, MigrationSpec, MigrationState, MirrorImageMode, MirrorMode, ProtectionStatus,
        SnapshotNamespaceType, TrashImageSource, features,
    },
};

use super::{
    Image, Progress, RBD, RESTART, group,
    lock::{Session, Wish},
    messages::{self, NotifyOp},
    migration_copy, mirror, relink,
    remove::{self, Removal},
    snapshot, trash,
};
use crate::rados::{IoCtx, ops};

/// One side of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its pool.
    pub pool: i64,
    /// Its namespace.
    pub namespace: Bytes,
    /// The image's name there.
    pub name: Bytes,
    /// Its id there.
    pub id: Bytes,
}

/// How far a migration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Where the image comes from.
    pub source: Side,
    /// Where it goes.
    pub dest: Side,
    /// How far it is.
    pub state: MigrationState,
}

/// Both sides of a migration.
struct Migration {
    source: Image,
    source_spec: MigrationSpec,
    dest: Image,
    dest_spec: MigrationSpec,
    /// As the image says that was asked for.
    state: MigrationState,
}

fn spec_of(image: &Image) -> Result<MigrationSpec, Errno> {
    image.ioctx.query(&image.header_oid(), RBD, "migration_get", b"")
}

/// The other side of a migration.
fn other(image: &Image, spec: &MigrationSpec) -> Result<Image, Errno> {
    let pool = image.ioctx.rados().open_pool_id(spec.pool_id)?;
    Image::open_by_id(&pool.with_namespace(spec.pool_namespace.clone()), &spec.image_id)
}

/// The image of that name; a source is in the trash, and found by the name that it had.
fn open_either(ioctx: &IoCtx, name: &[u8]) -> Result<Image, Errno> {
    match Image::open(ioctx, name) {
        Err(Errno::ENOENT) => {
            let found = trash::entries(ioctx)?
                .into_iter()
                .find(|(_, spec)| spec.source == TrashImageSource::MIGRATION && spec.name == name);
            let (id, spec) = found.ok_or(Errno::ENOENT)?;
            let mut image = Image::open_by_id(ioctx, &id)?;
            image.name = spec.name;
            Ok(image)
        }
        r => r,
    }
}

/// Opens both sides.
fn open(ioctx: &IoCtx, name: &[u8]) -> Result<Migration, Errno> {
    let image = open_either(ioctx, name)?;
    let spec = spec_of(&image)?;
    if !spec.source_spec.is_empty() {
        // Sources that are files or streams are read by librbd's own drivers.
        return Err(Errno::EOPNOTSUPP);
    }
    let state = spec.state;
    let other = other(&image, &spec)?;
    let other_spec = spec_of(&other)?;
    let (mut source, source_spec, dest, dest_spec) = match spec.header_type {
        MigrationHeaderType::SRC => (image, spec, other, other_spec),
        MigrationHeaderType::DST => (other, other_spec, image, spec),
        _ => return Err(Errno::EINVAL),
    };
    if source.name.is_empty() {
        source.name = dest_spec.image_name.clone();
    }
    Ok(Migration {
        source,
        source_spec,
        dest,
        dest_spec,
        state,
    })
}

/// How far the migration of an image is, by the name of either side.
///
/// # Errors
/// ENOENT if there is no such image; EINVAL if it is not migrated; EOPNOTSUPP if its source is not an image.
pub fn status(ioctx: &IoCtx, name: &[u8]) -> Result<Status, Errno> {
    let migration = open(ioctx, name)?;
    let side = |spec: &MigrationSpec| Side {
        pool: spec.pool_id,
        namespace: spec.pool_namespace.clone(),
        name: spec.image_name.clone(),
        id: spec.image_id.clone(),
    };
    Ok(Status {
        source: side(&migration.dest_spec),
        dest: side(&migration.source_spec),
        state: migration.source_spec.state,
    })
}

impl Migration {
    fn set_state(&self, state: MigrationState, description: &str) -> Result<(), Errno> {
        let input = [
            ops::arg(&state),
            ops::arg(&Bytes::copy_from_slice(description.as_bytes())),
        ]
        .concat();
        self.source.exec("migration_set_state", &input)?;
        self.dest.exec("migration_set_state", &input)
    }
}

/// Copies all data to the destination.
///
/// # Errors
/// EINVAL unless the migration is prepared; what `progress` answers.
pub fn execute(ioctx: &IoCtx, name: &[u8], progress: Progress<'_>) -> Result<(), Errno> {
    let mut migration = open(ioctx, name)?;
    if ![MigrationState::PREPARED, MigrationState::EXECUTING].contains(&migration.state) {
        return Err(Errno::EINVAL);
    }
    migration.set_state(MigrationState::EXECUTING, "")?;
    let session = Session::open(&migration.dest)?;
    loop {
        let outcome = match session.acquire(Wish::Try) {
            Ok(()) => {
                migration.dest.refresh()?;
                migration_copy::copy(
                    &migration.source,
                    &migration.dest,
                    &migration.dest_spec,
                    &session,
                    progress,
                )
            }
            Err(Errno::EBUSY) => session.ask_owner(|id| messages::operation(NotifyOp::MIGRATE, id), progress),
            Err(error) => return Err(error),
        };
        match outcome {
            Err(RESTART | Errno::ETIMEDOUT) => session.start_over(progress)?,
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    migration.set_state(MigrationState::EXECUTED, "")?;
    migration.dest.notify_update()
}

/// Ends a migration whose data is copied: the source is removed.
///
/// # Errors
/// EINVAL unless the data is copied; EBUSY if somebody uses the source.
pub fn commit(ioctx: &IoCtx, name: &[u8], progress: Progress<'_>) -> Result<(), Errno> {
    let mut migration = open(ioctx, name)?;
    if migration.state != MigrationState::EXECUTED {
        return Err(Errno::EINVAL);
    }
    remove_migration(&migration.dest)?;
    let source = &mut migration.source;
    for snap in users_snaps(source)?.into_iter().rev() {
        remove_snap(source, snap)?;
    }
    let how = Removal {
        force: false,
        from_trash: true,
        migrating: true,
    };
    remove::remove_image(&source.ioctx, &source.id, how, progress)?;
    trash::forget(&source.ioctx, &source.id)?;
    mirror_again(&migration.dest, &migration.dest_spec)
}

/// Undoes a migration: what was written to the destination goes back, and the destination is removed.
///
/// # Errors
/// EBUSY if somebody uses either side.
pub fn abort(ioctx: &IoCtx, name: &[u8], progress: Progress<'_>) -> Result<(), Errno> {
    let mut migration = open(ioctx, name)?;
    let session = Session::open(&migration.source)?;
    session.keep();
    session.acquire(Wish::Ask)?;
    if remove::is_watched_by_others(&migration.dest)? {
        return Err(Errno::EBUSY);
    }
    migration.set_state(MigrationState::ABORTING, "")?;
    // Two steps, of which this one is the first.
    migration_copy::revert(&migration.dest, &migration.source, &|done, of| {
        progress(done, of.saturating_mul(2))
    })?;
    relink::children(&migration.dest, &migration.source, &migration.dest_spec.snap_seqs)?;
    let dest = &mut migration.dest;
    for snap in users_snaps(dest)? {
        remove_snap(dest, snap)?;
    }
    // Both are in the group for a moment: whoever interrupts this leaves the image in it.
    if let Some(found) = group::of(dest)? {
        group::add(&migration.source, &found)?;
        group::remove(dest, &found)?;
    }
    let how = Removal {
        force: false,
        from_trash: false,
        migrating: true,
    };
    remove::remove_image(&dest.ioctx, &dest.id, how, &|done, of| {
        progress(of.saturating_add(done), of.saturating_mul(2))
    })?;
    let source = &migration.source;
    match trash::restore(
        &source.ioctx,
        TrashImageSource::MIGRATION,
        &source.id,
        &source.name,
    ) {
        // An earlier attempt got as far as that.
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    remove_migration(source)?;
    mirror_again(source, &migration.dest_spec)
}

/// Switches on mirroring by the journal again, which was switched off when the migration was prepared: if what is mirrored of the
/// image's pool is chosen image by image, or all images with journals are. (One that is mirrored by snapshots cannot be migrated.)
fn mirror_again(image: &Image, spec: &MigrationSpec) -> Result<(), Errno> {
    let chosen = match mirror::mode(&image.ioctx)? {
        MirrorMode::IMAGE => spec.mirroring && spec.mirror_image_mode == MirrorImageMode::JOURNAL,
        MirrorMode::POOL => true,
        _ => false,
    };
    match chosen && image.header.has(features::JOURNALING) {
        true => mirror::enable_by_journal(image),
        false => Ok(()),
    }
}

fn remove_migration(image: &Image) -> Result<(), Errno> {
    match image.exec("migration_remove", b"") {
        Ok(()) | Err(Errno::ENOENT) => image.notify_update(),
        Err(error) => Err(error),
    }
}

/// The ids of an image's snapshots, the oldest first.
///
/// # Errors
/// EBUSY if some are not users': they cannot be migrated.
fn users_snaps(image: &Image) -> Result<Vec<u64>, Errno> {
    let snaps = &image.header.snaps;
    if snaps
        .values()
        .any(|s| s.namespace.kind() != SnapshotNamespaceType::USER)
    {
        return Err(Errno::EBUSY);
    }
    Ok(snaps.keys().copied().collect())
}

/// Removes a snapshot, be it protected.
fn remove_snap(image: &mut Image, snap: u64) -> Result<(), Errno> {
    let protected = image
        .header
        .snaps
        .get(&snap)
        .is_some_and(|s| s.protection != ProtectionStatus::UNPROTECTED);
    if protected {
        let input = [ops::arg(&snap), ops::arg(&ProtectionStatus::UNPROTECTED)].concat();
        image.exec("set_protection_status", &input)?;
    }
    snapshot::remove(image, snap)?;
    image.refresh()
}
