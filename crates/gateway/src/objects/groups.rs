//! What placement groups hold. Nothing keeps that as objects come and go: it is counted when somebody asks.

use std::{collections::HashMap, ops::ControlFlow};

use encoding::maps::PgPool;
use store::StoreError;

use super::{
    Objects,
    id::ObjectId,
    images::{DataName, ImageVolume, split_image_key},
    keys,
    usage::Figures,
};

/// The figures of a pool's groups in the making.
struct Count<'a> {
    pool: &'a PgPool,
    groups: Vec<Figures>,
    /// The groups of objects that have clones, by onode.
    owners: HashMap<u64, usize>,
}

impl Count<'_> {
    fn seed(&self, id: &ObjectId) -> usize {
        self.pool.raw_seed_to_pg(id.hash()) as usize
    }

    fn add(&mut self, seed: usize, objects: u64, clones: u64, bytes: u64) {
        if let Some(group) = self.groups.get_mut(seed) {
            group.objects += objects;
            group.clones += clones;
            group.bytes += bytes;
        }
    }
}

impl Objects {
    /// Objects, clones and bytes of each group of a pool, by the group's seed. Walks all objects of the pool: takes about a
    /// second for each million of them.
    ///
    /// # Errors
    /// If the store fails.
    pub fn count_groups(&self, id: i64, pool: &PgPool) -> Result<Vec<Figures>, StoreError> {
        let mut count = Count {
            pool,
            groups: vec![Figures::default(); pool.pg_num as usize],
            owners: HashMap::new(),
        };
        self.count_named(id, &mut count)?;
        self.each_volume(Some(id), |of, image, volume| {
            self.count_volume(&of, &image, volume, &mut count)?;
            Ok(ControlFlow::Continue(()))
        })?;
        let owners = std::mem::take(&mut count.owners);
        self.each_clone(&owners, |seed, bytes| {
            count.add(*seed, 1, 1, u64::try_from(bytes).unwrap_or(0));
        })?;
        Ok(count.groups)
    }

    fn count_named(&self, pool: i64, count: &mut Count<'_>) -> Result<(), StoreError> {
        self.each_named(keys::pool_range(b'O', pool), |id, state| {
            let seed = count.seed(&id);
            count.add(seed, 1, 0, state.size);
            let owner = state.onode.filter(|_| state.clones);
            count.owners.extend(owner.map(|onode| (onode, seed)));
        })
    }

    fn count_volume(
        &self,
        of: &ObjectId,
        image: &[u8],
        volume: ImageVolume,
        count: &mut Count<'_>,
    ) -> Result<(), StoreError> {
        let (header_pool, image) = split_image_key(image);
        let seed_of = |count: &Count<'_>, index| {
            let name = DataName::name_of(header_pool, &image, index);
            count.seed(&ObjectId::new(of.pool, of.nspace.clone(), name))
        };
        let mut extra = false;
        self.each_entry(volume, |index, entry| {
            let seed = seed_of(count, index);
            count.add(seed, 1, 0, entry.size().into());
            extra |= entry.extra();
        })?;
        if extra {
            self.each_extra(volume, |index, onode| {
                let seed = seed_of(count, index);
                count.owners.insert(onode, seed);
            })?;
        }
        Ok(())
    }
}
