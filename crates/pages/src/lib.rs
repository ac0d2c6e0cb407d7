//! Buffers in large pages, those that are used again, and the page cache's way to the disk ([`write_back`]).
//!
//! What is copied to or from memory in pages of 4 KiB, or written to the disk from there, has the processor look up a page for each 4 KiB, which in a
//! virtual machine takes many steps, and the kernel pin each page by itself for `O_DIRECT`.

pub mod spares;
pub mod write_back;

use std::mem::MaybeUninit;

use bytes::BytesMut;
use rustix::mm::{Advice, madvise};

/// The size of a large page in bytes: one of x86-64, and of arm64 with small pages of 4 KiB.
pub const LARGE: usize = 2 << 20;

/// An empty buffer with room for so many bytes, or more. From [`LARGE`] on it begins where a large page does, and has large pages, if the kernel has any to
/// give (`/sys/kernel/mm/transparent_hugepage/enabled` says `madvise` or `always`).
fn buffer(len: usize) -> BytesMut {
    if len < LARGE {
        return BytesMut::with_capacity(len);
    }
    // What lies before the border is address space, and never memory.
    let mut buffer = at_large_page(BytesMut::with_capacity(len + LARGE));
    let whole = len / LARGE * LARGE;
    if let Some(pages) = buffer.spare_capacity_mut().get_mut(..whole) {
        prefer_large(pages);
    }
    buffer
}

/// What begins with a large page, of an empty buffer with room for one before that.
fn at_large_page(mut buffer: BytesMut) -> BytesMut {
    match buffer.as_ptr().align_offset(LARGE) {
        skip if skip < LARGE => buffer.split_off(skip),
        _ => buffer,
    }
}

/// Asks the kernel to give large pages to memory of their size that is not used yet. A hint: where there are none, nothing happens.
#[allow(
    unsafe_code,
    reason = "there is no safe way to give advice for memory that somebody owns"
)]
fn prefer_large(pages: &mut [MaybeUninit<u8>]) {
    let (start, len) = (pages.as_mut_ptr(), pages.len());
    // SAFETY: the range is mapped memory that the caller has exclusively. The advice changes neither what it holds nor where it is.
    let advised = unsafe { madvise(start.cast(), len, Advice::LinuxHugepage) };
    // A kernel without them says EINVAL, and all works as well.
    let _ = advised;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_the_room_that_was_asked_for_and_keeps_what_is_put_there() {
        for len in [0, 1, 4096, LARGE - 1, LARGE, 2 * LARGE, 3 * LARGE + 17] {
            let mut buffer = buffer(len);
            assert!(buffer.is_empty() && buffer.capacity() >= len);
            let place = buffer.as_ptr();
            buffer.resize(len, 9);
            assert_eq!(buffer.as_ptr(), place);
            assert!(buffer.iter().all(|byte| *byte == 9));
        }
    }

    #[test]
    fn a_large_buffer_begins_with_a_large_page() {
        for len in [LARGE, 2 * LARGE + 1] {
            assert!(buffer(len).as_ptr().addr().is_multiple_of(LARGE));
        }
    }

    #[test]
    fn what_a_buffer_does_not_use_takes_no_memory() {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
            let pages = status
                .split_whitespace()
                .nth(1)
                .and_then(|pages| pages.parse::<usize>().ok());
            pages.map_or(0, |pages| pages * rustix::param::page_size())
        };
        let before = resident();
        let buffers: Vec<BytesMut> = (0..64).map(|_| buffer(2 * LARGE)).collect();
        assert!(resident() < before + 16 * LARGE);
        drop(buffers);
    }
}
