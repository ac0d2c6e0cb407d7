//! What is known of an image by its name, and its way from and to a plain volume.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Errno, Put, Reader,
    types::{OpArgs, OpCode, OsdOp},
};
use store::{StoreError, VolumeId};

use crate::{
    objects::{Data, Objects, fetched::Access, hand_over::order_for, id::ObjectId},
    osd::alone,
};

/// Layering, exclusive lock and deep flatten (`src/include/rbd/features.h`): what needs no object of its own.
const FEATURES: u64 = 1 | 1 << 2 | 1 << 5;
/// The image has a journal.
const JOURNALING: u64 = 1 << 6;

/// Why an image cannot be found, adopted or handed back.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is none.
    #[error("no image is called {0}")]
    NoImage(String),
    /// Its objects cannot be read.
    #[error("image {0}: its {1} cannot be read")]
    Damaged(String, &'static str),
    /// It cannot be done.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object's change failed.
    #[error("{0}: {1}")]
    Op(String, Errno),
}

/// An image, as its header tells.
#[derive(Debug)]
pub struct Image {
    /// Its pool and namespace, and its id for a name.
    pub id: ObjectId,
    /// Bytes.
    pub size: u64,
    /// Of each object.
    pub order: u8,
    /// Feature bits.
    pub features: u64,
    /// Its data lies in another pool.
    pub data_pool: Option<i64>,
    /// It is a clone and still needs its parent.
    pub has_parent: bool,
    /// Names of its snapshots.
    pub snapshots: Vec<String>,
    /// Where its data lies; none if nothing was written.
    pub volume: Option<VolumeId>,
}

impl Image {
    /// The image of that name in a pool.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn find(objects: &Objects, pool: i64, name: &str) -> Result<Self, ImageError> {
        let none = || ImageError::NoImage(name.to_owned());
        let damaged = |what| ImageError::Damaged(name.to_owned(), what);
        let id_object = ObjectId::new(pool, "", format!("rbd_id.{name}"));
        let state = objects.load(&id_object)?;
        if !state.exists {
            return Err(none());
        }
        let Data::Ready(id) = objects.read(&id_object, &state, 0, state.size, Access::Wait)? else {
            return Err(damaged("id"));
        };
        let id = Reader::new(&id).blob().map_err(|_| damaged("id"))?;
        let header = ObjectId::new(pool, "", [b"rbd_header.", id.as_ref()].concat());
        let header = objects.load(&header)?;
        if !header.exists {
            return Err(damaged("header"));
        }
        let value = |key: &[u8]| objects.omap(&header, key);
        let number = |value: Option<Bytes>| value.and_then(|v| Reader::new(&v).u64().ok());
        let data_pool = number(value(b"data_pool_id")?).map(|id| id as i64);
        let mut place = ObjectId::new(data_pool.unwrap_or(pool), "", id.clone());
        if data_pool.is_some() {
            place.name = [format!("{pool}.").as_bytes(), id.as_ref()].concat().into();
        }
        Ok(Self {
            size: number(value(b"size")?).ok_or_else(|| damaged("size"))?,
            order: value(b"order")?
                .and_then(|v| v.first().copied())
                .ok_or_else(|| damaged("order"))?,
            features: number(value(b"features")?).unwrap_or(0),
            data_pool,
            has_parent: value(b"parent")?.is_some(),
            snapshots: snapshots(objects, &header)?,
            volume: objects.volume_of_image(&place)?,
            id: ObjectId::new(pool, "", id),
        })
    }

    /// Where its data lies, as people are told.
    ///
    /// # Errors
    /// If the store fails.
    pub fn place(&self, objects: &Objects) -> Result<Option<String>, StoreError> {
        self.volume
            .map(|volume| objects.store().volume_place(volume))
            .transpose()
    }
}

fn snapshots(
    objects: &Objects,
    header: &crate::objects::onode::ObjectState,
) -> Result<Vec<String>, StoreError> {
    let rows = objects.rows(b'M', header, b"snapshot_", usize::MAX)?;
    let rows = rows.iter().take_while(|(key, _)| key.starts_with(b"snapshot_"));
    // `cls_rbd_snap` (`src/cls/rbd/cls_rbd.h`): version, compat, length, id, name.
    let name = |value: &Bytes| {
        let mut r = Reader::new(value);
        r.bytes(14, "snapshot").ok()?;
        r.string().ok()
    };
    Ok(rows
        .map(|(key, value)| name(value).unwrap_or_else(|| key.escape_ascii().to_string()))
        .collect())
}

fn call(method: &str, input: BytesMut) -> OsdOp {
    OsdOp::call("rbd", method, &input)
}

fn text(parts: &[&str]) -> BytesMut {
    let mut out = BytesMut::new();
    parts.iter().for_each(|part| out.put_string(part));
    out
}

fn run(objects: &Objects, id: &ObjectId, mut vector: Vec<OsdOp>) -> Result<(), ImageError> {
    alone::run(objects, id, &mut vector).map_err(|error| ImageError::Op(id.to_string(), error))
}

/// Makes an image of a volume. Nothing is copied, and what is in the volume stays as it is.
///
/// # Errors
/// If the name is taken, or the volume too large.
pub fn adopt(objects: &Objects, pool: i64, name: &str, place: &str, size: u64) -> Result<(), ImageError> {
    let refused = |why: &str| ImageError::Refused(format!("{name}: {why}"));
    let order = order_for(size).ok_or_else(|| refused("the volume is too large"))?;
    let id_object = ObjectId::new(pool, "", format!("rbd_id.{name}"));
    if objects.load(&id_object)?.exists {
        return Err(refused("there is an image of that name"));
    }
    let store = objects.store();
    for (_, volume) in store.volume_names() {
        if store.volume_place(volume)? == place {
            return Err(refused("the volume belongs to an image already"));
        }
    }
    let id = format!("{:012x}", rand::random::<u64>() >> 16);
    // The header first: a volume without one would be taken for what is left of a removed image.
    let header = ObjectId::new(pool, "", format!("rbd_header.{id}"));
    let mut create = BytesMut::new();
    create.put_u64_le(size);
    create.put_u8(order);
    create.put_u64_le(FEATURES);
    create.put_string(&format!("rbd_data.{id}"));
    create.put_i64_le(-1);
    run(objects, &header, vec![call("create", create)])?;
    objects.adopt(&ObjectId::new(pool, "", id.clone()), place, size, order)?;
    let exclusive = OsdOp::new(OpCode::CREATE, OpArgs::Raw([0; 28]), Bytes::new());
    run(objects, &id_object, vec![exclusive, call("set_id", text(&[&id]))])?;
    let directory = ObjectId::new(pool, "", "rbd_directory");
    run(
        objects,
        &directory,
        vec![call("dir_add_image", text(&[name, &id]))],
    )
}

/// Makes a plain volume of an image, and returns its path.
///
/// # Errors
/// If snapshots, clones or a parent need what only an image has.
pub fn release(objects: &Objects, pool: i64, name: &str) -> Result<String, ImageError> {
    let image = Image::find(objects, pool, name)?;
    let refused = |why: String| Err(ImageError::Refused(format!("{name}: {why}")));
    if !image.snapshots.is_empty() {
        return refused(format!(
            "remove its snapshots first, and what was cloned of them: {}",
            image.snapshots.join(", ")
        ));
    }
    if image.has_parent {
        return refused("it is a clone and still needs its parent: flatten it first".to_owned());
    }
    if image.features & JOURNALING != 0 {
        return refused("it has a journal: disable the feature journaling first".to_owned());
    }
    if image.data_pool.is_some() {
        return refused("its data lies in a pool of its own".to_owned());
    }
    let Some(volume) = image.volume else {
        return refused("nothing was ever written to it, so there is no volume".to_owned());
    };
    if objects.has_clones(volume)? {
        return refused(
            "removed snapshots are still being trimmed: start the server until that is done".to_owned(),
        );
    }
    let place = objects.release(&image.id, volume, image.size)?;
    let id = image.id.name.escape_ascii().to_string();
    let delete = || OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new());
    let directory = ObjectId::new(pool, "", "rbd_directory");
    run(
        objects,
        &directory,
        vec![call("dir_remove_image", text(&[name, &id]))],
    )?;
    for object in [
        format!("rbd_id.{name}"),
        format!("rbd_object_map.{id}"),
        format!("rbd_header.{id}"),
    ] {
        let object = ObjectId::new(pool, "", object);
        if objects.load(&object)?.exists {
            run(objects, &object, vec![delete()])?;
        }
    }
    Ok(place)
}
