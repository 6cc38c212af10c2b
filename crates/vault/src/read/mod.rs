//! Finding and fetching: directories, files, and everything at once.

mod blob;
mod cache;
mod fetch;
mod segment;

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};

pub use fetch::FetchReport;

use self::cache::TreeCache;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind};
use crate::index::{Index, Position};
use crate::repository::{Inner, Repository};
use crate::tree::{Node, NodeKind, Tree};

pub(crate) use blob::{Decoded, decode};

/// How many chunks of a file are fetched ahead of the one being written; each has up to 8 MiB.
const READ_AHEAD: usize = 4;

/// Reads trees and files of a repository. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pub(crate) repository: Arc<Inner>,
    pub(crate) index: Arc<Index>,
    trees: Arc<TreeCache>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({})", self.repository.store.address())
    }
}

impl Repository {
    /// A reader: loads the index.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`]
    pub async fn reader(&self) -> Result<Reader> {
        let index = self.inner.catalogue.refresh(&self.inner).await?;
        Ok(Reader::over(Arc::clone(&self.inner), index))
    }
}

impl Reader {
    /// A reader that goes by this index.
    pub(crate) fn over(repository: Arc<Inner>, index: Arc<Index>) -> Self {
        Self { repository, index, trees: Arc::default() }
    }

    /// One directory.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn tree(&self, id: &BlobId) -> Result<Arc<Tree>> {
        if let Some(tree) = self.trees.get(id) {
            return Ok(tree);
        }
        let json = self.blob(BlobKind::Tree, id).await?;
        let cost = json.len();
        let id = *id;
        let parsed = tokio::task::spawn_blocking(move || parse_tree(&id, &json)).await;
        let tree = Arc::new(parsed.map_err(|error| Error::Internal(error.to_string()))??);
        self.trees.put(id, Arc::clone(&tree), cost);
        Ok(tree)
    }

    /// Many directories at once, in the order asked for. Their packs are read in few large pieces,
    /// so walk a snapshot level by level and ask for a level's directories together. All of them
    /// are in memory at once (about 400 bytes a node): ask for some thousands at a time.
    pub async fn trees(&self, ids: &[BlobId]) -> Vec<Result<Arc<Tree>>> {
        fetch::trees(self, ids).await
    }

    /// One blob, verified.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn blob(&self, kind: BlobKind, id: &BlobId) -> Result<Bytes> {
        blob::fetch(&self.repository, &self.index, kind, id).await
    }

    /// The node at `path` below the directory `root`; `/` separates names. The root itself has no
    /// node, so an empty path finds nothing.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn lookup(&self, root: &BlobId, path: impl AsRef<[u8]>) -> Result<Option<Node>> {
        let mut found: Option<Node> = None;
        for name in path.as_ref().split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            let directory = match &found {
                None => *root,
                Some(node) => match node.subtree {
                    Some(subtree) if node.kind == NodeKind::Dir => subtree,
                    _ => return Ok(None),
                },
            };
            found = self.tree(&directory).await?.get(name).cloned();
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// Writes the content of a file node to `sink`, in order, reading a bounded piece ahead.
    ///
    /// # Errors
    /// [`Error::Path`] if it is no file; [`Error::MissingBlob`], [`Error::Damaged`],
    /// [`Error::Storage`]; [`Error::Io`] from the sink
    pub async fn file(&self, node: &Node, sink: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        if node.kind != NodeKind::File {
            let reason = format!("is no file but a {}", node.kind.as_str());
            return Err(Error::Path { path: node.display_name().into_owned(), reason });
        }
        let ids = futures::stream::iter(node.blobs());
        let mut chunks = ids.map(|id| self.blob(BlobKind::Data, id)).buffered(READ_AHEAD);
        let mut written = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            written += chunk.len() as u64;
            sink.write_all(&chunk).await.map_err(|error| Error::io("writing a file's content", error))?;
        }
        sink.flush().await.map_err(|error| Error::io("writing a file's content", error))?;
        if written != node.size {
            let reason = format!("has {written} bytes of content where its node says {}", node.size);
            return Err(Error::Path { path: node.display_name().into_owned(), reason });
        }
        Ok(())
    }

    /// Plain length of a blob in bytes, without reading it.
    pub fn size_of(&self, kind: BlobKind, id: &BlobId) -> Option<u64> {
        self.index.plain_length(kind, id).map(u64::from)
    }

    /// Where a blob lies. Many blobs are fetched with the fewest reads, a bounded piece at a time,
    /// in the order of their positions.
    pub fn position_of(&self, kind: BlobKind, id: &BlobId) -> Option<Position> {
        self.index.position(kind, id)
    }

    /// Fetches every wanted data blob once, pack by pack, several at a time, verified, in no
    /// particular order. `sink` is called from threads of a pool. A damaged blob is named in the
    /// report and the rest goes on; an error of the sink ends it.
    ///
    /// # Errors
    /// [`Error::Io`] from the sink
    pub async fn fetch_all(
        &self,
        wanted: impl IntoIterator<Item = BlobId>,
        sink: impl Fn(&BlobId, &[u8]) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Result<FetchReport> {
        fetch::all(self, BlobKind::Data, wanted, sink).await
    }
}

fn parse_tree(id: &BlobId, json: &[u8]) -> Result<Tree> {
    Tree::from_json(json).map_err(|error| Error::damaged(format!("tree blob {id}"), error))
}
