//! Reads that are verified.
//!
//! Data and sums are read without a lock, and most often agree. Where they do not, a change may have come in between: then both are
//! read again, past the system's cache, with changes kept away.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    buffers::{Buffer, POOLED},
    core::Core,
    disk::DiskFile,
    error::{Result, StoreError},
    options::BLOCK,
    pending::Extent,
    reads::lay_over,
    sums::{NONE, ROTTEN, sum_of},
    volume::Volume,
};

/// Sums that are looked up at a time.
const CHUNK: usize = 64;
/// How often a block is read again that is changed meanwhile each time.
const AGAIN: usize = 1000;

/// Memory that is read into.
pub(crate) enum ReadBuffer {
    Small(Vec<u8>),
    Large(Buffer),
}

impl ReadBuffer {
    pub(crate) fn new(len: usize) -> Self {
        if len < POOLED {
            Self::Small(vec![0; len])
        } else {
            Self::Large(Buffer::new(len))
        }
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(buffer) => buffer,
            Self::Large(buffer) => buffer.as_mut(),
        }
    }

    pub(crate) fn freeze(self) -> Bytes {
        match self {
            Self::Small(buffer) => buffer.into(),
            Self::Large(buffer) => buffer.freeze(),
        }
    }
}

/// Whether all of a block lies under what was submitted: what the file has of it is of no use, and may be half written.
fn is_covered(overlay: &[Extent], start: u64) -> bool {
    let inside = |extent: &Extent| {
        let (from, to) = (
            extent.offset.max(start),
            (extent.offset + extent.len).min(start + BLOCK),
        );
        to.saturating_sub(from)
    };
    !overlay.is_empty() && overlay.iter().map(inside).sum::<u64>() == BLOCK
}

/// Whether two views of what was submitted are the same.
fn same(a: &[Extent], b: &[Extent]) -> bool {
    let key = |extent: &Extent| (extent.offset, extent.len, extent.seq);
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| key(a) == key(b))
}

impl Core {
    /// Reads a range of a volume with sums. `None`: the disk would have to be waited for.
    pub(crate) fn read_verified(
        &self,
        volume: &Arc<Volume>,
        offset: u64,
        len: usize,
        may_block: bool,
    ) -> Result<Option<Bytes>> {
        let end = offset + len as u64;
        let (start, stop) = (offset / BLOCK * BLOCK, end.next_multiple_of(BLOCK));
        let wide = (stop - start) as usize;
        let mut overlay = volume.overlay(start, stop - start);
        let inside = |extent: &Extent| extent.offset <= offset && end <= extent.offset + extent.len;
        if let Some(Extent {
            offset: at,
            data: Some(data),
            ..
        }) = overlay.iter().find(|extent| inside(extent))
        {
            let from = (offset - at) as usize;
            return Ok(Some(data.slice(from..from + len)));
        }
        let mut buffer = ReadBuffer::new(wide);
        let buf = buffer.as_mut();
        match self.volumes.file(volume)? {
            None => buf.fill(0),
            Some(file) => {
                if may_block {
                    volume.read_at(&*file, start, buf)?;
                } else if !volume.read_cached_at(&*file, start, buf) {
                    return Ok(None);
                }
                match self.wrong_blocks(volume, start, buf, &overlay, may_block)? {
                    Some(wrong) if wrong.is_empty() => {}
                    Some(_) if may_block => overlay = self.read_again(volume, &*file, start, buf)?,
                    _ => return Ok(None),
                }
            }
        }
        lay_over(&overlay, start, buf);
        let bytes = buffer.freeze();
        if wide == len {
            return Ok(Some(bytes));
        }
        let from = (offset - start) as usize;
        Ok(Some(bytes.slice(from..from + len)))
    }

    /// The blocks that are not what their sums say, of what was read at `start`, the border of a block. `None`: sums would have to be
    /// waited for.
    pub(crate) fn wrong_blocks(
        &self,
        volume: &Volume,
        start: u64,
        buf: &[u8],
        overlay: &[Extent],
        may_block: bool,
    ) -> Result<Option<Vec<u64>>> {
        let mut wrong = Vec::new();
        let mut first = start / BLOCK;
        for chunk in buf.chunks(CHUNK * BLOCK as usize) {
            let blocks = chunk.chunks(BLOCK as usize);
            let mut sums = [NONE; CHUNK];
            let sums = &mut sums[..blocks.len()];
            if !self.sums.get(volume, first, sums, may_block)? {
                return Ok(None);
            }
            for (block, (content, sum)) in (first..).zip(blocks.zip(sums)) {
                if *sum != NONE && sum_of(content) != *sum && !is_covered(overlay, block * BLOCK) {
                    wrong.push(block);
                }
            }
            first += CHUNK as u64;
        }
        Ok(Some(wrong))
    }

    fn read_again(
        &self,
        volume: &Arc<Volume>,
        file: &dyn DiskFile,
        start: u64,
        buf: &mut [u8],
    ) -> Result<Vec<Extent>> {
        let (overlay, damaged) = self.look_again(volume, file, start, buf)?;
        match damaged.first() {
            None => Ok(overlay),
            Some(block) => Err(StoreError::Checksum {
                volume: volume.name.as_ref().into(),
                offset: block * BLOCK,
            }),
        }
    }

    /// Reads again with changes kept away. Returns what is submitted there, and the blocks that are damaged.
    pub(crate) fn look_again(
        &self,
        volume: &Arc<Volume>,
        file: &dyn DiskFile,
        start: u64,
        buf: &mut [u8],
    ) -> Result<(Vec<Extent>, Vec<u64>)> {
        let len = buf.len() as u64;
        let mut wrong = Vec::new();
        let mut overlay = Vec::new();
        for _ in 0..AGAIN {
            let _settling = volume.settling.lock();
            overlay = volume.overlay(start, len);
            file.drop_cache(start, len);
            volume.read_at(file, start, buf)?;
            wrong = self
                .wrong_blocks(volume, start, buf, &overlay, true)?
                .unwrap_or_default();
            // A direct write that was submitted since may have come in between. It stays in the overlay until it is settled.
            if wrong.is_empty() || same(&overlay, &volume.overlay(start, len)) {
                self.take_for_right(volume, start, buf, &mut wrong)?;
                break;
            }
        }
        for block in &wrong {
            self.found_damage(volume, *block);
        }
        Ok((overlay, wrong))
    }

    /// Gives new sums to those of `wrong` that an unfinished write may have left.
    fn take_for_right(
        &self,
        volume: &Arc<Volume>,
        start: u64,
        buf: &[u8],
        wrong: &mut Vec<u64>,
    ) -> Result<()> {
        let mut kept = Vec::new();
        for block in wrong.drain(..) {
            let rotten = self.sums.get_one(volume, block)? == ROTTEN;
            if rotten || !self.regions.is_suspect(volume.id, block * BLOCK) {
                kept.push(block);
                continue;
            }
            let at = (block * BLOCK - start) as usize;
            self.sums
                .set(volume, block, &[sum_of(&buf[at..at + BLOCK as usize])])?;
            self.note_dirty_sums(volume);
        }
        *wrong = kept;
        Ok(())
    }
}
