//! Making mirror snapshots by schedule (Ceph `src/pybind/mgr/rbd_support/mirror_snapshot_schedule.py`).

use encoding::{
    Errno,
    cls::rbd::{MirrorImageMode, MirrorImageState, MirrorMode},
};
use serde_json::{Value, json};

use super::{
    failure::Failure,
    level::Rules,
    schedule::Place,
    scheduler::{Item, Job},
};
use crate::{
    rados::IoCtx,
    rbd::{Image, directory, mirror},
};

/// Makes a mirror snapshot of an image.
#[derive(Debug)]
pub struct MirrorSnapshots;

impl Rules for MirrorSnapshots {
    const IMAGES: bool = true;

    fn check_namespace(ioctx: &IoCtx) -> Result<(), Failure> {
        let mode = mirror::mode(ioctx).map_err(|e| Failure::rbd(e, "error getting mirror mode"))?;
        if mode == MirrorMode::IMAGE {
            return Ok(());
        }
        let name = String::from_utf8_lossy(ioctx.nspace());
        let text = format!("namespace {name} is not in mirror image mode");
        Err(Failure::new(Errno::EINVAL, text))
    }

    fn check_image(image: &Image) -> Result<(), Errno> {
        match mirror::info(&image.ioctx, &image.id) {
            Ok(info) if info.mode == MirrorImageMode::SNAPSHOT => Ok(()),
            Ok(_) | Err(Errno::ENOENT) => Err(Errno::EINVAL),
            Err(error) => Err(error),
        }
    }
}

impl Job for MirrorSnapshots {
    const PLACE: Place = Place {
        oid: b"rbd_mirror_snapshot_schedule",
        option: "mgr/rbd_support/mirror_snapshot_schedule",
    };
    const LISTED: &'static str = "scheduled_images";

    fn items(pool: &IoCtx, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<(Item, String)>, Errno> {
        let mut namespaces = vec![String::new()];
        for namespace in directory::namespaces(pool)? {
            namespaces.push(String::from_utf8_lossy(&namespace).into_owned());
        }
        let mut found = Vec::new();
        for namespace in namespaces.into_iter().filter(|ns| wanted(ns)) {
            let ioctx = pool.clone().with_namespace(namespace.clone());
            for (name, id) in directory::images(&ioctx)? {
                let image = match mirrored(&ioctx, &id) {
                    Ok(image) => image,
                    // It is not mirrored so, or was removed meanwhile.
                    Err(Errno::ENOENT | Errno::EINVAL) => continue,
                    Err(error) => return Err(error),
                };
                if mirror::is_primary(&image) {
                    let item = Item {
                        pool: pool.pool(),
                        namespace: namespace.clone(),
                        image: Some(String::from_utf8_lossy(&id).into_owned()),
                    };
                    let name = String::from_utf8_lossy(&name);
                    let parts = [pool.pool_name(), namespace.clone(), name.into_owned()];
                    let shown: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
                    found.push((item, shown.join("/")));
                }
            }
        }
        Ok(found)
    }

    fn run(ioctx: &IoCtx, item: &Item) -> Result<(), Errno> {
        let id = item.image.clone().unwrap_or_default();
        let mut image = match mirrored(ioctx, id.as_bytes()) {
            Err(Errno::ENOENT | Errno::EINVAL) => return Ok(()),
            r => r?,
        };
        if !mirror::is_primary(&image) {
            return Ok(());
        }
        let info = mirror::info(ioctx, &image.id)?;
        mirror::create_snapshot(&mut image, &info.global_image_id)
    }

    fn show(_: &Item, name: &str, time: &str) -> Value {
        json!({"schedule_time": time, "image": name})
    }
}

/// An image that is mirrored by snapshots.
fn mirrored(ioctx: &IoCtx, id: &[u8]) -> Result<Image, Errno> {
    let info = mirror::info(ioctx, &id.to_vec().into())?;
    if info.mode != MirrorImageMode::SNAPSHOT || info.state != MirrorImageState::ENABLED {
        return Err(Errno::EINVAL);
    }
    Image::open_by_id(ioctx, id)
}
