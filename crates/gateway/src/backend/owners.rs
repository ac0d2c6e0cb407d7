//! Whose directories and volumes are.
//!
//! Without the root owner's password everything is done on behalf of the owner it belongs to: CurveBS checks no passwords of
//! others. The root owner does it all himself, and gives away what he has made.

use std::io;

use curve::{Client, Identity, mds::Mds, proto::namespace::StatusCode};

use super::names::Directory;
use crate::config::CurveSettings;

/// The client that works on volumes of an owner.
pub(super) fn client_of(client: &Client, settings: &CurveSettings, owner: Option<&str>) -> Client {
    match owner {
        Some(owner) if settings.password.is_none() => client.on_behalf_of(Identity::owner(owner)),
        _ => client.clone(),
    }
}

/// To whom the gateway has to give what it makes for an owner.
pub(super) fn receiver<'a>(settings: &CurveSettings, owner: Option<&'a str>) -> Option<&'a str> {
    owner.filter(|_| settings.password.is_some())
}

/// Makes the directories on the way to a volume, with the client of the volume's owner.
pub(super) async fn make_directories(
    mds: &Mds,
    settings: &CurveSettings,
    directories: &[Directory],
    owner: Option<&str>,
) -> io::Result<()> {
    for Directory { path, owned } in directories {
        match mds.create_directory(path).await {
            Ok(()) => tracing::info!(directory = path, owner, "directory made"),
            Err(error) if error.mds_status() == Some(StatusCode::FileExists) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(owner) = receiver(settings, owner).filter(|_| *owned) {
            give(mds, path, &settings.owner, owner).await?;
        }
    }
    Ok(())
}

/// Gives a file to another owner if it still is the root owner's who made it.
pub(super) async fn give(mds: &Mds, path: &str, root: &str, owner: &str) -> curve::Result<()> {
    if mds.file(path).await?.owner != root {
        return Ok(());
    }
    match mds.change_owner(path, owner).await {
        Ok(()) => tracing::info!(path, owner, "given to its owner"),
        // It is usable all the same: the root owner may do everything.
        Err(error)
            if matches!(
                error.mds_status(),
                Some(StatusCode::DirNotEmpty | StatusCode::FileOccupied)
            ) =>
        {
            tracing::warn!(path, owner, %error, "cannot be given to its owner");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
