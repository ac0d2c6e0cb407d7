//! What is looked at before a task is added.

use encoding::{
    Errno,
    cls::rbd::{MigrationState, SnapshotNamespaceType},
};

use super::{
    caller::Caller,
    failure::{Failure, bytes_literal},
    spec::ImageSpec,
    task::Action,
    tasks::{Found, Tasks},
};
use crate::{
    rados::IoCtx,
    rbd::{
        Image,
        migration::{self, Status},
        trash,
    },
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn absent(spec: &ImageSpec) -> Failure {
    Failure::rbd(Errno::ENOENT, format!("Image {spec} does not exist"))
}

/// The image, if it exists.
fn open(ioctx: &IoCtx, spec: &ImageSpec) -> Result<Option<Image>, Failure> {
    match Image::open(ioctx, spec.image.as_bytes()) {
        Ok(image) => Ok(Some(image)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => {
            let name = bytes_literal(&spec.image);
            Err(Failure::rbd(
                error,
                format!("error opening image {name} at snapshot None"),
            ))
        }
    }
}

/// `rbd task add flatten`.
pub fn flatten(tasks: &Tasks, caller: Caller<'_>, image: &str) -> Result<String, Failure> {
    tasks.add(caller, Action::Flatten, image, |ioctx, spec| {
        let Some(image) = open(ioctx, spec)? else {
            return Ok(Found {
                id: None,
                message: Err(absent(spec)),
            });
        };
        let message = if image.header.has_parent() {
            Ok(format!("Flattening image {spec}"))
        } else {
            let why = format!("Image {spec} does not have a parent");
            Err(Failure::rbd(Errno::ENOENT, why))
        };
        Ok(Found {
            id: Some(text(&image.id)),
            message,
        })
    })
}

/// `rbd task add remove`.
pub fn remove(tasks: &Tasks, caller: Caller<'_>, image: &str) -> Result<String, Failure> {
    tasks.add(caller, Action::Remove, image, |ioctx, spec| {
        let Some(image) = open(ioctx, spec)? else {
            return Ok(Found {
                id: None,
                message: Err(absent(spec)),
            });
        };
        // Snapshots that only clones need are not listed.
        let listed = |kind| kind != SnapshotNamespaceType::TRASH;
        let has_snaps = image.header.snaps.values().any(|s| listed(s.namespace.kind()));
        let message = if has_snaps {
            Err(Failure::rbd(Errno::EBUSY, format!("Image {spec} has snapshots")))
        } else {
            Ok(format!("Removing image {spec}"))
        };
        Ok(Found {
            id: Some(text(&image.id)),
            message,
        })
    })
}

/// `rbd task add trash remove`.
pub fn trash_remove(tasks: &Tasks, caller: Caller<'_>, image: &str) -> Result<String, Failure> {
    tasks.add(caller, Action::TrashRemove, image, |ioctx, spec| {
        let message = match trash::get(ioctx, spec.image.as_bytes()) {
            Ok(_) => Ok(format!("Removing image {spec} from trash")),
            Err(error) => Err(Failure::rbd(error, "error retrieving image from trash")),
        };
        Ok(Found { id: None, message })
    })
}

/// How far the migration of an image is; none if it is not migrated.
fn status(ioctx: &IoCtx, spec: &ImageSpec) -> Result<Option<Status>, Failure> {
    match migration::status(ioctx, spec.image.as_bytes()) {
        Ok(status) => Ok(Some(status)),
        Err(Errno::EINVAL | Errno::ENOENT) => Ok(None),
        Err(error) => Err(Failure::rbd(error, "error getting migration status")),
    }
}

fn add_migration(
    tasks: &Tasks,
    caller: Caller<'_>,
    action: Action,
    image: &str,
    message: impl FnOnce(&Status, &ImageSpec) -> Result<String, Failure>,
) -> Result<String, Failure> {
    tasks.add(caller, action, image, |ioctx, spec| {
        let status = status(ioctx, spec)?;
        let message = match &status {
            Some(status) => message(status, spec),
            None => {
                let why = format!("Image {spec} is not migrating");
                Err(Failure::rbd(Errno::EINVAL, why))
            }
        };
        Ok(Found {
            id: status.map(|s| text(&s.dest.id)),
            message,
        })
    })
}

/// `rbd task add migration execute`.
pub fn migration_execute(tasks: &Tasks, caller: Caller<'_>, image: &str) -> Result<String, Failure> {
    let map = tasks.rados.cluster().osdmap();
    add_migration(tasks, caller, Action::MigrationExecute, image, |status, spec| {
        if ![MigrationState::PREPARED, MigrationState::EXECUTING].contains(&status.state) {
            let why = format!("Image {spec} is not in ready state");
            return Err(Failure::rbd(Errno::EINVAL, why));
        }
        let shown = |side: &migration::Side| ImageSpec {
            pool: map
                .pool_names
                .get(&side.pool)
                .cloned()
                .unwrap_or_else(|| "<unknown>".to_owned()),
            namespace: text(&side.namespace),
            image: text(&side.name),
        };
        Ok(format!(
            "Migrating image {} to {}",
            shown(&status.source),
            shown(&status.dest)
        ))
    })
}

/// `rbd task add migration commit`.
pub fn migration_commit(tasks: &Tasks, caller: Caller<'_>, image: &str) -> Result<String, Failure> {
    add_migration(tasks, caller, Action::MigrationCommit, image, |status, spec| {
        if status.state != MigrationState::EXECUTED {
            let why = format!("Image {spec} has not completed migration");
            return Err(Failure::rbd(Errno::EINVAL, why));
        }
        Ok(format!("Committing image migration for {spec}"))
    })
}

/// `rbd task add migration abort`.
pub fn migration_abort(tasks: &Tasks, caller: Caller<'_>, image: &str) -> Result<String, Failure> {
    add_migration(tasks, caller, Action::MigrationAbort, image, |_, spec| {
        Ok(format!("Aborting image migration for {spec}"))
    })
}
