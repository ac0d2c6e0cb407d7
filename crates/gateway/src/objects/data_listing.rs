//! The data objects of a pool in the order of a listing. They are recorded by image, so an ordered list of them is made once
//! and kept while clients go through it page by page.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use store::StoreError;

use super::{
    Objects,
    id::ObjectId,
    images::{DataName, ImageVolume, split_image_key},
    keys,
};

/// How long an order is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(30);
/// How long it is kept at most: somebody may come back with a cursor of his own.
const LIFETIME: Duration = Duration::from_secs(600);

/// The data objects of a pool.
#[derive(Debug)]
pub(super) struct DataListing {
    images: Vec<Image>,
    /// Reversed hash, index in [`Self::images`], number of the object: in ascending order.
    objects: Vec<(u32, u32, u64)>,
}

#[derive(Debug)]
struct Image {
    /// Names pool and namespace.
    of: ObjectId,
    header_pool: Option<i64>,
    image: Bytes,
    volume: ImageVolume,
}

impl DataListing {
    fn new(objects: &Objects, pool: i64) -> Result<Self, StoreError> {
        let mut listing = Self {
            images: Vec::new(),
            objects: Vec::new(),
        };
        objects.each_volume(Some(pool), |of, image, volume| {
            let (header_pool, image) = split_image_key(&image);
            let at = listing.images.len() as u32;
            let found = &mut listing.objects;
            objects.each_entry(volume, |index, _| {
                let name = DataName::name_of(header_pool, &image, index);
                let hash = ObjectId::new(of.pool, of.nspace.clone(), name).hash();
                found.push((hash.reverse_bits(), at, index));
            })?;
            listing.images.push(Image {
                of,
                header_pool,
                image,
                volume,
            });
            Ok(ControlFlow::Continue(()))
        })?;
        listing.objects.sort_unstable();
        Ok(listing)
    }

    /// Those that there are with a reversed hash from `first` to `last` and a key of at least `from`: `limit` of them, and all that have
    /// the last one's hash.
    pub(super) fn page(
        &self,
        objects: &Objects,
        (first, last): (u32, u32),
        from: Option<&Bytes>,
        limit: usize,
        wanted: &impl Fn(&[u8]) -> bool,
        found: &mut Vec<(Bytes, ObjectId)>,
    ) -> Result<(), StoreError> {
        let wanted: Vec<bool> = self.images.iter().map(|i| wanted(&i.of.nspace)).collect();
        let start = self.objects.partition_point(|(hash, _, _)| *hash < first);
        let (mut count, mut at) = (0, first);
        for &(hash, image, index) in self.objects.iter().skip(start) {
            if hash > last || count >= limit && hash != at {
                break;
            }
            at = hash;
            let Some(image) = self.images.get(image as usize).filter(|_| wanted[image as usize]) else {
                continue;
            };
            let name = DataName::name_of(image.header_pool, &image.image, index);
            let id = ObjectId::new(image.of.pool, image.of.nspace.clone(), name);
            let key = keys::object(&id);
            if from.is_some_and(|from| key < *from) {
                continue;
            }
            // It may have been removed since.
            if objects.entry(image.volume.volume.0, index)?.recorded() {
                found.push((key, id));
                count += 1;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Kept {
    listing: Arc<DataListing>,
    /// How many data objects had come into being before it was made.
    made: u64,
    /// Where pages of it end: who goes on there began with it.
    ends: HashSet<Bytes>,
    since: Instant,
    used: Instant,
}

/// The orders that are kept, by pool.
#[derive(Debug, Default)]
pub(super) struct DataListings(Mutex<HashMap<i64, Kept>>);

impl DataListings {
    /// The order of a pool for a page that begins at the key `from`. It has all objects that there were when the listing began: it is made anew if
    /// others came into being since it was made, but for who goes on with it.
    pub(super) fn get(
        &self,
        objects: &Objects,
        pool: i64,
        from: Option<&Bytes>,
    ) -> Result<Arc<DataListing>, StoreError> {
        let now = Instant::now();
        let made = objects.images.made();
        let mut kept = self.0.lock();
        if let Some(kept) = kept.get_mut(&pool) {
            let goes_on = from.is_some_and(|from| kept.ends.contains(from));
            if kept.since.elapsed() < LIFETIME && (kept.made == made || goes_on) {
                kept.used = now;
                return Ok(Arc::clone(&kept.listing));
            }
        }
        let listing = Arc::new(DataListing::new(objects, pool)?);
        kept.insert(
            pool,
            Kept {
                listing: Arc::clone(&listing),
                made,
                ends: HashSet::new(),
                since: now,
                used: now,
            },
        );
        Ok(listing)
    }

    /// A page of an order ends before that key.
    pub(super) fn page_ended(&self, pool: i64, listing: &Arc<DataListing>, end: &Bytes) {
        if let Some(kept) = self.0.lock().get_mut(&pool)
            && Arc::ptr_eq(&kept.listing, listing)
        {
            kept.ends.insert(end.clone());
        }
    }

    /// Forgets orders that nobody has asked for in a while.
    pub(super) fn forget_idle(&self) {
        self.0.lock().retain(|_, kept| kept.used.elapsed() < IDLE);
    }
}
