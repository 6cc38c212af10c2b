//! A day's work on a tree: some files edited, some pages of databases written, some files added and removed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::content::PAGE;
use super::{Entry, Kind, Random, Vocabulary, bytes_of};

/// Pages that a database writes next to each other.
const RUN: usize = 32;

/// What was done to a tree.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Changed {
    /// Bytes of edited and added files and of written pages.
    pub bytes: u64,
    /// Files edited or written to.
    pub modified: usize,
    /// New files.
    pub added: usize,
    /// Files that are gone.
    pub removed: usize,
}

/// Changes about `part` of the bytes of the tree at `root`; `entries` keeps in step.
pub fn change(
    root: &Path,
    entries: &mut Vec<Entry>,
    words: &Vocabulary,
    seed: u64,
    part: f64,
) -> Result<Changed> {
    let budget = (bytes_of(entries) as f64 * part) as u64;
    let mut work =
        Work { root, words, random: Random::new(seed), changed: Changed::default(), buffer: Vec::new() };
    work.write_pages(entries, budget * 3 / 10)?;
    work.edit(entries, budget * 8 / 10)?;
    work.add(entries, budget, seed)?;
    work.remove(entries)?;
    Ok(work.changed)
}

struct Work<'a> {
    root: &'a Path,
    words: &'a Vocabulary,
    random: Random,
    changed: Changed,
    buffer: Vec<u8>,
}

impl Work<'_> {
    /// Writes runs of pages into databases until `limit` bytes are changed.
    fn write_pages(&mut self, entries: &[Entry], limit: u64) -> Result<()> {
        let bases: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == Kind::Pages).collect();
        let mut written = Vec::new();
        while self.changed.bytes < limit && !bases.is_empty() {
            let base = bases[self.random.below(bases.len())];
            let run = RUN.min(base.length / PAGE).max(1);
            let offset = self.random.below(base.length / PAGE - run + 1) * PAGE;
            self.buffer.clear();
            self.words.content(Kind::Pages, run * PAGE, &mut self.random, &mut self.buffer);
            let path = self.root.join(&base.path);
            let file = File::options().write(true).open(&path);
            let file = file.with_context(|| format!("cannot open {}", path.display()))?;
            file.write_all_at(&self.buffer, offset as u64)?;
            self.changed.bytes += self.buffer.len() as u64;
            written.push(path);
        }
        written.sort();
        written.dedup();
        self.changed.modified += written.len();
        Ok(())
    }

    /// Puts a few lines into files until `limit` bytes are in files that were touched.
    fn edit(&mut self, entries: &mut [Entry], limit: u64) -> Result<()> {
        while self.changed.bytes < limit {
            let chosen = self.random.below(entries.len());
            let entry = &mut entries[chosen];
            if entry.kind == Kind::Pages {
                continue;
            }
            let path = self.root.join(&entry.path);
            let mut content =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            self.buffer.clear();
            let length = 64 + self.random.below(448);
            self.words.content(Kind::Text, length, &mut self.random, &mut self.buffer);
            let middle = self.random.below(content.len() + 1);
            content.splice(middle..middle, self.buffer.iter().copied());
            std::fs::write(&path, &content)?;
            entry.length = content.len();
            self.changed.bytes += content.len() as u64;
            self.changed.modified += 1;
        }
        Ok(())
    }

    /// Adds files like those that are there until `limit` bytes are changed.
    fn add(&mut self, entries: &mut Vec<Entry>, limit: u64, seed: u64) -> Result<()> {
        let present = entries.len();
        while self.changed.bytes < limit {
            let like = &entries[self.random.below(present)];
            if like.kind == Kind::Pages {
                continue;
            }
            let path = PathBuf::from(format!(
                "new/{seed:x}/{:02}/{:06}",
                self.changed.added / 60,
                self.changed.added
            ));
            let entry = Entry { path, kind: like.kind, length: like.length, seed: self.random.number() };
            entry.write(self.root, self.words, &mut self.buffer)?;
            self.changed.bytes += entry.length as u64;
            self.changed.added += 1;
            entries.push(entry);
        }
        Ok(())
    }

    /// Removes half as many files as were added.
    fn remove(&mut self, entries: &mut Vec<Entry>) -> Result<()> {
        while self.changed.removed < self.changed.added / 2 {
            let chosen = self.random.below(entries.len());
            if entries[chosen].kind == Kind::Pages {
                continue;
            }
            let gone = entries.swap_remove(chosen);
            let path = self.root.join(&gone.path);
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            self.changed.removed += 1;
        }
        Ok(())
    }
}
