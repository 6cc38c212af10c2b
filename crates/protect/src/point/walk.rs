//! A walk over the directories of a point, in the order of their names.
//!
//! A writer stores objects in the order in which they are listed, which is nearly that of the walk: what follows each
//! other here lies beside each other in the packs.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use holdfast_model::object::RESOURCES;
use holdfast_model::point::POINT_FILE;
use holdfast_model::{Problem, ResourceType};
use holdfast_vault::{BlobId, BlobKind, Error as VaultError, Node, NodeKind, Tree};

use super::entry::{ObjectEntry, type_of};
use super::name::is_part;
use super::open::OpenPoint;

/// How many directories are read at once, and how many bytes of JSON they may have together,
/// unless a single one has more.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 1 << 20;

/// An object, or what is in the place of one.
type Found = Result<ObjectEntry, Problem>;

impl OpenPoint {
    /// All objects, in the order of their paths. What cannot be read, or is not where an object of a
    /// point can be, is named and the rest goes on.
    pub fn objects(&self) -> impl Stream<Item = Result<ObjectEntry, Problem>> + Send + 'static {
        self.objects_of(|_| true)
    }

    /// The same for some of the types: the directories of others are not read. What belongs to no
    /// type of the point is named by every walk.
    pub fn objects_of(
        &self,
        keep: impl Fn(&ResourceType) -> bool + Send + 'static,
    ) -> impl Stream<Item = Result<ObjectEntry, Problem>> + Send + 'static {
        let walk = Walk::new(self.clone(), Box::new(keep));
        stream::unfold(walk, |mut walk| async move {
            let found = walk.step().await?;
            Some((stream::iter(found), walk))
        })
        .flatten()
    }
}

/// A walk over the directories of a point.
struct Walk {
    point: OpenPoint,
    /// Directories to be visited; the last one is the next.
    pending: Vec<Place>,
    keep: Box<dyn Fn(&ResourceType) -> bool + Send>,
}

struct Place {
    path: Vec<String>,
    tree: BlobId,
    /// Its entries, once they were read together with those of the directories before it.
    read: Option<Result<Arc<Tree>, VaultError>>,
}

impl Walk {
    /// A walk over the objects of the types to keep; directories of other types are not read.
    fn new(point: OpenPoint, keep: Box<dyn Fn(&ResourceType) -> bool + Send>) -> Self {
        let root = Place { path: Vec::new(), tree: point.summary.root, read: None };
        Self { point, pending: vec![root], keep }
    }

    /// What lies in the next directory itself; `None` after the last one.
    async fn step(&mut self) -> Option<Vec<Found>> {
        if self.pending.last()?.read.is_none() {
            self.read_ahead().await;
        }
        let Place { path, read, .. } = self.pending.pop()?;
        let mut found = Vec::new();
        match read? {
            Ok(tree) => self.visit(&path, &tree, &mut found),
            Err(error) => {
                let subject = format!("point {}, directory /{}", self.point.point.id, path.join("/"));
                found.push(Err(Problem::new("point.unreadable", subject, error.to_string())
                    .hint("run `holdfast vault check`; use another point or another copy")));
            }
        }
        Some(found)
    }

    /// Reads the next directory and some that come after it.
    async fn read_ahead(&mut self) {
        let first = self.pending.len() - self.batch_length();
        let ids: Vec<BlobId> = self.pending[first..].iter().map(|place| place.tree).collect();
        let trees = self.point.reader.trees(&ids).await;
        for (place, tree) in self.pending[first..].iter_mut().zip(trees) {
            place.read = Some(tree);
        }
    }

    /// How many of the pending directories are read next: at least one.
    fn batch_length(&self) -> usize {
        let mut room = BATCH_BYTES;
        let fits = |place: &&Place| {
            let size = self.point.reader.size_of(BlobKind::Tree, &place.tree).unwrap_or(0);
            room.checked_sub(size).map(|left| room = left).is_some()
        };
        let next = self.pending.iter().rev().take(BATCH).take_while(|place| place.read.is_none());
        next.take_while(fits).count().max(1)
    }

    fn visit(&mut self, path: &[String], tree: &Tree, found: &mut Vec<Found>) {
        let below = self.pending.len();
        for node in &tree.nodes {
            match (node.kind, node.subtree) {
                (NodeKind::Dir, Some(tree)) if may_descend(path, node) => {
                    let name = node.display_name().into_owned();
                    let path: Vec<String> = path.iter().cloned().chain([name]).collect();
                    if self.is_kept(&path) {
                        self.pending.push(Place { path, tree, read: None });
                    }
                }
                (NodeKind::File, _) if path.is_empty() && node.name == POINT_FILE.as_bytes() => {}
                _ => found.push(ObjectEntry::of_node(&self.point.point, path, node)),
            }
        }
        self.pending[below..].reverse();
    }

    /// Whether a directory is walked into: decided where its path names a type.
    fn is_kept(&self, path: &[String]) -> bool {
        let [_, group, version, plural] = path else { return true };
        type_of(&self.point.point, group, version, plural).is_none_or(|of| (self.keep)(of))
    }
}

/// `resources/<group>/<version>/<plural>/<namespace>` and below that one level of parts.
fn may_descend(path: &[String], node: &Node) -> bool {
    match path.len() {
        0 => node.name == RESOURCES.as_bytes(),
        1..=4 => true,
        5 => is_part(&node.display_name()),
        _ => false,
    }
}
