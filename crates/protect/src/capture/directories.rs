//! The directories of one kind, filled by its lists.
//!
//! An API server lists by namespace and name, so a directory is stored as soon as the list is past it and its objects
//! are forgotten. Where that order is not kept, and where objects are looked up again, they are kept until the end.

use std::collections::BTreeMap;

use holdfast_model::object::CLUSTER_SCOPE;
use holdfast_vault::{BlobId, Writer};

use crate::error::{Error, Result};
use crate::point::{Directory, Stored};

/// The directories of one kind by namespace, or [`CLUSTER_SCOPE`].
#[derive(Debug)]
pub(super) struct Directories {
    stored: BTreeMap<String, BlobId>,
    filling: Filling,
}

/// What is not stored yet.
#[derive(Debug)]
enum Filling {
    /// The directory that the list is in.
    Passing(Option<(String, Directory)>),
    /// All objects.
    Kept(BTreeMap<String, BTreeMap<Box<str>, Stored>>),
    /// The list went back to where it had been: what was forgotten cannot be completed.
    Broken,
}

impl Directories {
    /// For objects that come in the order of their namespaces' and their own names.
    pub(super) fn passing() -> Self {
        Self { stored: BTreeMap::new(), filling: Filling::Passing(None) }
    }

    /// For objects that come in any order; one that comes again takes the place of the former.
    pub(super) fn kept() -> Self {
        Self { stored: BTreeMap::new(), filling: Filling::Kept(BTreeMap::new()) }
    }

    /// Adds an object and gives the one whose place it takes. Blocks when a directory is stored.
    pub(super) fn push(
        &mut self,
        writer: &Writer,
        namespace: &str,
        name: &str,
        object: Stored,
    ) -> Result<Option<Stored>> {
        if let Filling::Kept(kept) = &mut self.filling {
            if !kept.contains_key(namespace) {
                kept.insert(namespace.to_owned(), BTreeMap::new());
            }
            return Ok(kept.get_mut(namespace).and_then(|objects| objects.insert(name.into(), object)));
        }
        if matches!(&self.filling, Filling::Passing(Some((open, _))) if open != namespace) {
            self.store(writer)?;
        }
        match &mut self.filling {
            Filling::Passing(Some((_, directory))) if directory.may_follow(name) => {
                directory.push(writer, name, object)?;
            }
            Filling::Passing(open @ None) if !self.stored.contains_key(namespace) => {
                let (_, directory) = open.insert((namespace.to_owned(), Directory::default()));
                directory.push(writer, name, object)?;
            }
            _ => self.filling = Filling::Broken,
        }
        Ok(None)
    }

    /// Whether objects came in another order than was relied on. Then the list is to be taken
    /// again, into directories for any order.
    pub(super) fn are_broken(&self) -> bool {
        matches!(self.filling, Filling::Broken)
    }

    /// Whether a cluster-scoped object is among those that are kept.
    pub(super) fn keep(&self, name: &str) -> bool {
        let Filling::Kept(kept) = &self.filling else { return false };
        kept.get(CLUSTER_SCOPE).is_some_and(|objects| objects.contains_key(name))
    }

    /// Stores what is not stored yet. Blocks.
    pub(super) fn store(&mut self, writer: &Writer) -> Result<()> {
        match std::mem::replace(&mut self.filling, Filling::Passing(None)) {
            Filling::Passing(None) => Ok(()),
            Filling::Passing(Some((namespace, directory))) => {
                let tree = directory.finish(writer)?;
                self.put(namespace, tree)
            }
            Filling::Kept(kept) => kept.into_iter().try_for_each(|(namespace, objects)| {
                let mut directory = Directory::default();
                for (name, object) in objects {
                    directory.push(writer, &name, object)?;
                }
                let tree = directory.finish(writer)?;
                self.put(namespace, tree)
            }),
            Filling::Broken => {
                Err(Error::Internal("directories were used that a list left incomplete".into()))
            }
        }
    }

    fn put(&mut self, namespace: String, tree: BlobId) -> Result<()> {
        match self.stored.insert(namespace.clone(), tree) {
            None => Ok(()),
            Some(_) => Err(doubled(&namespace)),
        }
    }

    /// Adds the directories of another list of the same kind, which has shown other objects.
    pub(super) fn absorb(&mut self, other: Directories) -> Result<()> {
        other.stored.into_iter().try_for_each(|(namespace, tree)| self.put(namespace, tree))?;
        match (&mut self.filling, other.filling) {
            (_, Filling::Passing(None)) => {}
            (mine @ Filling::Passing(None), theirs) => *mine = theirs,
            (Filling::Kept(mine), Filling::Kept(theirs)) => {
                for (namespace, objects) in theirs {
                    mine.entry(namespace).or_default().extend(objects);
                }
            }
            (mine, _) => *mine = Filling::Broken,
        }
        Ok(())
    }

    /// Stores what is not stored yet and gives all trees by namespace. Blocks.
    pub(super) fn finish(mut self, writer: &Writer) -> Result<BTreeMap<String, BlobId>> {
        self.store(writer)?;
        Ok(self.stored)
    }
}

/// Two lists of a kind have filled one directory: one of them would be lost.
fn doubled(namespace: &str) -> Error {
    Error::Internal(format!("the objects of namespace {namespace} were taken twice"))
}

#[cfg(test)]
mod tests {
    use holdfast_vault::{CreateOptions, Repository, RepositoryPassword, Store, WriterOptions};

    use super::*;
    use crate::point::Content;

    /// Runs on a thread that may block, with a writer into a repository in memory.
    async fn with_writer<T: Send + 'static>(work: impl FnOnce(&Writer) -> T + Send + 'static) -> T {
        let password = RepositoryPassword::new("directories");
        let repository =
            Repository::create(Store::in_memory(), &password, CreateOptions::default()).await.unwrap();
        let writer = repository.writer(WriterOptions::default()).await.unwrap();
        let storing = writer.clone();
        let done = tokio::task::spawn_blocking(move || work(&storing)).await.unwrap();
        writer.close().await.unwrap();
        done
    }

    fn fill(writer: &Writer, mut directories: Directories, objects: &[(&str, &str)]) -> Directories {
        for (namespace, name) in objects {
            let content = Content::One(BlobId::of(name.as_bytes()));
            directories.push(writer, namespace, name, Stored { size: 1, content }).unwrap();
        }
        directories
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_order_of_objects_does_not_show_in_what_is_stored() {
        let objects = [("a-b", "x"), ("a", "x"), ("a", "x-y"), ("b", "z")];
        with_writer(move |writer| {
            let passing = fill(writer, Directories::passing(), &objects);
            assert!(!passing.are_broken());
            let mut shuffled = objects;
            shuffled.reverse();
            let kept = fill(writer, Directories::kept(), &[&shuffled[..], &objects[..1]].concat());
            let trees = passing.finish(writer).unwrap();
            assert_eq!(trees.keys().collect::<Vec<_>>(), ["a", "a-b", "b"]);
            assert_eq!(trees, kept.finish(writer).unwrap());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_list_that_goes_back_is_noticed_and_not_used() {
        with_writer(|writer| {
            for objects in [
                [("a", "x"), ("a", "y"), ("a", "x")],
                [("a", "x"), ("a", "x"), ("b", "x")],
                [("a", "x"), ("b", "x"), ("a", "y")],
            ] {
                let mut directories = fill(writer, Directories::passing(), &objects);
                assert!(directories.are_broken(), "{objects:?}");
                directories = fill(writer, directories, &[("z", "z")]);
                assert_eq!(directories.finish(writer).unwrap_err().code(), "protect.internal");
            }
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lists_of_one_kind_come_together_and_none_replaces_another() {
        with_writer(|writer| {
            let list = |namespace| {
                let mut list = fill(writer, Directories::passing(), &[(namespace, "x")]);
                list.store(writer).unwrap();
                list
            };
            let mut all = Directories::passing();
            all.absorb(list("a")).unwrap();
            all.absorb(list("b")).unwrap();
            assert_eq!(all.absorb(list("a")).unwrap_err().code(), "protect.internal");
            assert_eq!(all.finish(writer).unwrap().len(), 2);
            let mut cluster = fill(writer, Directories::kept(), &[(CLUSTER_SCOPE, "x")]);
            cluster.absorb(fill(writer, Directories::kept(), &[(CLUSTER_SCOPE, "w")])).unwrap();
            assert!(cluster.keep("x") && cluster.keep("w") && !cluster.keep("y"));
            assert_eq!(cluster.finish(writer).unwrap().len(), 1);
        })
        .await;
    }
}
