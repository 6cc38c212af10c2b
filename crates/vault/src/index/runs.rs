//! Entries of the index in sorted runs, in little more memory than they have bytes.
//!
//! Blobs arrive in batches (an index file each). A batch becomes a sorted run and is merged with older
//! runs of similar length, as in a log-structured merge tree: a search looks at a few runs, no memory
//! is held in reserve, and adding costs a logarithm. Runs lie in blocks that are large enough for the
//! allocator to take each from the kernel by itself. In its heaps the runs that a merge replaces
//! would leave holes: as many bytes again as the index has. A merge gives back each block once it has
//! passed it, and so never holds both runs twice.

use std::cmp::Ordering;

use super::entry::Entry;
use crate::id::{BlobId, BlobKind};

/// Entries of a block: 384 KiB.
const BLOCK: usize = 8192;

/// Sorted runs, longest first.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    /// Adds entries; what is there already is not added again, unless elsewhere.
    pub(super) fn add(&mut self, mut batch: Vec<Entry>) {
        batch.sort_unstable_by_key(Entry::order);
        batch.dedup();
        let mut run: Run = batch.into_iter().collect();
        while let Some(former) = self.0.pop_if(|former| former.length < 2 * run.length) {
            run = merge(former, run);
        }
        if run.length > 0 {
            self.0.push(run);
        }
    }

    /// The entries of a blob.
    pub(super) fn find(&self, kind: BlobKind, id: &BlobId) -> impl Iterator<Item = &Entry> {
        let key = (*id, kind);
        self.0.iter().flat_map(move |run| run.starting_at(key).take_while(move |entry| entry.key() == key))
    }

    /// All entries, run by run.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flat_map(Run::iter)
    }
}

/// Sorted entries. All blocks but the last are full.
#[derive(Debug, Default)]
struct Run {
    blocks: Vec<Box<[Entry]>>,
    length: usize,
}

impl Run {
    fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flatten()
    }

    fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.blocks.into_iter().flatten()
    }

    /// The entries from the first with at least this key on.
    fn starting_at(&self, key: (BlobId, BlobKind)) -> impl Iterator<Item = &Entry> {
        let is_before = |entry: &Entry| entry.key() < key;
        let at = self.blocks.partition_point(|block| block.last().is_some_and(is_before));
        let (first, rest) = match self.blocks.get(at..) {
            Some([first, rest @ ..]) => (&first[first.partition_point(is_before)..], rest),
            _ => Default::default(),
        };
        first.iter().chain(rest.iter().flatten())
    }
}

impl FromIterator<Entry> for Run {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut entries = entries.into_iter().peekable();
        let mut run = Run::default();
        while entries.peek().is_some() {
            let mut block = Vec::with_capacity(BLOCK);
            block.extend(entries.by_ref().take(BLOCK));
            run.length += block.len();
            run.blocks.push(block.into_boxed_slice());
        }
        run
    }
}

fn merge(a: Run, b: Run) -> Run {
    let (mut a, mut b) = (a.into_entries().peekable(), b.into_entries().peekable());
    let next = || {
        let order = match (a.peek(), b.peek()) {
            (Some(left), Some(right)) => left.order().cmp(&right.order()),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => a.next(),
            Ordering::Greater => b.next(),
            Ordering::Equal => {
                b.next();
                a.next()
            }
        }
    };
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::PackedBlob;

    fn entry(n: u32) -> Entry {
        let id = BlobId::of(&n.to_le_bytes());
        Entry::new(7, &PackedBlob { id, kind: BlobKind::Data, offset: n, length: 40, uncompressed: None })
    }

    #[test]
    fn runs_stay_few_and_sorted_and_repeat_nothing() {
        let mut runs = Runs::default();
        for n in 0..1000 {
            runs.add(vec![entry(n), entry(n / 2), entry(n)]);
        }
        assert!(runs.0.len() <= 11, "{}", runs.0.len());
        assert!(runs.0.iter().all(|run| run.iter().is_sorted_by_key(Entry::order)));
        assert!(
            (0..1000).all(|n| runs.find(BlobKind::Data, &entry(n).key().0).any(|found| *found == entry(n)))
        );
        assert_eq!(runs.find(BlobKind::Tree, &entry(1).key().0).count(), 0);
    }

    #[test]
    fn runs_of_several_blocks_are_merged_and_searched() {
        let count = 3 * BLOCK as u32 + 5;
        let mut runs = Runs::default();
        runs.add((0..count / 2).map(entry).collect());
        runs.add((count / 3..count).map(entry).collect());
        let [run] = &runs.0[..] else { panic!("{} runs", runs.0.len()) };
        assert_eq!((run.length, run.blocks.len()), (count as usize, 4));
        assert_eq!(run.blocks.iter().map(|block| block.len()).collect::<Vec<_>>(), [BLOCK, BLOCK, BLOCK, 5]);
        for n in (0..count).step_by(97) {
            let found: Vec<&Entry> = runs.find(BlobKind::Data, &entry(n).key().0).collect();
            assert_eq!(found, [&entry(n)]);
        }
        assert_eq!(runs.iter().count(), count as usize);
        assert_eq!(runs.find(BlobKind::Data, &BlobId::of(b"nowhere")).count(), 0);
    }
}
