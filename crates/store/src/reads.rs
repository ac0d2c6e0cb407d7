//! Reading volumes: what memory has over what the file or the device has.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    core::Core,
    disk::DiskFile,
    error::{Result, StoreError},
    map,
    pending::Extent,
    piece::Kept,
    remote_read::Found,
    store::Store,
    transaction::{MAX_VOLUME, VolumeId},
    verify::ReadBuffer,
    volume::Volume,
};

impl Store {
    /// Reads a range of a volume as of the newest submitted transaction; what was never written is zeros.
    /// May block on the disk. A write to the range that is submitted meanwhile may be seen in part. Of a volume with checksums
    /// each block is verified: [`StoreError::Checksum`].
    pub fn read(&self, volume: VolumeId, offset: u64, len: usize) -> Result<Bytes> {
        self.read_with(volume, offset, len, true)
            .map(Option::unwrap_or_default)
    }

    /// Like [`Store::read`], but returns `None` where that would block on the disk.
    pub fn try_read_cached(&self, volume: VolumeId, offset: u64, len: usize) -> Result<Option<Bytes>> {
        self.read_with(volume, offset, len, false)
    }

    /// [`Store::read`] without waiting, for volumes on devices: `done` is told on another thread, where it must not wait, or at once
    /// if memory has all of it. It is dropped if the store is closed before.
    pub fn start_read(
        &self,
        volume: VolumeId,
        offset: u64,
        len: usize,
        done: impl FnOnce(Result<Bytes>) + Send + 'static,
    ) {
        let core = self.core();
        let found = core.check_failed().and_then(|()| {
            check_range(offset, len)?;
            let volume = core.volumes.get(volume)?;
            let found = volume
                .remote()
                .map(|remote| core.look_up(&volume, remote, offset, len));
            Ok((Arc::clone(&volume), found.transpose()?))
        });
        match found {
            Ok((volume, Some(Found::OnDevice(missing)))) => missing.start(&volume, done),
            Ok((_, Some(Found::Ready(data)))) => done(Ok(data)),
            Ok((_, None)) => done(self.read(volume, offset, len)),
            Err(error) => done(Err(error)),
        }
    }

    /// Has the system begin to read a range of a volume in a file into its cache, without waiting for it. A hint.
    pub fn read_ahead(&self, volume: VolumeId, offset: u64, len: u64) -> Result<()> {
        check_range(offset, len as usize)?;
        if let Some(file) = self.local_file(volume)? {
            file.read_ahead(offset, len);
        }
        Ok(())
    }

    /// Forgets what memory and the system's cache have of a range, so that it is read from the disk. For the system a hint.
    pub fn drop_cached(&self, volume: VolumeId, offset: u64, len: u64) -> Result<()> {
        self.core().read_cache.forget(volume, offset, len);
        if let Some(file) = self.local_file(volume)? {
            file.drop_cache(offset, len);
        }
        Ok(())
    }

    /// A volume's file, if it has one.
    fn local_file(&self, volume: VolumeId) -> Result<Option<Arc<dyn DiskFile>>> {
        let core = self.core();
        let volume = core.volumes.get(volume)?;
        match volume.remote() {
            Some(_) => Ok(None),
            None => core.volumes.file(&volume),
        }
    }

    fn read_with(&self, id: VolumeId, offset: u64, len: usize, may_block: bool) -> Result<Option<Bytes>> {
        let core = self.core();
        core.check_failed()?;
        check_range(offset, len)?;
        let volume = core.volumes.get(id)?;
        if let Some(remote) = volume.remote() {
            return match core.look_up(&volume, remote, offset, len)? {
                Found::Ready(data) => Ok(Some(data)),
                Found::OnDevice(missing) if may_block => missing.wait(remote).map(Some),
                Found::OnDevice(_) => Ok(None),
            };
        }
        let mut kept = core.read_cache.get(id, offset, len);
        if let Some(Kept { data, .. }) = kept.take_if(|kept| kept.holes.is_empty()) {
            return Ok(Some(data));
        }
        let mut reading = core.read_cache.expect(id, offset, len);
        if let Some(reading) = &mut reading {
            // What there was before it was said may have changed since.
            kept = reading.take_kept();
        }
        let read = match kept {
            Some(kept) => core.fill_holes(&volume, offset, &kept, may_block),
            None => core.read_file(&volume, offset, len, may_block),
        }?;
        if let (Some(reading), Some(data)) = (reading, &read) {
            reading.keep(data);
        }
        Ok(read)
    }

    /// The parts of a range that may hold data, as offset and length, ascending. Everything else reads as zeros.
    pub fn allocated_extents(&self, volume: VolumeId, offset: u64, len: u64) -> Result<Vec<(u64, u64)>> {
        let core = self.core();
        core.check_failed()?;
        let volume = core.volumes.get(volume)?;
        if let Some(remote) = volume.remote() {
            // The map is that of the newest submitted transaction.
            let end = offset.saturating_add(len).min(MAX_VOLUME);
            let ranges = map::data_ranges(&core.meta, volume.id, remote.record.filled, offset, end)?;
            return Ok(ranges.into_iter().map(|(from, to)| (from, to - from)).collect());
        }
        let overlay = volume.overlay(offset, len);
        let mut found = match core.volumes.file(&volume)? {
            Some(file) => volume.data_ranges(&*file, offset, len)?,
            None => Default::default(),
        };
        for extent in overlay {
            let end = extent.offset + extent.len;
            match extent.data {
                Some(_) => found.insert(extent.offset, end),
                None => found.remove(extent.offset, end),
            }
        }
        let ranges = found.within(offset, offset.saturating_add(len));
        Ok(ranges
            .into_iter()
            .map(|(start, end)| (start, end - start))
            .collect())
    }
}

impl Core {
    /// Reads a range of a volume in a file. `None`: the disk would have to be waited for.
    fn read_file(
        &self,
        volume: &Arc<Volume>,
        offset: u64,
        len: usize,
        may_block: bool,
    ) -> Result<Option<Bytes>> {
        if volume.sums.are_kept() {
            self.read_verified(volume, offset, len, may_block)
        } else {
            self.read_unverified(volume, offset, len, may_block)
        }
    }

    /// What the read cache has of the range at `offset`, with what the file has where it has holes. `None`: the disk would have to be waited for.
    fn fill_holes(
        &self,
        volume: &Arc<Volume>,
        offset: u64,
        kept: &Kept,
        may_block: bool,
    ) -> Result<Option<Bytes>> {
        let mut buffer = ReadBuffer::new(kept.data.len());
        let buf = buffer.as_mut();
        let mut done = 0;
        for hole in &kept.holes {
            let len = (hole.end - hole.start) as usize;
            let Some(data) = self.read_file(volume, hole.start, len, may_block)? else {
                return Ok(None);
            };
            let at = (hole.start - offset) as usize;
            buf[done..at].copy_from_slice(&kept.data[done..at]);
            done = at + len;
            buf[at..done].copy_from_slice(&data);
        }
        buf[done..].copy_from_slice(&kept.data[done..]);
        Ok(Some(buffer.freeze()))
    }

    /// Reads a range of a volume in a file without sums. `None`: the disk would have to be waited for.
    fn read_unverified(
        &self,
        volume: &Arc<Volume>,
        offset: u64,
        len: usize,
        may_block: bool,
    ) -> Result<Option<Bytes>> {
        let overlay = volume.overlay(offset, len as u64);
        if let [Extent { data: Some(data), .. }] = &overlay[..]
            && data.len() == len
        {
            return Ok(Some(data.clone()));
        }
        let mut buffer = ReadBuffer::new(len);
        let buf = buffer.as_mut();
        let covered: u64 = overlay.iter().map(|extent| extent.len).sum();
        if covered < len as u64 {
            match self.volumes.file(volume)? {
                Some(file) if may_block => volume.read_at(&*file, offset, buf)?,
                Some(file) if !volume.read_cached_at(&*file, offset, buf) => return Ok(None),
                Some(_) => {}
                None => buf.fill(0),
            }
        }
        lay_over(&overlay, offset, buf);
        Ok(Some(buffer.freeze()))
    }
}

/// Refuses a range beyond the largest volume.
fn check_range(offset: u64, len: usize) -> Result<()> {
    let end = offset.saturating_add(len as u64);
    if end <= MAX_VOLUME {
        return Ok(());
    }
    Err(StoreError::TooLarge {
        what: "a volume",
        size: end,
        limit: MAX_VOLUME,
    })
}

/// Puts what the file does not have yet over what was read from it at `offset`.
pub(crate) fn lay_over(overlay: &[Extent], offset: u64, buf: &mut [u8]) {
    for extent in overlay {
        let start = (extent.offset - offset) as usize;
        let Some(target) = buf.get_mut(start..start + extent.len as usize) else {
            continue;
        };
        match &extent.data {
            Some(data) => target.copy_from_slice(data),
            None => target.fill(0),
        }
    }
}
