//! Where volumes lie when it is not in files of the store's own: block devices elsewhere, for example volumes of a
//! storage cluster.
//!
//! Nothing of a volume's data is kept in the journal then. Every write reaches the device before the journal names it, so that what was
//! acknowledged is on the device. The store sees to the rest: it keeps apart writes that share a block, fills up odd
//! alignments, and remembers what reads as zeros.

use std::{io, sync::Arc};

use bytes::Bytes;

/// What the store keeps apart and remembers, in bytes: devices' blocks divide it.
pub const DEVICE_UNIT: u64 = 4096;

/// How a cluster of devices is filled, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceSpace {
    /// What it can hold.
    pub total: u64,
    /// What may still be stored.
    pub available: u64,
    /// What is taken.
    pub used: u64,
}

/// Makes devices. All methods may be called from any thread, and may block.
pub trait Devices: Send + Sync {
    /// What tells this cluster of devices from all others, if it has such a thing. A store keeps to the cluster whose identity
    /// it recorded when it was first opened.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Where a new volume of this name is to lie. Recorded with the volume; nothing is made yet. `creator` says for whom it is
    /// made, in words that mean nothing to the store.
    ///
    /// # Errors
    /// If there is no place for it.
    fn place(&self, name: &str, creator: Option<&str>) -> io::Result<String>;

    /// The device at a recorded place. Does no I/O: a device that cannot be used says so when it is.
    fn open(&self, place: &str) -> Arc<dyn Device>;

    /// How it is filled. Must not wait: what was known last.
    fn space(&self) -> DeviceSpace;

    /// Ends the use of all devices. Nothing is written any more.
    fn close(&self) {}
}

/// Told of the end of a read.
pub type ReadDone = Box<dyn FnOnce(io::Result<Bytes>) + Send>;

/// Told of the end of a write.
pub type WriteDone = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One volume's bytes. Offsets and lengths of reads and writes are multiples of [`Device::block`].
pub trait Device: Send + Sync {
    /// The smallest piece that can be written, in bytes: a divisor of [`DEVICE_UNIT`]. Asked for after the first
    /// [`Device::reserve`].
    fn block(&self) -> u64;

    /// Makes the device, and makes it at least `end` bytes long, so that writes up to there cannot fail for want of it.
    /// Called before each write, so it must be quick where there is nothing to do.
    ///
    /// # Errors
    /// If that cannot be had; the write is refused then.
    fn reserve(&self, end: u64) -> io::Result<()>;

    /// Reads. What was never written, and what is behind the end, is zeros.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Writes the pieces one behind the other, durably. Never called for two overlapping ranges at a time.
    ///
    /// # Errors
    /// After an error the state of the range is unknown, and the store fails.
    fn write_at(&self, offset: u64, pieces: Vec<Bytes>) -> io::Result<()>;

    /// [`Device::read_at`] without waiting: `done` is told of the end on another thread, where it may start other reads and
    /// writes and must not wait. It may be dropped when the devices are closed.
    fn start_read(&self, offset: u64, len: usize, done: ReadDone);

    /// [`Device::write_at`] without waiting, in the same way; `done` must be told.
    fn start_write(&self, offset: u64, pieces: Vec<Bytes>, done: WriteDone);

    /// Whether a range reads as zeros, as far as that is known without much ado.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn is_zero(&self, offset: u64, len: u64) -> io::Result<bool> {
        Ok(self.read_at(offset, len as usize)?.iter().all(|byte| *byte == 0))
    }

    /// The size of what can be given back, in bytes: a multiple of 4 MiB; 0 if nothing can.
    fn segment(&self) -> u64 {
        0
    }

    /// Gives back a segment: `offset` is a multiple of its size. It reads as anything afterwards.
    ///
    /// # Errors
    /// If it was not; it is tried again later.
    fn give_back(&self, _offset: u64) -> io::Result<()> {
        Ok(())
    }

    /// Removes the device for good, if it was ever made.
    ///
    /// # Errors
    /// If it was not; it is tried again later.
    fn delete(&self) -> io::Result<()>;

    /// Bytes it takes, as far as that is known.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn allocated(&self) -> io::Result<u64>;
}
