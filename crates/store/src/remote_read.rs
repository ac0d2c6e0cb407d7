//! Reading volumes that lie on devices.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::{
    core::Core,
    error::{Context, Result, StoreError},
    map::data_ranges,
    pending::Extent,
    read_cache::Reading,
    reads::lay_over,
    remote::{Remote, ceil, floor},
    volume::Volume,
};

/// A read as far as memory goes.
pub(crate) enum Found {
    /// All of it.
    Ready(Bytes),
    /// Some of it is on the device.
    OnDevice(Missing),
}

/// What a read still needs.
pub(crate) struct Missing {
    offset: u64,
    len: usize,
    /// What the device holds of it, ascending.
    wanted: Vec<(u64, u64)>,
    /// What is newer than the device.
    overlay: Vec<Extent>,
    /// The blocks around what is wanted.
    start: u64,
    stop: u64,
    /// The outcome is to be kept in memory.
    reading: Option<Reading>,
}

impl Missing {
    /// The read, with what the device gave.
    fn complete(mut self, read: &Bytes) -> Result<Bytes> {
        let reading = self.reading.take();
        let data = self.put_together(read)?;
        if let Some(reading) = reading {
            reading.keep(&data);
        }
        Ok(data)
    }

    fn put_together(self, read: &Bytes) -> Result<Bytes> {
        let Self {
            offset, len, start, ..
        } = self;
        if read.len() as u64 != self.stop - start {
            return Err(StoreError::corrupt("a device read of a wrong length"));
        }
        if self.overlay.is_empty() && self.wanted[..] == [(offset, offset + len as u64)] {
            let from = (offset - start) as usize;
            return Ok(read.slice(from..from + len));
        }
        let mut buf = BytesMut::zeroed(len);
        for (from, to) in self.wanted {
            buf[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&read[(from - start) as usize..(to - start) as usize]);
        }
        lay_over(&self.overlay, offset, &mut buf);
        Ok(buf.freeze())
    }

    /// Asks the device, and waits for it.
    pub(crate) fn wait(self, remote: &Remote) -> Result<Bytes> {
        let read = remote
            .device
            .read_at(self.start, (self.stop - self.start) as usize);
        self.complete(&read.context(|| format!("read from {}", remote.record.place))?)
    }

    /// Asks the device.
    pub(crate) fn start(self, volume: &Arc<Volume>, done: impl FnOnce(Result<Bytes>) + Send + 'static) {
        let Some(remote) = volume.remote() else { return };
        let on = Arc::clone(volume);
        let (start, len) = (self.start, (self.stop - self.start) as usize);
        let was_read = move |read: io::Result<Bytes>| {
            let place = || on.remote().map_or("", |remote| &remote.record.place);
            let read = read.context(|| format!("read from {}", place()));
            done(read.and_then(|read| self.complete(&read)));
        };
        remote.device.start_read(start, len, Box::new(was_read));
    }
}

impl Core {
    /// What memory has of a range, and what the device has to be asked for.
    pub(crate) fn look_up(&self, volume: &Volume, remote: &Remote, offset: u64, len: usize) -> Result<Found> {
        // What has holes is read again as a whole: a device is asked once.
        if let Some(kept) = self.read_cache.get(volume.id, offset, len)
            && kept.holes.is_empty()
        {
            return Ok(Found::Ready(kept.data));
        }
        let reading = self.read_cache.expect(volume.id, offset, len);
        let end = offset + len as u64;
        // Before the device: what leaves the overlay meanwhile is on the device by then.
        let overlay = volume.overlay(offset, len as u64);
        let ranges = data_ranges(&self.meta, volume.id, remote.record.filled, offset, end)?;
        let hidden = |(from, to): &(u64, u64)| {
            overlay
                .iter()
                .any(|extent| extent.offset <= *from && *to <= extent.offset + extent.len)
        };
        let wanted: Vec<_> = ranges.into_iter().filter(|range| !hidden(range)).collect();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            let mut buf = vec![0; len];
            lay_over(&overlay, offset, &mut buf);
            return Ok(Found::Ready(buf.into()));
        };
        Ok(Found::OnDevice(Missing {
            offset,
            len,
            start: floor(first.0),
            stop: ceil(last.1),
            wanted,
            overlay,
            reading,
        }))
    }
}
