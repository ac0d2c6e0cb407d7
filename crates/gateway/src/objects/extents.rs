//! Sets of byte ranges: what a clone shares with the next newer one.

/// Byte ranges in order that neither overlap nor touch, as start and end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extents(Vec<(u64, u64)>);

impl Extents {
    /// The one range `[start, end)`; nothing if that is empty.
    #[must_use]
    pub fn of(start: u64, end: u64) -> Self {
        let mut set = Self::default();
        set.insert(start, end);
        set
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bytes the ranges have together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// Start and end of each range, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// What of the ranges lies in `[from, to)`.
    pub fn within(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.0.partition_point(|r| r.1 <= from);
        let rest = self.0.get(first..).unwrap_or_default().iter();
        rest.take_while(move |r| r.0 < to && from < to)
            .map(move |r| (r.0.max(from), r.1.min(to)))
    }

    /// Adds `[start, end)`.
    pub fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let first = self.0.partition_point(|r| r.1 < start);
        let last = self.0.partition_point(|r| r.0 <= end);
        let mut joined = (start, end);
        if let (Some(a), Some(b)) = (self.0.get(first), self.0.get(last.wrapping_sub(1)))
            && first < last
        {
            joined = (start.min(a.0), end.max(b.1));
        }
        self.0.splice(first..last, [joined]);
    }

    /// Removes what is in `other`.
    pub fn subtract(&mut self, other: &Self) {
        let mut out = Vec::with_capacity(self.0.len() + other.0.len());
        let mut cuts = other.0.as_slice();
        for &(start, end) in &self.0 {
            let mut at = start;
            while let Some(&(from, to)) = cuts.first() {
                if to <= at {
                    cuts = &cuts[1..];
                    continue;
                }
                if from >= end {
                    break;
                }
                if at < from {
                    out.push((at, from));
                }
                at = to;
                if to >= end {
                    break;
                }
            }
            if at < end {
                out.push((at, end));
            }
        }
        self.0 = out;
    }

    /// What both sets have.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.as_slice(), other.0.as_slice());
        let mut out = Vec::new();
        while let (Some(x), Some(y)) = (a.first(), b.first()) {
            let (start, end) = (x.0.max(y.0), x.1.min(y.1));
            if start < end {
                out.push((start, end));
            }
            if x.1 < y.1 {
                a = &a[1..];
            } else {
                b = &b[1..];
            }
        }
        Self(out)
    }

    /// Whether all of `[start, end)` is in the set.
    #[must_use]
    pub fn covers(&self, start: u64, end: u64) -> bool {
        let at = self.0.partition_point(|r| r.1 <= start);
        start >= end || self.0.get(at).is_some_and(|r| r.0 <= start && end <= r.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sets of all subsets of eight bytes, by their bits.
    fn of_bits(bits: u32) -> Extents {
        let mut set = Extents::default();
        for i in 0..8 {
            if bits & 1 << i != 0 {
                set.insert(i, i + 1);
            }
        }
        set
    }

    #[test]
    fn set_algebra_agrees_with_bits() {
        for a in 0..256 {
            for b in 0..256 {
                let (x, y) = (of_bits(a), of_bits(b));
                assert_eq!(x.intersection(&y), of_bits(a & b));
                let mut z = x.clone();
                z.subtract(&y);
                assert_eq!(z, of_bits(a & !b));
                let mut z = x.clone();
                for (start, end) in y.iter() {
                    z.insert(start, end);
                }
                assert_eq!(z, of_bits(a | b));
            }
        }
    }

    #[test]
    fn what_lies_within_a_range_is_what_it_has_in_common_with_it() {
        for bits in 0..256 {
            let set = of_bits(bits);
            for (from, to) in (0..9).flat_map(|from| (from..9).map(move |to| (from, to))) {
                let within: Vec<_> = set.within(from, to).collect();
                let common: Vec<_> = set.intersection(&Extents::of(from, to)).iter().collect();
                assert_eq!(within, common, "{bits:b} {from} {to}");
            }
        }
    }

    #[test]
    fn a_range_is_covered_by_one_range_of_the_set() {
        let set = of_bits(0b0110_1110);
        assert!(set.covers(1, 4) && set.covers(2, 2) && set.covers(5, 7));
        assert!(!set.covers(1, 5) && !set.covers(0, 2) && !set.covers(3, 6));
    }
}
