//! Reading clones: where each byte is, and as few reads for them as there are places.

use bytes::{Bytes, BytesMut};
use store::{StoreError, VolumeId};

use super::{
    Data, Objects,
    clones::{CloneRecord, CloneView},
    extents::Extents,
    fetched::Access,
    id::ObjectId,
    slots::{SLOT_SIZE, UNIT},
};

/// Bytes that stand in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Where, in the slot volume.
    from: u64,
    len: u64,
    /// Where they belong in what is read.
    to: u64,
}

/// What is read of a clone.
struct Target {
    /// Where it begins in the object.
    offset: u64,
    /// Zeros, until something is put there.
    data: BytesMut,
    /// Something lacks: all that does is to be noted.
    lacks: bool,
}

impl Target {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = (at - self.offset) as usize;
        self.data[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl CloneView {
    /// Where `[offset, end)` is: for the clones of the chain what is to be looked for there, and the rest, which the head has.
    fn places(&self, offset: u64, end: u64) -> (Vec<(&CloneRecord, Extents)>, Extents) {
        let mut wanted = Extents::of(offset, end);
        let mut places = Vec::new();
        for clone in &self.chain {
            if wanted.is_empty() {
                break;
            }
            let shared = clone.shared_units(offset, end);
            let further = wanted.intersection(&shared);
            wanted.subtract(&shared);
            if !wanted.is_empty() {
                places.push((clone, wanted));
            }
            wanted = further;
        }
        (places, wanted)
    }
}

impl Objects {
    /// Bytes of a clone that does not have them inline.
    pub(super) fn read_clone(
        &self,
        id: &ObjectId,
        view: &CloneView,
        offset: u64,
        len: u64,
        access: Access<'_>,
    ) -> Result<Data, StoreError> {
        let (places, head) = view.places(offset, offset + len);
        if places.is_empty() {
            return self.read(id, &view.head, offset, len, access);
        }
        let mut target = Target {
            offset,
            data: BytesMut::zeroed(len as usize),
            lacks: false,
        };
        for (from, to) in head.iter() {
            match self.read(id, &view.head, from, to - from, access)? {
                Data::Ready(bytes) => target.put(from, &bytes),
                Data::WouldBlock => target.lacks = true,
            }
        }
        let mut pieces = Vec::new();
        for (clone, ranges) in places {
            for (from, to) in ranges.iter() {
                self.pieces_of(clone, from, to, &mut pieces)?;
            }
        }
        let volume = self.slots.volume(self.store(), id.pool)?;
        self.read_pieces(volume, pieces, access, &mut target)?;
        Ok(match target.lacks {
            true => Data::WouldBlock,
            false => Data::Ready(target.data.freeze()),
        })
    }

    /// Adds where a clone has what it keeps of a range. What is not added is zeros.
    fn pieces_of(
        &self,
        clone: &CloneRecord,
        from: u64,
        to: u64,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), StoreError> {
        for block in from / SLOT_SIZE..to.div_ceil(SLOT_SIZE) {
            let start = block * SLOT_SIZE;
            for run in self.kept_of(clone.state.onode, block)?.runs() {
                let first = start + u64::from(run.first) * UNIT;
                let (a, b) = (first.max(from), (start + u64::from(run.end()) * UNIT).min(to));
                if a < b {
                    pieces.push(Piece {
                        from: run.offset() + (a - first),
                        len: b - a,
                        to: a,
                    });
                }
            }
        }
        Ok(())
    }

    /// Reads pieces, neighbours in the volume at once, whatever their order in the object is.
    fn read_pieces(
        &self,
        volume: VolumeId,
        mut pieces: Vec<Piece>,
        access: Access<'_>,
        target: &mut Target,
    ) -> Result<(), StoreError> {
        pieces.sort_unstable_by_key(|piece| piece.from);
        for group in pieces.chunk_by(|a, b| a.from + a.len == b.from) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else {
                continue;
            };
            let len = (last.from + last.len - first.from) as usize;
            match self.read_volume(volume, first.from, len, access)? {
                Data::Ready(bytes) => scatter(group, &bytes, target),
                Data::WouldBlock => target.lacks = true,
            }
        }
        Ok(())
    }
}

/// Puts the bytes of neighbouring pieces where they belong.
fn scatter(group: &[Piece], bytes: &Bytes, target: &mut Target) {
    let mut at = 0;
    for piece in group {
        let end = at + piece.len as usize;
        target.put(piece.to, &bytes[at..end]);
        at = end;
    }
}
