//! The object map of an image while this client owns its lock (Ceph `src/librbd/ObjectMap.cc`, `src/librbd/object_map`).

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno, Features, Reader,
    cls::{
        bit_vector::BitVector,
        lock::{AssertOp, LockOp, LockType, UnlockOp},
        rbd::{NOSNAP, features, object_state},
    },
    types::{OsdOp, Utime},
};

use super::{
    Image, RBD,
    header::{FLAG_FAST_DIFF_INVALID, FLAG_OBJECT_MAP_INVALID},
    lock::{self, LOCK_NAME},
};
use crate::rados::ops;

/// The object that holds the map of an image's head or of a snapshot.
#[must_use]
pub(super) fn map_oid(id: &[u8], snap: u64) -> Vec<u8> {
    let mut name = [b"rbd_object_map.", id].concat();
    if snap != NOSNAP {
        name.extend_from_slice(format!(".{snap:016x}").as_bytes());
    }
    name
}

/// The map of an image's head.
pub(super) struct ObjectMap<'a> {
    image: &'a Image,
    states: BitVector,
    /// Whether it can be believed: an invalid one is kept up to date, but not asked.
    valid: bool,
}

fn update(start: u64, end: u64, state: u8, current: Option<u8>) -> OsdOp {
    let input = (start, end).to_bytes(Features::ALL);
    let rest = (state, current).to_bytes(Features::ALL);
    ops::call(RBD, "object_map_update", &[input, rest].concat())
}

impl<'a> ObjectMap<'a> {
    /// Takes the map's own lock and reads it. None if the image has no map.
    ///
    /// # Errors
    /// Of reading; a map that is missing or damaged is marked as invalid.
    pub(super) fn open(image: &'a Image) -> Result<Option<Self>, Errno> {
        if !image.header.has(features::OBJECT_MAP) {
            return Ok(None);
        }
        let mut map = Self {
            image,
            states: BitVector::default(),
            valid: image.header.flags & FLAG_OBJECT_MAP_INVALID == 0,
        };
        map.lock()?;
        match map.load() {
            Ok(states) if states.size() >= image.objects_at(NOSNAP) => map.states = states,
            Ok(_) | Err(Errno::ENOENT | Errno::EINVAL | Errno::EBADMSG) => map.invalidate()?,
            Err(error) => return Err(error),
        }
        Ok(Some(map))
    }

    fn oid(&self) -> Vec<u8> {
        map_oid(&self.image.id, NOSNAP)
    }

    fn lock(&self) -> Result<(), Errno> {
        let op = LockOp {
            name: Bytes::from_static(LOCK_NAME),
            lock_type: LockType::EXCLUSIVE,
            cookie: Bytes::new(),
            tag: Bytes::new(),
            description: Bytes::new(),
            duration: Utime::default(),
            flags: 0,
        };
        let (oid, input) = (self.oid(), ops::arg(&op));
        loop {
            match self.image.ioctx.exec(&oid, "lock", "lock", &input) {
                Ok(()) | Err(Errno::EEXIST) => return Ok(()),
                // Who owned the image before did not get to it.
                Err(Errno::EBUSY) => lock::break_all(&self.image.ioctx, &oid)?,
                Err(error) => return Err(error),
            }
        }
    }

    fn load(&self) -> Result<BitVector, Errno> {
        let answered = self
            .image
            .ioctx
            .read(&self.oid(), vec![ops::call(RBD, "object_map_load", b"")])?;
        let data = Bytes::from(answered.first().ok_or(Errno::EBADMSG)?.outdata.concat());
        BitVector::decode(&mut Reader::new(&data)).map_err(|_| Errno::EBADMSG)
    }

    /// Whether an object may exist at the image's head.
    #[must_use]
    pub(super) fn may_exist(&self, object: u64) -> bool {
        !self.valid || object >= self.states.size() || self.states.get(object) != object_state::NONEXISTENT
    }

    /// Changes the states of objects, each `(object, state)`, in one step.
    ///
    /// # Errors
    /// If the map could neither be changed nor marked as invalid.
    pub(super) fn set(&mut self, changes: &[(u64, u8)]) -> Result<(), Errno> {
        let changes: Vec<_> = changes
            .iter()
            .filter(|(object, state)| *object < self.states.size() && self.states.get(*object) != *state)
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let updates = changes.iter().map(|(o, state)| update(*o, o + 1, *state, None));
        self.write(updates)?;
        for (object, state) in changes {
            self.states.set(*object, *state);
        }
        Ok(())
    }

    /// Changes the states of a range of objects, of those that have the state `from`.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(super) fn set_range(&mut self, start: u64, end: u64, state: u8, from: u8) -> Result<(), Errno> {
        let end = end.min(self.states.size());
        if start >= end {
            return Ok(());
        }
        self.write([update(start, end, state, Some(from))].into_iter())?;
        for object in start..end {
            let now = self.states.get(object);
            let clean = from == object_state::EXISTS && now == object_state::EXISTS_CLEAN;
            if now == from || clean {
                self.states.set(object, state);
            }
        }
        Ok(())
    }

    fn write(&mut self, updates: impl Iterator<Item = OsdOp>) -> Result<(), Errno> {
        let assert = AssertOp {
            name: Bytes::from_static(LOCK_NAME),
            lock_type: LockType::EXCLUSIVE,
            cookie: Bytes::new(),
            tag: Bytes::new(),
        };
        let mut vector = vec![ops::call("lock", "assert_locked", &ops::arg(&assert))];
        vector.extend(updates);
        match self.image.ioctx.write(&self.oid(), vector) {
            Ok(_) => Ok(()),
            Err(Errno::EBLOCKLISTED) => Err(Errno::EBLOCKLISTED),
            Err(_) => self.invalidate(),
        }
    }

    /// Changes an object's state in the map of a snapshot.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(super) fn set_in_snapshot(&mut self, snap: u64, object: u64, state: u8) -> Result<(), Errno> {
        if object >= self.image.objects_at(snap) {
            return Ok(());
        }
        let vector = vec![update(object, object + 1, state, None)];
        match self.image.ioctx.write(&map_oid(&self.image.id, snap), vector) {
            Ok(_) => Ok(()),
            Err(Errno::EBLOCKLISTED) => Err(Errno::EBLOCKLISTED),
            Err(_) => self.flag(snap),
        }
    }

    /// Notes in the header that the map is not to be believed.
    fn invalidate(&mut self) -> Result<(), Errno> {
        self.valid = false;
        self.flag(NOSNAP)
    }

    fn flag(&self, snap: u64) -> Result<(), Errno> {
        tracing::warn!(image = %String::from_utf8_lossy(&self.image.name), "an object map is wrong: it is marked as invalid");
        let mut flags = FLAG_OBJECT_MAP_INVALID;
        if self.image.header.has(features::FAST_DIFF) {
            flags |= FLAG_FAST_DIFF_INVALID;
        }
        let input = (flags, flags).to_bytes(Features::ALL);
        let snap = snap.to_bytes(Features::ALL);
        self.image.exec("set_flags", &[input, snap].concat())
    }

    /// Gives the map's lock up.
    ///
    /// # Errors
    /// Of the class method.
    pub(super) fn close(self) -> Result<(), Errno> {
        let op = UnlockOp {
            name: Bytes::from_static(LOCK_NAME),
            cookie: Bytes::new(),
        };
        match self
            .image
            .ioctx
            .exec(&self.oid(), "lock", "unlock", &ops::arg(&op))
        {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
