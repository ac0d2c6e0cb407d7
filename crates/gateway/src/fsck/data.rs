//! Whether what volumes hold is what was written: all of it is read and compared with its checksums.

use std::time::{Duration, Instant};

use store::{Scrub, Store, StoreError};

use super::Fsck;

/// How often it is told how far it is.
const TELL: Duration = Duration::from_secs(10);
/// Damaged blocks of a volume that are told one by one.
const SHOWN: usize = 20;

impl Fsck<'_> {
    /// Reads all volumes in files. Returns how many bytes were read.
    pub(super) fn data(&mut self, store: &Store) -> Result<u64, StoreError> {
        if store.on_devices() {
            return Ok(0);
        }
        let how = Scrub {
            accept: self.accept_data,
            ..Scrub::default()
        };
        let (mut read, mut told) = (0, Instant::now());
        for (name, id) in store.volume_names() {
            let scrubbed = store.scrub(id, how, |bytes| {
                read += bytes;
                if told.elapsed() > TELL {
                    told = Instant::now();
                    println!("note   {} MiB of data were read", read >> 20);
                }
                true
            })?;
            for offset in scrubbed.damaged.iter().take(SHOWN) {
                let what = format!("{name}: the 4 KiB at {offset} are not what was written");
                self.tell_data(&what);
            }
            let more = scrubbed.damaged.len().saturating_sub(SHOWN);
            if more > 0 {
                self.tell_data(&format!("{name}: and {more} more blocks"));
            }
        }
        Ok(read)
    }

    fn tell_data(&mut self, what: &str) {
        self.wrong += 1;
        self.left += usize::from(!self.accept_data);
        let fate = if self.accept_data { " (taken as it is)" } else { "" };
        println!("wrong  {what}{fate}");
    }
}
