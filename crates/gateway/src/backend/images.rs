//! What is known of an image by its name, and its way from and to a plain volume.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Errno, Put, Reader,
    types::{OpArgs, OpCode, OpFlags, OsdOp},
};
use store::{StoreError, VolumeId};

use super::names::Place;
use crate::{
    objects::{
        Data, Objects, commit::CommitError, creators::header_of, fetched::Access, hand_over::order_for,
        id::ObjectId, onode::ObjectState,
    },
    osd::alone,
    rados::Rados,
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
    /// The store refused.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// An object's change failed.
    #[error("{0}: {1}")]
    Op(String, Errno),
}

/// What carries op vectors out: a client of the running server, or nobody else is there.
pub trait Vectors {
    /// Runs a vector on an object, and waits until what it changed is durable.
    ///
    /// # Errors
    /// The vector's.
    fn run(&self, id: &ObjectId, vector: Vec<OsdOp>) -> Result<(), Errno>;
}

impl Vectors for Objects {
    fn run(&self, id: &ObjectId, mut vector: Vec<OsdOp>) -> Result<(), Errno> {
        alone::run(self, id, &mut vector)
    }
}

impl Vectors for Arc<Rados> {
    fn run(&self, id: &ObjectId, vector: Vec<OsdOp>) -> Result<(), Errno> {
        let objects = self.open_pool_id(id.pool)?.with_namespace(id.nspace.clone());
        objects.write(&id.name, vector).map(drop)
    }
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
    /// Who created it, as `client.admin`, if that is known.
    pub creator: Option<String>,
    /// It is in a group.
    pub in_group: bool,
    /// It is being migrated.
    pub migrates: bool,
    /// It is mirrored.
    pub mirrored: bool,
}

impl Image {
    /// The image of that name in a pool.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn find(objects: &Objects, pool: i64, name: &str) -> Result<Self, ImageError> {
        let none = || ImageError::NoImage(name.to_owned());
        let damaged = |what| ImageError::Damaged(name.to_owned(), what);
        let id_object = id_object(pool, name);
        let state = objects.load(&id_object)?;
        if !state.exists {
            return Err(none());
        }
        let Data::Ready(id) = objects.read(&id_object, &state, 0, state.size, Access::Wait)? else {
            return Err(damaged("id"));
        };
        let id = Reader::new(&id).blob().map_err(|_| damaged("id"))?;
        let header = objects.load(&header_of(&ObjectId::new(pool, "", id.clone())))?;
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
            creator: objects.creator_of(&ObjectId::new(pool, "", id.clone()))?,
            in_group: value(b"rbd_group_ref")?.is_some(),
            migrates: value(b"migration")?.is_some(),
            mirrored: is_mirrored(objects, pool, &id)?,
            id: ObjectId::new(pool, "", id),
        })
    }

    /// Its volume, if it can be handed back.
    fn to_release(&self, objects: &Objects, name: &str) -> Result<VolumeId, ImageError> {
        let refused = |why: String| Err(ImageError::Refused(format!("{name}: {why}")));
        if !self.snapshots.is_empty() {
            return refused(format!(
                "remove its snapshots first, and what was cloned of them: {}",
                self.snapshots.join(", ")
            ));
        }
        for (needs, why) in [
            (
                self.has_parent,
                "it is a clone and still needs its parent: flatten it first",
            ),
            (
                self.features & JOURNALING != 0,
                "it has a journal: disable the feature journaling first",
            ),
            (self.data_pool.is_some(), "its data lies in a pool of its own"),
            (self.in_group, "it is in a group: remove it from there first"),
            (
                self.migrates,
                "it is being migrated: commit or abort the migration first",
            ),
            (self.mirrored, "it is mirrored: disable that first"),
        ] {
            if needs {
                return refused(why.to_owned());
            }
        }
        let Some(volume) = self.volume else {
            return refused("nothing was ever written to it, so there is no volume".to_owned());
        };
        if objects.has_clones(volume)? {
            return refused(
                "removed snapshots are still being trimmed by the server: try again when that is done"
                    .to_owned(),
            );
        }
        Ok(volume)
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

fn snapshots(objects: &Objects, header: &ObjectState) -> Result<Vec<String>, StoreError> {
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

fn run(vectors: &impl Vectors, id: &ObjectId, vector: Vec<OsdOp>) -> Result<(), ImageError> {
    let done = vectors.run(id, vector);
    done.map_err(|error| ImageError::Op(id.to_string(), error))
}

fn delete() -> OsdOp {
    OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new())
}

fn id_object(pool: i64, name: &str) -> ObjectId {
    ObjectId::new(pool, "", format!("rbd_id.{name}"))
}

/// Whether the pool's mirroring knows the image (`rbd_mirroring`, rows `image_ID`).
fn is_mirrored(objects: &Objects, pool: i64, image: &[u8]) -> Result<bool, StoreError> {
    let mirroring = objects.load(&ObjectId::new(pool, "", "rbd_mirroring"))?;
    let row = [b"image_", image].concat();
    Ok(objects.omap(&mirroring, &row)?.is_some())
}

/// Makes an image of a volume. Nothing is copied, and what is in the volume stays as it is.
///
/// # Errors
/// If the name is taken, or the volume too large.
pub fn adopt(
    objects: &Objects,
    vectors: &impl Vectors,
    pool: i64,
    name: &str,
    place: &str,
    size: u64,
) -> Result<(), ImageError> {
    let refused = |why: &str| ImageError::Refused(format!("{name}: {why}"));
    let order = order_for(size).ok_or_else(|| refused("the volume is too large"))?;
    if objects.load(&id_object(pool, name))?.exists {
        return Err(refused("there is an image of that name"));
    }
    let store = objects.store();
    for (_, volume) in store.volume_names() {
        // The same path may be recorded with another owner.
        if Place::parse(&store.volume_place(volume)?).path == Place::parse(place).path {
            return Err(refused("the volume belongs to an image already"));
        }
    }
    let image = ObjectId::new(pool, "", format!("{:012x}", rand::random::<u64>() >> 16));
    // The header first: a volume without one would be taken for what is left of a removed image.
    let mut create = BytesMut::new();
    create.put_u64_le(size);
    create.put_u8(order);
    create.put_u64_le(FEATURES);
    create.put_string(&format!("rbd_data.{}", image.name.escape_ascii()));
    create.put_i64_le(-1);
    run(vectors, &header_of(&image), vec![call("create", create)])?;
    objects.adopt(&image, place, size, order)?;
    enter(vectors, &image, name).inspect_err(|_| {
        // As if it had not been tried: the volume is a plain one again.
        let released = objects.volume_of_image(&image).map_err(CommitError::from);
        let released = released.and_then(|volume| match volume {
            Some(volume) => objects.release(&image, volume, size).map(drop),
            None => Ok(()),
        });
        if let Err(error) = released {
            tracing::error!(%error, image = %image, "an image without a name is left");
        }
    })
}

/// Makes an image known under a name.
fn enter(vectors: &impl Vectors, image: &ObjectId, name: &str) -> Result<(), ImageError> {
    let id = image.name.escape_ascii().to_string();
    let mut exclusive = OsdOp::new(OpCode::CREATE, OpArgs::Raw([0; 28]), Bytes::new());
    exclusive.flags |= OpFlags::EXCL;
    let id_object = id_object(image.pool, name);
    run(vectors, &id_object, vec![exclusive, call("set_id", text(&[&id]))])?;
    let directory = ObjectId::new(image.pool, "", "rbd_directory");
    let entered = run(
        vectors,
        &directory,
        vec![call("dir_add_image", text(&[name, &id]))],
    );
    entered.inspect_err(|_| {
        if let Err(error) = run(vectors, &id_object, vec![delete()]) {
            tracing::error!(%error, "cannot be removed again");
        }
    })
}

/// Makes a plain volume of an image that nobody uses, as it was found just now, and returns its place. It can still be found by its
/// name, until [`forget_name`].
///
/// # Errors
/// If snapshots, clones or a parent need what only an image has.
pub fn release(objects: &Objects, image: &Image, name: &str) -> Result<String, ImageError> {
    let volume = image.to_release(objects, name)?;
    Ok(objects.release(&image.id, volume, image.size)?)
}

/// Removes what is left of an image that was released.
///
/// # Errors
/// If an object cannot be changed: `rbd rm` removes the rest, too.
pub fn forget_name(
    objects: &Objects,
    vectors: &impl Vectors,
    image: &Image,
    name: &str,
) -> Result<(), ImageError> {
    let (pool, id) = (image.id.pool, image.id.name.escape_ascii().to_string());
    let directory = ObjectId::new(pool, "", "rbd_directory");
    run(
        vectors,
        &directory,
        vec![call("dir_remove_image", text(&[name, &id]))],
    )?;
    let object_map = ObjectId::new(pool, "", format!("rbd_object_map.{id}"));
    for object in [id_object(pool, name), object_map] {
        if objects.load(&object)?.exists {
            run(vectors, &object, vec![delete()])?;
        }
    }
    Ok(())
}
