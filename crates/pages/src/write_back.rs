//! The page cache's way to the disk, by ranges of a file.

use std::{fs::File, io, os::fd::AsRawFd};

/// Has the system begin to write what the page cache has of a range, without waiting for it but where the disk's queue is full. Nothing is durable by it: that
/// takes a sync of the file. Offset and length in bytes.
///
/// # Errors
/// What an earlier write met, too. A later sync may not tell it again.
pub fn start(file: &File, offset: u64, len: u64) -> io::Result<()> {
    sync_range(file, offset, len, libc::SYNC_FILE_RANGE_WRITE)
}

/// Waits until the range's writes that were begun are over.
///
/// # Errors
/// What a write met. A later sync may not tell it again.
pub fn wait(file: &File, offset: u64, len: u64) -> io::Result<()> {
    sync_range(file, offset, len, libc::SYNC_FILE_RANGE_WAIT_BEFORE)
}

#[allow(unsafe_code, reason = "no library has a safe way to call it")]
fn sync_range(file: &File, offset: u64, len: u64, flags: libc::c_uint) -> io::Result<()> {
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (offset, len) = (
        i64::try_from(offset).map_err(too_large)?,
        i64::try_from(len).map_err(too_large)?,
    );
    // SAFETY: the call takes numbers alone, and the descriptor is open as long as `file` is borrowed.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
