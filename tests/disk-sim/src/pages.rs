//! Sparse bytes that are cheap to copy: copies share what neither has changed.

use std::{collections::BTreeMap, sync::Arc};

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Bytes by offset, of which all that were never written are zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages {
    pages: BTreeMap<u64, Arc<Vec<u8>>>,
}

/// The parts of a range in its pages: page, from, to.
fn parts(offset: u64, len: u64) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + len;
    (offset / PAGE..end.div_ceil(PAGE)).map(move |page| {
        let start = page * PAGE;
        let (from, to) = (offset.max(start) - start, end.min(start + PAGE) - start);
        (page, from as usize, to as usize)
    })
}

impl Pages {
    /// Overwrites a range.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let mut rest = data;
        for (page, from, to) in parts(offset, data.len() as u64) {
            let (now, later) = rest.split_at(to - from);
            rest = later;
            let content = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new(vec![0; PAGE as usize]));
            Arc::make_mut(content)[from..to].copy_from_slice(now);
        }
    }

    /// Makes a range zeros.
    pub fn zero(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len);
        let touched: Vec<u64> = self
            .pages
            .range(offset / PAGE..=end / PAGE)
            .map(|(page, _)| *page)
            .collect();
        for page in touched {
            let start = page * PAGE;
            let (from, to) = (
                offset.max(start) - start,
                end.min(start + PAGE).max(start) - start,
            );
            if to - from == PAGE {
                self.pages.remove(&page);
            } else if let Some(content) = self.pages.get_mut(&page)
                && from < to
            {
                Arc::make_mut(content)[from as usize..to as usize].fill(0);
            }
        }
    }

    /// Reads a range.
    pub fn read(&self, offset: u64, buf: &mut [u8]) {
        let mut rest = buf;
        for (page, from, to) in parts(offset, rest.len() as u64) {
            let (now, later) = rest.split_at_mut(to - from);
            rest = later;
            match self.pages.get(&page) {
                Some(content) => now.copy_from_slice(&content[from..to]),
                None => now.fill(0),
            }
        }
    }

    /// Takes a range over from `other`.
    pub fn copy_range(&mut self, other: &Self, start: u64, end: u64) {
        for (page, from, to) in parts(start, end - start) {
            match other.pages.get(&page) {
                Some(content) if to - from == PAGE as usize => {
                    self.pages.insert(page, Arc::clone(content));
                }
                Some(content) => self.write(page * PAGE + from as u64, &content[from..to]),
                None => self.zero(page * PAGE + from as u64, (to - from) as u64),
            }
        }
    }

    /// The first range of pages at or behind `offset` that was written.
    #[must_use]
    pub fn next_data(&self, offset: u64) -> Option<(u64, u64)> {
        let (first, _) = self.pages.range(offset / PAGE..).next()?;
        let run = self
            .pages
            .range(first..)
            .zip(*first..)
            .take_while(|((page, _), want)| *page == want)
            .count();
        Some(((first * PAGE).max(offset), (first + run as u64) * PAGE))
    }

    /// Bytes of pages that were written.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.pages.len() as u64 * PAGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_rest_is_zeros() {
        let mut pages = Pages::default();
        pages.write(4000, &[7; 5000]);
        let copy = pages.clone();
        pages.zero(5000, 1000);
        let mut buf = vec![1; 10_000];
        pages.read(0, &mut buf);
        let wanted = |at: usize| u8::from((4000..9000).contains(&at) && !(5000..6000).contains(&at)) * 7;
        assert!(buf.iter().enumerate().all(|(at, byte)| *byte == wanted(at)));
        pages.copy_range(&copy, 4608, 8704);
        pages.read(0, &mut buf);
        assert!(buf[4000..9000].iter().all(|byte| *byte == 7));
        assert_eq!(pages.next_data(0), Some((0, 12288)));
        assert_eq!(pages.next_data(12288), None);
    }
}
