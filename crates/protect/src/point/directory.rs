//! Directories of objects, written while the objects pass.
//!
//! Objects come in the order of their names, as API servers list them. A directory of many is cut
//! into parts, each the objects from one name to another; a part is stored when the next begins,
//! and only where it begins and its tree are remembered. So memory does not follow the number of objects.

use holdfast_vault::{BlobId, Tree, Writer};
use jiff::Timestamp;

use super::name::{begins_part, file_name, part_name};
use super::node::{directory_node, file_node};
use crate::error::Result;

/// A directory with more objects than this is split: a tree is one blob that is rewritten whenever
/// one of its entries changes.
pub const SPLIT_ABOVE: usize = 4096;

/// No part has more objects than this, whatever their names.
const LONGEST_PART: usize = SPLIT_ABOVE;

/// Where the bytes of an object lie: almost always in one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// One blob.
    One(BlobId),
    /// An object beyond the size of a blob, in order.
    Many(Box<[BlobId]>),
}

/// An object that is stored: what its directory says of it beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Length of its JSON in bytes.
    pub(crate) size: u64,
    /// Its JSON.
    pub(crate) content: Content,
}

impl Stored {
    fn ids(&self) -> Vec<BlobId> {
        match &self.content {
            Content::One(id) => vec![*id],
            Content::Many(ids) => ids.to_vec(),
        }
    }
}

/// The objects of one type in one namespace, on their way into trees. What these are follows from
/// the objects alone.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    open: Stretch,
    /// The parts that are stored, by name; `None` as long as the directory is not split.
    parts: Option<Vec<(String, BlobId)>>,
}

impl Directory {
    /// Whether an object of this name may come next: names ascend, by their bytes.
    pub(crate) fn may_follow(&self, name: &str) -> bool {
        self.open.last().is_none_or(|last| last < name)
    }

    /// Adds the object that comes next. Blocks when a part is stored.
    pub(crate) fn push(&mut self, writer: &Writer, name: &str, object: Stored) -> Result<()> {
        if self.parts.is_none() && self.open.objects.len() == SPLIT_ABOVE {
            self.parts = Some(Vec::new());
            let whole = std::mem::take(&mut self.open);
            for (name, object) in whole.iter() {
                self.append(writer, name, object.clone())?;
            }
        }
        self.append(writer, name, object)
    }

    fn append(&mut self, writer: &Writer, name: &str, object: Stored) -> Result<()> {
        let full = self.open.objects.len() == LONGEST_PART || begins_part(name);
        if self.parts.is_some() && full {
            self.store_part(writer)?;
        }
        self.open.push(name, object);
        Ok(())
    }

    fn store_part(&mut self, writer: &Writer) -> Result<()> {
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let part = std::mem::take(&mut self.open);
        if let Some((first, _)) = part.iter().next() {
            parts.push((part_name(first), part.store(writer)?));
        }
        Ok(())
    }

    /// Stores what is not stored yet and gives the tree of the directory. Blocks.
    pub(crate) fn finish(mut self, writer: &Writer) -> Result<BlobId> {
        self.store_part(writer)?;
        let Some(parts) = self.parts else { return self.open.store(writer) };
        let nodes = parts.into_iter().map(|(name, tree)| directory_node(&name, tree)).collect();
        Ok(writer.tree(&Tree { nodes })?)
    }
}

/// Objects one after the other, kept compactly.
#[derive(Debug, Default)]
struct Stretch {
    names: String,
    /// Each with the end of its name in `names`.
    objects: Vec<(usize, Stored)>,
}

impl Stretch {
    fn push(&mut self, name: &str, object: Stored) {
        self.names.push_str(name);
        self.objects.push((self.names.len(), object));
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Stored)> {
        let starts = std::iter::once(0).chain(self.objects.iter().map(|(end, _)| *end));
        starts.zip(&self.objects).map(|(start, (end, object))| (&self.names[start..*end], object))
    }

    fn last(&self) -> Option<&str> {
        let (_, before) = self.objects.split_last()?;
        Some(&self.names[before.last().map_or(0, |(end, _)| *end)..])
    }

    fn store(&self, writer: &Writer) -> Result<BlobId> {
        let node = |(name, object): (&str, &Stored)| {
            file_node(&file_name(name), Timestamp::UNIX_EPOCH, object.size, object.ids())
        };
        Ok(writer.tree(&Tree { nodes: self.iter().map(node).collect() })?)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_vault::{CreateOptions, Repository, RepositoryPassword, Store, WriterOptions};

    use super::*;

    /// The directory with objects of these names as it is stored: its files by part, or by `.` if it
    /// has none.
    async fn stored(names: Vec<String>) -> Vec<(String, BlobId, Vec<String>)> {
        let password = RepositoryPassword::new("directory");
        let repository =
            Repository::create(Store::in_memory(), &password, CreateOptions::default()).await.unwrap();
        let writer = repository.writer(WriterOptions::default()).await.unwrap();
        let storing = writer.clone();
        let store = move || {
            let mut directory = Directory::default();
            for name in &names {
                assert!(directory.may_follow(name), "{name}");
                let content = Content::One(storing.data(name.as_bytes()).unwrap());
                directory.push(&storing, name, Stored { size: name.len() as u64, content }).unwrap();
                assert!(!directory.may_follow(name));
            }
            directory.finish(&storing).unwrap()
        };
        let root = tokio::task::spawn_blocking(store).await.unwrap();
        writer.close().await.unwrap();
        let reader = repository.reader().await.unwrap();
        let files = |tree: &Tree| tree.nodes.iter().map(|node| node.display_name().into_owned()).collect();
        let tree = reader.tree(&root).await.unwrap();
        let parts = tree.nodes.iter().filter_map(|node| node.subtree.map(|id| (node.display_name(), id)));
        let mut all = Vec::new();
        for (name, part) in parts {
            all.push((name.into_owned(), part, files(&reader.tree(&part).await.unwrap())));
        }
        if all.is_empty() { vec![(".".to_owned(), root, files(&tree))] } else { all }
    }

    fn numbered(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("s-{number:06}")).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_lie_in_the_order_of_their_own_names() {
        let names = ["a", "a-b", "a.b", "b"].map(str::to_owned).to_vec();
        let found = stored(names).await;
        assert_eq!(found[0].2, ["a-b.json", "a.b.json", "a.json", "b.json"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_large_directory_has_parts_that_follow_each_other_and_a_small_one_has_none() {
        let small = stored(numbered(SPLIT_ABOVE)).await;
        assert_eq!((small.len(), small[0].2.len()), (1, SPLIT_ABOVE));
        let names = numbered(SPLIT_ABOVE + 1);
        let large = stored(names.clone()).await;
        assert!((4..16).contains(&large.len()), "{}", large.len());
        for (part, _, files) in &large {
            assert_eq!(Some(&format!("{}.json", &part[1..])), files.first());
        }
        let files: Vec<String> = large.into_iter().flat_map(|(_, _, files)| files).collect();
        assert_eq!(files, names.iter().map(|name| file_name(name)).collect::<Vec<_>>());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_added_or_removed_changes_one_part() {
        let mut names = numbered(20_000);
        let before = stored(names.clone()).await;
        names.insert(7_000, "s-006999-new".to_owned());
        names.remove(15_000);
        let after = stored(names).await;
        let known: std::collections::BTreeSet<BlobId> = before.iter().map(|(_, id, _)| *id).collect();
        let changed = after.iter().filter(|(_, id, _)| !known.contains(id)).count();
        assert!((1..=2).contains(&changed), "{changed} of {}", after.len());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_part_is_longer_than_the_limit_whatever_the_names() {
        let names = numbered(10_000).into_iter().filter(|name| !begins_part(name)).collect();
        let lengths: Vec<usize> = stored(names).await.iter().map(|(_, _, files)| files.len()).collect();
        assert_eq!(lengths[..2], [LONGEST_PART, LONGEST_PART]);
        assert_eq!(lengths.len(), 3);
    }
}
