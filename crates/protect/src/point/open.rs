//! One point opened: its `point.json`, its objects without their bytes, and any of them with.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use holdfast_model::object::{CLUSTER_SCOPE, CORE_GROUP, RESOURCES};
use holdfast_model::point::{POINT_FILE, POINT_FORMAT, Point};
use holdfast_model::{ObjectRef, Problem, ResourceType};
use holdfast_vault::{BlobId, BlobKind, Node, NodeKind, Reader, Repository};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::point::PointSummary;

/// A point whose `point.json` claims to be longer than this is not read.
const LONGEST_POINT: u64 = 64 << 20;
/// An object longer than this is not read into memory.
const LONGEST_OBJECT: u64 = 64 << 20;
/// How many directories are fetched at once, and how many bytes of JSON they may have together,
/// unless a single one has more.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 1 << 20;

/// A recovery point that can be read. Cheap to clone but for the point itself.
#[derive(Clone)]
pub struct OpenPoint {
    /// What the point says of itself.
    pub point: Point,
    /// What its snapshot says of it.
    pub summary: PointSummary,
    /// Reads its blobs.
    pub reader: Reader,
}

/// One object of a point: where it lies, not what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its type.
    pub resource: ResourceType,
    /// Its namespace, unless it is cluster-scoped.
    pub namespace: Option<String>,
    /// Its name; `None` if the file's name is a shortened one, then only the object knows it.
    pub name: Option<String>,
    /// Path of its file below the root of the point.
    pub path: String,
    /// The blobs of its JSON, in order.
    pub content: Vec<BlobId>,
    /// Length of its JSON in bytes, as the directory says.
    pub size: u64,
}

impl ObjectEntry {
    /// The object whose file lies at `path`, which ends in `<name>.json`.
    pub(crate) fn at(
        path: String,
        resource: ResourceType,
        namespace: Option<String>,
        content: Vec<BlobId>,
        size: u64,
    ) -> Self {
        let file = path.rsplit('/').next().unwrap_or_default();
        let name = file.strip_suffix(".json").filter(|name| !name.contains('~')).map(str::to_owned);
        Self { resource, namespace, name, path, content, size }
    }

    /// The object by name, if its file tells the name.
    pub fn object_ref(&self) -> Option<ObjectRef> {
        let name = self.name.clone()?;
        Some(ObjectRef { resource: self.resource.clone(), namespace: self.namespace.clone(), name })
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Opens a point.
///
/// # Errors
/// [`Error::DamagedPoint`], [`Error::NewerPoint`], [`Error::Vault`]
pub async fn open(repository: &Repository, summary: &PointSummary) -> Result<OpenPoint> {
    open_with(repository.reader().await?, summary).await
}

/// The same with a reader at hand: opening several points loads the index once.
///
/// # Errors
/// As [`open`].
pub async fn open_with(reader: Reader, summary: &PointSummary) -> Result<OpenPoint> {
    let damaged = |reason: String| Error::DamagedPoint { id: summary.id.clone(), reason };
    let node = reader.lookup(&summary.root, POINT_FILE).await?;
    let node = node.ok_or_else(|| damaged(format!("it has no {POINT_FILE}")))?;
    let json = read_blobs(&reader, node.blobs(), LONGEST_POINT)
        .await
        .map_err(|error| damaged(format!("{POINT_FILE}: {error}")))?;
    let format: Format =
        serde_json::from_slice(&json).map_err(|error| damaged(format!("{POINT_FILE}: {error}")))?;
    if format.format > POINT_FORMAT {
        let (found, supported) = (format.format, POINT_FORMAT);
        return Err(Error::NewerPoint { id: summary.id.clone(), found, supported });
    }
    let point: Point =
        serde_json::from_slice(&json).map_err(|error| damaged(format!("{POINT_FILE}: {error}")))?;
    if point.id != summary.id {
        return Err(damaged(format!("its {POINT_FILE} is that of {}", point.id)));
    }
    Ok(OpenPoint { point, summary: summary.clone(), reader })
}

impl OpenPoint {
    /// All objects, directory by directory. What cannot be read, or is not where an object of a
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
        let pending = vec![Place { path: Vec::new(), tree: self.summary.root }];
        let walk = Walk { point: self.clone(), pending, keep: Box::new(keep) };
        stream::unfold(walk, |mut walk| async move {
            let found = walk.step().await?;
            Some((stream::iter(found), walk))
        })
        .flatten()
    }

    /// The JSON of an object as it was captured.
    ///
    /// # Errors
    /// [`Error::Vault`]; [`Error::DamagedPoint`] if it is absurdly long.
    pub async fn read(&self, entry: &ObjectEntry) -> Result<Bytes> {
        read_blobs(&self.reader, &entry.content, LONGEST_OBJECT).await.map_err(|error| Error::DamagedPoint {
            id: self.point.id.clone(),
            reason: format!("{}: {error}", entry.path),
        })
    }

    /// The object at this path below the root, e.g. `resources/core/v1/secrets/shop/db.json`.
    ///
    /// # Errors
    /// [`Error::Vault`]
    pub async fn find(&self, path: &str) -> Result<Option<ObjectEntry>> {
        let Some(node) = self.reader.lookup(&self.summary.root, path).await? else { return Ok(None) };
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        let Some((_, directory)) = parts.split_last() else { return Ok(None) };
        Ok(entry_of(&self.point, directory, &node).ok())
    }
}

async fn read_blobs(reader: &Reader, ids: &[BlobId], limit: u64) -> Result<Bytes, String> {
    let known = |id| reader.size_of(BlobKind::Data, id).ok_or_else(|| format!("blob {id} is in no index"));
    let size = ids.iter().try_fold(0u64, |sum, id| Ok::<_, String>(sum.saturating_add(known(id)?)))?;
    if size > limit {
        return Err(format!("it is {size} bytes long, more than the {limit} that make sense"));
    }
    if let [id] = ids {
        return reader.blob(BlobKind::Data, id).await.map_err(|error| error.to_string());
    }
    let mut all = BytesMut::new();
    for id in ids {
        all.extend_from_slice(&reader.blob(BlobKind::Data, id).await.map_err(|error| error.to_string())?);
    }
    Ok(all.freeze())
}

/// A walk over the directories of a point.
struct Walk {
    point: OpenPoint,
    pending: Vec<Place>,
    keep: Box<dyn Fn(&ResourceType) -> bool + Send>,
}

struct Place {
    path: Vec<String>,
    tree: BlobId,
}

impl Walk {
    /// Reads some directories; `None` when there are no more.
    async fn step(&mut self) -> Option<Vec<Result<ObjectEntry, Problem>>> {
        if self.pending.is_empty() {
            return None;
        }
        let batch = self.pending.split_off(self.pending.len() - self.batch_length());
        let ids: Vec<BlobId> = batch.iter().map(|place| place.tree).collect();
        let trees = self.point.reader.trees(&ids).await;
        let mut found = Vec::new();
        for (place, tree) in batch.into_iter().zip(trees) {
            match tree {
                Ok(tree) => tree.nodes.iter().for_each(|node| self.visit(&place, node, &mut found)),
                Err(error) => {
                    let subject =
                        format!("point {}, directory /{}", self.point.point.id, place.path.join("/"));
                    found.push(Err(Problem::new("point.unreadable", subject, error.to_string())
                        .hint("run `holdfast vault check`; use another point or another copy")));
                }
            }
        }
        Some(found)
    }

    /// How many of the pending directories are read next: at least one.
    fn batch_length(&self) -> usize {
        let mut room = BATCH_BYTES;
        let fits = |place: &&Place| {
            let size = self.point.reader.size_of(BlobKind::Tree, &place.tree).unwrap_or(0);
            room.checked_sub(size).map(|left| room = left).is_some()
        };
        self.pending.iter().rev().take(BATCH).take_while(fits).count().max(1)
    }

    fn visit(&mut self, place: &Place, node: &Node, found: &mut Vec<Result<ObjectEntry, Problem>>) {
        let at_root = place.path.is_empty();
        match (node.kind, node.subtree) {
            (NodeKind::Dir, Some(tree)) if may_descend(&place.path, node) => {
                let mut path = place.path.clone();
                path.push(node.display_name().into_owned());
                if self.is_kept(&path) {
                    self.pending.push(Place { path, tree });
                }
            }
            (NodeKind::File, _) if at_root && node.name == POINT_FILE.as_bytes() => {}
            _ => found.push(entry_of(&self.point.point, &place.path, node)),
        }
    }
}

impl Walk {
    /// Whether a directory is walked into: decided where its path names a type.
    fn is_kept(&self, path: &[String]) -> bool {
        let [_, group, version, plural] = path else { return true };
        type_of(&self.point.point, group, version, plural).is_none_or(|of| (self.keep)(of))
    }
}

/// `resources/<group>/<version>/<plural>/<namespace>` and below that one level of two digits.
fn may_descend(path: &[String], node: &Node) -> bool {
    match path.len() {
        0 => node.name == RESOURCES.as_bytes(),
        1..=4 => true,
        5 => node.name.len() == 2,
        _ => false,
    }
}

fn entry_of(point: &Point, directory: &[String], node: &Node) -> Result<ObjectEntry, Problem> {
    let file = node.display_name().into_owned();
    let path = directory.iter().chain([&file]).map(String::as_str).collect::<Vec<_>>().join("/");
    let problem =
        |message: &str| Problem::new("point.foreign_file", format!("point {}, /{path}", point.id), message);
    let ([_, group, version, plural, namespace] | [_, group, version, plural, namespace, _]) = directory
    else {
        return Err(problem("no object of a point lies here"));
    };
    if !file.ends_with(".json") || node.kind != NodeKind::File {
        return Err(problem("this is not the file of an object"));
    }
    let Some(resource) = type_of(point, group, version, plural) else {
        return Err(problem("point.json does not know this type of object"));
    };
    let namespace = (namespace != CLUSTER_SCOPE).then(|| namespace.clone());
    if resource.namespaced != namespace.is_some() {
        return Err(problem("the type of object and the directory disagree about a namespace"));
    }
    Ok(ObjectEntry::at(path, resource.clone(), namespace, node.blobs().to_vec(), node.size))
}

/// The type whose objects lie below `resources/<group>/<version>/<plural>`.
fn type_of<'a>(point: &'a Point, group: &str, version: &str, plural: &str) -> Option<&'a ResourceType> {
    let group = if group == CORE_GROUP { "" } else { group };
    let mut types = point.kinds.iter().map(|kind| &kind.resource);
    types.find(|of| of.group == group && of.version == version && of.plural == plural)
}
