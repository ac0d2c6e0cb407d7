//! Emptying the trash by schedule (Ceph `src/pybind/mgr/rbd_support/trash_purge_schedule.py`).

use std::time::SystemTime;

use encoding::Errno;
use serde_json::{Value, json};

use super::{
    failure::Failure,
    level::Rules,
    schedule::Place,
    scheduler::{Item, Job},
};
use crate::{
    rados::IoCtx,
    rbd::{Image, directory, trash},
};

/// Removes from the trash of a namespace what is due.
#[derive(Debug)]
pub struct TrashPurge;

impl Rules for TrashPurge {
    const IMAGES: bool = false;

    fn check_namespace(_: &IoCtx) -> Result<(), Failure> {
        Ok(())
    }

    fn check_image(_: &Image) -> Result<(), Errno> {
        Ok(())
    }
}

impl Job for TrashPurge {
    const PLACE: Place = Place {
        oid: b"rbd_trash_purge_schedule",
        option: "mgr/rbd_support/trash_purge_schedule",
    };
    const LISTED: &'static str = "scheduled";

    fn items(pool: &IoCtx, _: &dyn Fn(&str) -> bool) -> Result<Vec<(Item, String)>, Errno> {
        let name = pool.pool_name();
        let mut namespaces = vec![String::new()];
        for namespace in directory::namespaces(pool)? {
            namespaces.push(String::from_utf8_lossy(&namespace).into_owned());
        }
        let item = |namespace| Item {
            pool: pool.pool(),
            namespace,
            image: None,
        };
        Ok(namespaces
            .into_iter()
            .map(|ns| (item(ns), name.clone()))
            .collect())
    }

    fn run(ioctx: &IoCtx, _: &Item) -> Result<(), Errno> {
        trash::purge(ioctx, SystemTime::now())
    }

    fn show(item: &Item, name: &str, time: &str) -> Value {
        json!({
            "schedule_time": time,
            "pool_id": item.pool.to_string(),
            "pool_name": name,
            "namespace": item.namespace,
        })
    }
}
