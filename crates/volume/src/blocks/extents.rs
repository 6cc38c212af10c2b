//! A set of extents: one bit each.

use std::ops::Range;

/// Which extents of a device are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExtentSet(Vec<u64>);

impl ExtentSet {
    /// None of `extents`.
    pub(super) fn none(extents: u64) -> Self {
        Self(vec![0; extents.div_ceil(64) as usize])
    }

    /// Adds a range of extents, which must be among those that the set was made for.
    pub(super) fn insert(&mut self, extents: Range<u64>) {
        let mut at = extents.start;
        while at < extents.end {
            let (word, bit) = ((at / 64) as usize, at % 64);
            let length = (64 - bit).min(extents.end - at);
            let ones = if length == 64 { u64::MAX } else { (1 << length) - 1 };
            self.0[word] |= ones << bit;
            at += length;
        }
    }

    pub(super) fn contains(&self, extent: u64) -> bool {
        self.0[(extent / 64) as usize] >> (extent % 64) & 1 == 1
    }

    /// Whether any of these is in it.
    pub(super) fn meets(&self, extents: Range<u64>) -> bool {
        self.runs(extents, u64::MAX).next().is_some()
    }

    /// The runs of neighbours within `extents`, in order, none longer than `longest`.
    pub(super) fn runs(&self, extents: Range<u64>, longest: u64) -> impl Iterator<Item = Range<u64>> {
        let mut at = extents.start;
        std::iter::from_fn(move || {
            let start = self.find(at..extents.end, true)?;
            let limit = extents.end.min(start.saturating_add(longest));
            at = self.find(start..limit, false).unwrap_or(limit);
            Some(start..at)
        })
    }

    /// The first of `extents` that is in the set, or that is not.
    fn find(&self, extents: Range<u64>, wanted: bool) -> Option<u64> {
        let mut at = extents.start;
        while at < extents.end {
            let word = self.0[(at / 64) as usize];
            let rest = (if wanted { word } else { !word }) >> (at % 64);
            if rest != 0 {
                let found = at + u64::from(rest.trailing_zeros());
                return (found < extents.end).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            size in 1u64..400,
            inserted in prop::collection::vec((0u64..400, 0u64..200), 0..8),
            (from, to, longest) in (0u64..400, 0u64..400, 1u64..100),
        ) {
            let (mut set, mut expected) = (ExtentSet::none(size), BTreeSet::new());
            for (start, length) in inserted {
                let range = start.min(size)..(start + length).min(size);
                set.insert(range.clone());
                expected.extend(range);
            }
            let part = from.min(size)..to.min(size);
            let runs: Vec<_> = set.runs(part.clone(), longest).collect();
            prop_assert!(runs.iter().all(|run| !run.is_empty() && run.end - run.start <= longest));
            let joined = runs.windows(2).any(|pair| pair[0].end == pair[1].start && pair[0].end - pair[0].start < longest);
            prop_assert!(!joined, "neighbours are in one run: {:?}", runs);
            let found: Vec<u64> = runs.into_iter().flatten().collect();
            let wanted: Vec<u64> = expected.iter().copied().filter(|extent| part.contains(extent)).collect();
            prop_assert_eq!(set.meets(part), !wanted.is_empty());
            prop_assert_eq!(found, wanted);
            prop_assert!((0..size).all(|extent| set.contains(extent) == expected.contains(&extent)));
        }
    }
}
