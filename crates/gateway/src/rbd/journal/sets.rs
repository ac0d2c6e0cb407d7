//! Which sets of objects a journal has.

use encoding::Errno;

use super::Journal;

/// Behind so many sets without an object there are no more. None at all lies between two that have some: the next one is begun when an
/// object is full. The oldest may be gone, if whoever trimmed the journal did not come to say so, and nothing may have been written to
/// the newest yet. But which they are says a header that clients write.
const EMPTY: u32 = 64;

/// The sets from one to the active one, as long as they have objects.
pub(super) struct Sets {
    next: Option<u64>,
    active: u64,
    empty: u32,
}

impl Journal {
    /// The sets from `first` on.
    pub(super) fn sets_from(&self, first: u64) -> Result<Sets, Errno> {
        Ok(Sets::between(first, self.get("get_active_set")?))
    }
}

impl Sets {
    const fn between(first: u64, active: u64) -> Self {
        Self {
            next: Some(first),
            active,
            empty: 0,
        }
    }

    /// The next set. It counts as empty until [`Self::has_some`] says otherwise.
    pub(super) fn next(&mut self) -> Option<u64> {
        let set = self
            .next
            .filter(|set| *set <= self.active && self.empty < EMPTY)?;
        self.next = set.checked_add(1);
        self.empty += 1;
        Some(set)
    }

    /// There are objects of the last set.
    pub(super) fn has_some(&mut self) {
        self.empty = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sets that are looked at where these have objects.
    fn looked_at(first: u64, active: u64, has_some: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut sets = Sets::between(first, active);
        let mut all = Vec::new();
        while let Some(set) = sets.next() {
            all.push(set);
            if has_some(set) {
                sets.has_some();
            }
        }
        all
    }

    #[test]
    fn all_sets_up_to_the_active_one_are_looked_at() {
        let all: Vec<u64> = (3..=1000).collect();
        assert_eq!(looked_at(3, 1000, |_| true), all);
        assert_eq!(looked_at(3, 1000, |set| set % 50 == 0), all);
        assert_eq!(looked_at(5, 4, |_| true), [0_u64; 0]);
        assert_eq!(looked_at(u64::MAX, u64::MAX, |_| true), [u64::MAX]);
    }

    #[test]
    fn a_header_that_says_there_are_sets_without_end_keeps_nobody_busy() {
        assert_eq!(looked_at(0, u64::MAX, |set| set < 10).len(), 10 + EMPTY as usize);
    }
}
