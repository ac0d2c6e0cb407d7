//! Sets of byte ranges.

use std::collections::BTreeMap;

/// A set of offsets, kept as disjoint ranges that do not touch.
#[derive(Debug, Default, Clone)]
pub(crate) struct RangeSet {
    /// Start to end (exclusive).
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Adds `start..end`.
    pub(crate) fn insert(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        if let Some((&s, &e)) = self.ranges.range(..=start).next_back()
            && e >= start
        {
            if e >= end {
                return;
            }
            start = s;
        }
        while let Some((&s, &e)) = self.ranges.range(start..=end).next() {
            end = end.max(e);
            self.ranges.remove(&s);
        }
        self.ranges.insert(start, end);
    }

    /// Takes `start..end` out.
    pub(crate) fn remove(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        if let Some((&s, &e)) = self.ranges.range(..start).next_back()
            && e > start
        {
            self.ranges.insert(s, start);
            if e > end {
                self.ranges.insert(end, e);
                return;
            }
        }
        while let Some((&s, &e)) = self.ranges.range(start..end).next() {
            self.ranges.remove(&s);
            if e > end {
                self.ranges.insert(end, e);
            }
        }
    }

    /// Whether all of `start..end` is in the set.
    pub(crate) fn contains(&self, start: u64, end: u64) -> bool {
        start >= end
            || self
                .ranges
                .range(..=start)
                .next_back()
                .is_some_and(|(_, &e)| e >= end)
    }

    /// The parts of `start..end` that are in the set, as (start, end), ascending.
    pub(crate) fn within(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let first = self.ranges.range(..=start).next_back().map_or(start, |(&s, _)| s);
        self.ranges
            .range(first..end.max(first))
            .map(|(&s, &e)| (s.max(start), e.min(end)))
            .filter(|(s, e)| s < e)
            .collect()
    }

    /// The parts of `start..end` that are not in the set, as (start, end), ascending.
    pub(crate) fn gaps(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = start;
        for (s, e) in self.within(start, end) {
            if at < s {
                gaps.push((at, s));
            }
            at = e;
        }
        if at < end {
            gaps.push((at, end));
        }
        gaps
    }
}

/// Whether two ranges, from the first number to that behind the last, have any in common.
pub(crate) fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 < b.1 && b.0 < a.1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_bitmap(steps in proptest::collection::vec((any::<bool>(), 0u64..64, 0u64..64), 0..40)) {
            let mut set = RangeSet::default();
            let mut model = [false; 128];
            for (insert, start, len) in steps {
                let end = start + len;
                if insert { set.insert(start, end) } else { set.remove(start, end) }
                model[start as usize..end as usize].fill(insert);
                for from in 0..64u64 {
                    let to = from + 40;
                    let mut seen = [false; 128];
                    for (s, e) in set.within(from, to) {
                        seen[s as usize..e as usize].fill(true);
                    }
                    prop_assert_eq!(&seen[from as usize..to as usize], &model[from as usize..to as usize]);
                    let missing: u64 = set.gaps(from, to).iter().map(|(s, e)| e - s).sum();
                    let free = model[from as usize..to as usize].iter().filter(|x| !**x).count() as u64;
                    prop_assert_eq!(missing, free);
                    prop_assert_eq!(set.contains(from, to), free == 0);
                }
            }
        }
    }
}
