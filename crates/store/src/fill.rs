//! Filling up writes on devices to whole blocks: what a block holds beside them is read and written back, or becomes zeros.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::{
    device::DEVICE_UNIT,
    remote::{Clear, Remote, zeros},
    volume::Volume,
};

/// What a write lacks to whole blocks.
struct Fill {
    /// The write itself.
    offset: u64,
    end: u64,
    /// The blocks around it.
    start: u64,
    stop: u64,
    block: u64,
    clear: Clear,
}

impl Fill {
    fn of(remote: &Remote, offset: u64, pieces: &[Bytes], clear: Clear) -> Self {
        let block = remote.device.block();
        let unit = |clear| if clear { DEVICE_UNIT } else { block };
        let end = offset + pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        Self {
            offset,
            end,
            start: offset / unit(clear.head) * unit(clear.head),
            stop: end.next_multiple_of(unit(clear.tail)),
            block,
            clear,
        }
    }

    /// Where the blocks lie that have to be read, without those that are one.
    fn wanted(&self) -> Vec<u64> {
        let head = (self.start < self.offset && !self.clear.head).then_some(self.start);
        let tail = (self.end < self.stop && !self.clear.tail).then_some(self.stop - self.block);
        let mut wanted: Vec<u64> = head.into_iter().chain(tail).collect();
        wanted.dedup();
        wanted
    }

    /// Start and pieces of the write with its rest. `found`: the blocks that were wanted.
    fn around(&self, mut pieces: Vec<Bytes>, found: &[(u64, Bytes)]) -> io::Result<(u64, Vec<Bytes>)> {
        let old = |at: u64, from: u64, to: u64| {
            let block = found.iter().find(|(start, _)| *start == at).map(|(_, data)| data);
            block
                .filter(|data| data.len() as u64 == self.block)
                .map(|data| data.slice((from - at) as usize..(to - at) as usize))
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a block of a wrong length"))
        };
        if self.end < self.stop {
            pieces.push(match self.clear.tail {
                true => zeros(self.stop - self.end),
                false => old(self.stop - self.block, self.end, self.stop)?,
            });
        }
        if self.start < self.offset {
            let head = match self.clear.head {
                true => zeros(self.offset - self.start),
                false => old(self.start, self.start, self.offset)?,
            };
            pieces.insert(0, head);
        }
        Ok((self.start, pieces))
    }
}

/// Told where a filled write starts, and what it consists of.
pub(crate) type Filled = Box<dyn FnOnce(io::Result<(u64, Vec<Bytes>)>) + Send>;

/// Fills up a write without waiting: not before a segment that is being given back is, and not before what has to be read is.
pub(crate) fn start(volume: &Arc<Volume>, offset: u64, pieces: Vec<Bytes>, clear: Clear, then: Filled) {
    let Some(remote) = volume.remote() else { return };
    let fill = Fill::of(remote, offset, &pieces, clear);
    let on = Arc::clone(volume);
    remote.when_returned(
        fill.start,
        fill.stop,
        Box::new(move || {
            let wanted = fill.wanted();
            read(
                on,
                wanted,
                Vec::new(),
                Box::new(move |found| then(found.and_then(|found| fill.around(pieces, &found)))),
            );
        }),
    );
}

type BlocksRead = Box<dyn FnOnce(io::Result<Vec<(u64, Bytes)>>) + Send>;

fn read(volume: Arc<Volume>, mut wanted: Vec<u64>, mut found: Vec<(u64, Bytes)>, then: BlocksRead) {
    let (Some(at), Some(remote)) = (wanted.pop(), volume.remote()) else {
        return then(Ok(found));
    };
    let on = Arc::clone(&volume);
    let was_read = move |data: io::Result<Bytes>| match data {
        Ok(data) => {
            found.push((at, data));
            read(on, wanted, found, then);
        }
        Err(error) => then(Err(error)),
    };
    let len = remote.device.block() as usize;
    remote.device.start_read(at, len, Box::new(was_read));
}

impl Remote {
    /// Fills up a write, and waits for what has to be read.
    pub(crate) fn whole_blocks(
        &self,
        offset: u64,
        pieces: Vec<Bytes>,
        clear: Clear,
    ) -> io::Result<(u64, Vec<Bytes>)> {
        let fill = Fill::of(self, offset, &pieces, clear);
        let mut found = Vec::new();
        for at in fill.wanted() {
            found.push((at, self.device.read_at(at, fill.block as usize)?));
        }
        fill.around(pieces, &found)
    }
}
