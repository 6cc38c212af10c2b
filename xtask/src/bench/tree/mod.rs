//! Seeded trees of files, and seeded changes to them.

mod change;
mod compare;
mod content;
mod mix;
mod random;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use change::change;
pub use compare::differences;
pub use content::{Kind, Vocabulary};
pub use mix::{many, mix, small};
pub use random::Random;

/// One file to be generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the root of the tree.
    pub path: PathBuf,
    /// What it is like.
    pub kind: Kind,
    /// Its length in bytes.
    pub length: usize,
    /// What its bytes follow from; two entries with the same seed, kind and length are the same.
    pub seed: u64,
}

impl Entry {
    /// Its bytes, into a buffer that is used again.
    pub fn fill(&self, words: &Vocabulary, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.reserve(self.length);
        words.content(self.kind, self.length, &mut Random::new(self.seed), buffer);
    }

    /// Writes it, with the directories it needs.
    pub fn write(&self, root: &Path, words: &Vocabulary, buffer: &mut Vec<u8>) -> Result<()> {
        self.fill(words, buffer);
        let path = root.join(&self.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        std::fs::write(&path, buffer).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Writes a whole tree.
pub fn write(root: &Path, entries: &[Entry], words: &Vocabulary) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = entries
            .chunks(entries.len().div_ceil(threads).max(1))
            .map(|part| {
                scope.spawn(move || {
                    let mut buffer = Vec::new();
                    part.iter().try_for_each(|entry| entry.write(root, words, &mut buffer))
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Reads every file once, so that all sides find the same page cache.
pub fn warm(root: &Path) -> Result<()> {
    let mut waiting = vec![root.to_owned()];
    let mut nowhere = std::io::sink();
    while let Some(directory) = waiting.pop() {
        for item in std::fs::read_dir(&directory)? {
            let item = item?;
            if item.file_type()?.is_dir() {
                waiting.push(item.path());
            } else {
                std::io::copy(&mut std::fs::File::open(item.path())?, &mut nowhere)?;
            }
        }
    }
    Ok(())
}

/// Bytes of all entries.
pub fn bytes_of(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.length as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_tree_and_change() {
        let words = Vocabulary::new(1);
        let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for root in &roots {
            let mut entries = mix(7, 0.002);
            write(root.path(), &entries, &words).unwrap();
            let changed = change(root.path(), &mut entries, &words, 8, 0.01).unwrap();
            assert!(changed.modified > 0 && changed.added > 0, "{changed:?}");
        }
        // Times differ, bytes do not.
        let found = differences(roots[0].path(), roots[1].path()).unwrap();
        assert!(found.iter().all(|line| line.ends_with("modification time")), "{found:?}");
    }

    #[test]
    fn a_change_is_of_the_size_asked_for() {
        let words = Vocabulary::new(1);
        let root = tempfile::tempdir().unwrap();
        let mut entries = mix(3, 0.02);
        write(root.path(), &entries, &words).unwrap();
        let total = bytes_of(&entries);
        let changed = change(root.path(), &mut entries, &words, 4, 0.01).unwrap();
        let part = changed.bytes as f64 / total as f64;
        assert!((0.005..0.03).contains(&part), "{part}");
    }
}
