//! Which objects are an image's data, and which volume they belong to.
//!
//! Data object N of image `<id>` is `rbd_data.<id>.<N as 16 hex digits>`, or `rbd_data.<pool>.<id>.<N>` in a
//! separate data pool (librbd `src/librbd/image/CreateRequest.cc`). It lies at N * object_size in the image's
//! volume, whose name comes from the image id, so that renaming an image moves nothing.

use std::{
    collections::HashMap,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use store::{Store, StoreError, Transaction, VolumeId};

use super::{creators::creator, id::ObjectId, keys, onode::Placement};

const PREFIX: &[u8] = b"rbd_data.";
/// Image orders that librbd accepts (`src/librbd/internal.cc`, `validate`): 4 KiB to 32 MiB objects.
const ORDERS: std::ops::RangeInclusive<u8> = 12..=25;

/// The parts of a data object's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataName {
    /// The pool that holds the image's header, if the name says that it is another one.
    pub header_pool: Option<i64>,
    /// The image id.
    pub image: Bytes,
    /// The object's number.
    pub index: u64,
}

impl DataName {
    /// Takes the name apart; `None` if it is not that of a data object.
    #[must_use]
    pub fn parse(name: &Bytes) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        let dot = rest.len().checked_sub(17)?;
        let (head, tail) = rest.split_at(dot);
        let digits = std::str::from_utf8(tail.strip_prefix(b".")?).ok()?;
        if digits.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let index = u64::from_str_radix(digits, 16).ok()?;
        let (header_pool, image) = match head.iter().position(|b| *b == b'.') {
            None => (None, head),
            Some(at) => {
                let pool = std::str::from_utf8(&head[..at]).ok()?.parse().ok()?;
                (Some(pool), &head[at + 1..])
            }
        };
        if image.is_empty() || image.contains(&b'.') {
            return None;
        }
        Some(Self {
            header_pool,
            image: name.slice_ref(image),
            index,
        })
    }

    /// The name of data object `index` of the same image.
    #[must_use]
    pub fn name_of(header_pool: Option<i64>, image: &[u8], index: u64) -> Bytes {
        let image = image.escape_ascii();
        match header_pool {
            None => format!("rbd_data.{image}.{index:016x}"),
            Some(pool) => format!("rbd_data.{pool}.{image}.{index:016x}"),
        }
        .into()
    }
}

/// An image's volume, as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageVolume {
    /// The volume.
    pub volume: VolumeId,
    /// Bytes of each object.
    pub object_size: u32,
}

type ImageKey = (i64, Bytes, Option<i64>, Bytes);

/// The volumes of all images, found by the names of their objects.
#[derive(Debug, Default)]
pub struct Images {
    known: Mutex<HashMap<ImageKey, ImageVolume>>,
    /// How many data objects exist in each volume.
    objects: Mutex<HashMap<VolumeId, i64>>,
    /// How many data objects came into being in this process's life.
    made: AtomicU64,
}

/// Where a data object is placed, and the record to write if its image has no volume yet.
#[derive(Debug)]
pub struct Found {
    /// The placement.
    pub placement: Placement,
    /// The image's volume.
    pub volume: ImageVolume,
}

impl Images {
    /// The placement of `id` if it is the data of an image that has a header; otherwise `None`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn place(&self, store: &Store, id: &ObjectId) -> Result<Option<Found>, StoreError> {
        if !id.key.is_empty() {
            return Ok(None);
        }
        let Some(name) = DataName::parse(&id.name) else {
            return Ok(None);
        };
        let key = (id.pool, id.nspace.clone(), name.header_pool, name.image.clone());
        let known = self.known.lock().get(&key).copied();
        let volume = match known {
            Some(v) => v,
            None => match open(store, id, &name)? {
                None => return Ok(None),
                Some(v) => {
                    self.objects.lock().entry(v.volume).or_default();
                    *self.known.lock().entry(key).or_insert(v)
                }
            },
        };
        // An offset that no volume can have is no image data of ours.
        let end = name
            .index
            .checked_add(1)
            .and_then(|n| n.checked_mul(volume.object_size.into()));
        if end.is_none_or(|end| end > i64::MAX as u64) {
            return Ok(None);
        }
        let placement = Placement::Volume {
            volume: volume.volume,
            index: name.index,
            object_size: volume.object_size,
        };
        Ok(Some(Found { placement, volume }))
    }

    /// Whether the volume is in use: placements in it are valid.
    pub fn is_known(&self, volume: VolumeId) -> bool {
        self.objects.lock().contains_key(&volume)
    }

    /// Records that data objects came into being, or went.
    pub fn counted(&self, volume: VolumeId, change: i64) {
        *self.objects.lock().entry(volume).or_default() += change;
        if change > 0 {
            self.made.fetch_add(1, Release);
        }
    }

    /// A number that grows whenever data objects have come into being, once a listing can find them.
    pub fn made(&self) -> u64 {
        self.made.load(Acquire)
    }

    /// How many data objects exist in the volume.
    pub fn count(&self, volume: VolumeId) -> i64 {
        self.objects.lock().get(&volume).copied().unwrap_or(0)
    }

    /// Forgets an image whose volume is deleted.
    pub fn forget(&self, volume: VolumeId) {
        self.objects.lock().remove(&volume);
        self.known.lock().retain(|_, v| v.volume != volume);
    }

    /// Forgets all images of a deleted pool.
    pub fn forget_pool(&self, pool: i64) {
        self.known.lock().retain(|k, _| k.0 != pool);
    }
}

/// The recorded name of an image as part of a volume record's key.
fn image_key(name: &DataName) -> Bytes {
    match name.header_pool {
        None => name.image.clone(),
        Some(pool) => format!("{pool}.{}", name.image.escape_ascii()).into(),
    }
}

/// The volume of the data object's image: recorded, or made from what the image's header says.
fn open(store: &Store, id: &ObjectId, name: &DataName) -> Result<Option<ImageVolume>, StoreError> {
    let image = image_key(name);
    let record = keys::image_volume(id.pool, &id.nspace, &image);
    if let Some(value) = store.get(&record)? {
        let Ok(object_size) = value.as_ref().try_into().map(u32::from_le_bytes) else {
            return Err(StoreError::Corrupt("image volume record".into()));
        };
        let volume = store.volume(&volume_name(id, &image))?;
        return Ok(Some(ImageVolume { volume, object_size }));
    }
    let Some(order) = header_order(store, id, name)? else {
        return Ok(None);
    };
    let object_size = 1_u32 << order;
    let header_pool = name.header_pool.unwrap_or(id.pool);
    let creator = creator(store, header_pool, &id.nspace, &name.image)?;
    let volume = store.volume_for(&volume_name(id, &image), creator.as_deref())?;
    let mut tx = Transaction::new();
    tx.put(record, object_size.to_le_bytes().to_vec());
    store.submit(tx)?;
    Ok(Some(ImageVolume { volume, object_size }))
}

/// The volume's name: pool, namespace if any, image id.
#[must_use]
pub fn volume_name(id: &ObjectId, image: &[u8]) -> String {
    let image = image.escape_ascii();
    if id.nspace.is_empty() {
        format!("pool-{}.image-{image}", id.pool)
    } else {
        format!("pool-{}.ns-{}.image-{image}", id.pool, id.nspace.escape_ascii())
    }
}

/// `order` in the omap of the image's header.
fn header_order(store: &Store, id: &ObjectId, name: &DataName) -> Result<Option<u8>, StoreError> {
    let mut header = b"rbd_header.".to_vec();
    header.extend_from_slice(&name.image);
    let header = ObjectId::new(name.header_pool.unwrap_or(id.pool), id.nspace.clone(), header);
    let Some(raw) = store.get(&keys::object(&header))? else {
        return Ok(None);
    };
    let Some(onode) = super::onode::Onode::decode(&raw, Placement::Slots).and_then(|s| s.onode) else {
        return Err(StoreError::Corrupt("onode".into()));
    };
    let order = store.get(&keys::omap(onode, b"order"))?;
    Ok(order
        .and_then(|v| v.first().copied())
        .filter(|o| ORDERS.contains(o)))
}

/// The image, namespace and pool of a volume record's key.
#[must_use]
pub fn parse_record(key: &[u8]) -> Option<(i64, Bytes, Bytes)> {
    let pool = i64::from_be_bytes(key.get(1..9)?.try_into().ok()?);
    let mut rest = key.get(9..)?;
    let nspace = super::id::take_escaped(&mut rest)?;
    Some((pool, nspace, Bytes::copy_from_slice(rest)))
}

/// A volume record's image part: the header's pool if it is another one, and the image id.
#[must_use]
pub fn split_image_key(key: &[u8]) -> (Option<i64>, Bytes) {
    let split = key.iter().position(|b| *b == b'.').and_then(|at| {
        let pool = std::str::from_utf8(&key[..at]).ok()?.parse().ok()?;
        Some((pool, Bytes::copy_from_slice(&key[at + 1..])))
    });
    split.map_or_else(
        || (None, Bytes::copy_from_slice(key)),
        |(pool, image)| (Some(pool), image),
    )
}

/// The volume that a record's key and value describe.
///
/// # Errors
/// If the store fails or the record is damaged.
pub fn recorded_volume(
    store: &Store,
    key: &[u8],
    value: &[u8],
) -> Result<(ObjectId, Bytes, ImageVolume), StoreError> {
    let (pool, nspace, image) = parse_record(key).ok_or(StoreError::Corrupt("image volume key".into()))?;
    let object_size = value
        .try_into()
        .map(u32::from_le_bytes)
        .map_err(|_| StoreError::Corrupt("image volume record".into()))?;
    let id = ObjectId::new(pool, nspace, Bytes::new());
    let volume = store.volume(&volume_name(&id, &image))?;
    Ok((id, image, ImageVolume { volume, object_size }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<(Option<i64>, String, u64)> {
        DataName::parse(&Bytes::copy_from_slice(name.as_bytes())).map(|d| {
            (
                d.header_pool,
                String::from_utf8(d.image.to_vec()).unwrap(),
                d.index,
            )
        })
    }

    #[test]
    fn data_object_names_give_image_and_number() {
        assert_eq!(
            parse("rbd_data.1091e25dec96.000000000000000a"),
            Some((None, "1091e25dec96".into(), 10))
        );
        assert_eq!(
            parse("rbd_data.7.ab.0000000000000001"),
            Some((Some(7), "ab".into(), 1))
        );
    }

    #[test]
    fn other_names_are_no_image_data() {
        for name in [
            "rbd_data.",
            "rbd_data.ab",
            "rbd_data.ab.1",
            "rbd_data..0000000000000001",
            "rbd_data.ab.000000000000000A",
            "rbd_header.ab",
            "rbd_data.a.b.c.0000000000000001",
            "rbd_data.ab.+000000000000001",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_is_made_as_it_is_parsed() {
        for pool in [None, Some(3)] {
            let name = DataName::name_of(pool, b"abc", 0x1f);
            let d = DataName::parse(&name).unwrap();
            assert_eq!(
                (d.header_pool, d.image.as_ref(), d.index),
                (pool, &b"abc"[..], 0x1f)
            );
        }
    }
}
