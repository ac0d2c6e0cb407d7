//! `interval_set<snapid_t>`: a set of snapshot ids kept as intervals (Ceph `src/include/interval_set.h`).

use std::collections::BTreeMap;

use bytes::BytesMut;

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::Features,
};

/// A set of snapshot ids: disjoint intervals that do not touch, from start to length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapIntervals(BTreeMap<u64, u64>);

impl SnapIntervals {
    /// Whether no id is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Start and length of each interval, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(s, l)| (*s, *l))
    }

    /// Whether `snap` is in the set.
    #[must_use]
    pub fn contains(&self, snap: u64) -> bool {
        self.0
            .range(..=snap)
            .next_back()
            .is_some_and(|(s, l)| snap - s < *l)
    }

    /// Adds `len` ids from `start` on, joining the intervals that touch. Ids beyond 64 bits are cut off.
    pub fn insert(&mut self, start: u64, len: u64) {
        let mut start = start;
        let mut end = start.saturating_add(len);
        if start == end {
            return;
        }
        let touching: Vec<(u64, u64)> = self
            .0
            .range(..=end)
            .rev()
            .map(|(s, l)| (*s, s.saturating_add(*l)))
            .take_while(|(_, e)| *e >= start)
            .collect();
        for (s, e) in touching {
            self.0.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.0.insert(start, end - start);
    }

    /// Removes `len` ids from `start` on, whichever are in the set.
    pub fn remove(&mut self, start: u64, len: u64) {
        if len == 0 {
            return;
        }
        let end = start.saturating_add(len);
        let overlapping: Vec<(u64, u64)> = self
            .0
            .range(..end)
            .rev()
            .map(|(s, l)| (*s, s.saturating_add(*l)))
            .take_while(|(_, e)| *e > start)
            .collect();
        for (s, e) in overlapping {
            self.0.remove(&s);
            if s < start {
                self.0.insert(s, start - s);
            }
            if e > end {
                self.0.insert(end, e - end);
            }
        }
    }

    /// Adds all of `other`.
    pub fn union(&mut self, other: &Self) {
        for (s, l) in other.iter() {
            self.insert(s, l);
        }
    }

    /// Removes all of `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (s, l) in other.iter() {
            self.remove(s, l);
        }
    }

    /// The intervals without their count, for the oldest encodings that put counts elsewhere.
    pub(super) fn encode_nohead(&self, out: &mut BytesMut) {
        for (s, l) in self.iter() {
            s.encode(out, Features::NONE);
            l.encode(out, Features::NONE);
        }
    }

    /// `n` intervals without a count in front.
    pub(super) fn decode_nohead(n: usize, r: &mut Reader<'_>) -> Result<Self> {
        let mut map = BTreeMap::new();
        let mut last_end = 0;
        for i in 0..n {
            let (start, len) = <(u64, u64)>::decode(r)?;
            let end = start.checked_add(len);
            match end {
                Some(end) if len > 0 && (i == 0 || start >= last_end) => last_end = end,
                _ => {
                    return Err(DecodeError::Invalid {
                        what: "interval_set",
                        value: start,
                    });
                }
            }
            map.insert(start, len);
        }
        Ok(Self(map))
    }
}

impl FromIterator<u64> for SnapIntervals {
    fn from_iter<I: IntoIterator<Item = u64>>(iter: I) -> Self {
        let mut set = Self::default();
        for snap in iter {
            set.insert(snap, 1);
        }
        set
    }
}

impl Decode for SnapIntervals {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let n = r.count(16, "interval_set")?;
        Self::decode_nohead(n, r)
    }
}

impl Encode for SnapIntervals {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_map(&self.0, features);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_behaves_like_a_set_and_its_intervals_never_touch(
            ops in proptest::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..40)
        ) {
            let mut set = SnapIntervals::default();
            let mut model = BTreeSet::new();
            for (add, start, len) in ops {
                if add {
                    set.insert(start, len);
                    model.extend(start..start + len);
                } else {
                    set.remove(start, len);
                    model.retain(|s| !(start..start + len).contains(s));
                }
                let got: BTreeSet<u64> = set.iter().flat_map(|(s, l)| s..s + l).collect();
                prop_assert_eq!(&got, &model);
                let ends: Vec<(u64, u64)> = set.iter().map(|(s, l)| (s, s + l)).collect();
                prop_assert!(ends.windows(2).all(|w| w[0].1 < w[1].0));
                prop_assert!((0..80).all(|s| set.contains(s) == model.contains(&s)));
            }
        }
    }
}
