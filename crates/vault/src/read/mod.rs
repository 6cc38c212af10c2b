//! Finding and fetching.
use std::sync::Arc;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind};
use crate::repository::Inner;
use crate::tree::{Node, Tree};

/// Reads trees and files of a repository. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    _inner: Arc<Inner>,
}

/// What [`Reader::fetch_all`] did.
#[derive(Debug, Default)]
pub struct FetchReport {
    /// Blobs handed to the sink.
    pub blobs: u64,
    /// Their plain bytes.
    pub bytes: u64,
    /// Blobs that could not be had, each with the reason; the sink never saw them.
    pub failed: Vec<(BlobId, Error)>,
}

impl Reader {
    pub(crate) async fn start(inner: Arc<Inner>) -> Result<Self> {
        Ok(Self { _inner: inner })
    }
    /// One directory.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn tree(&self, _id: &BlobId) -> Result<Arc<Tree>> {
        Err(Error::Internal("under construction".into()))
    }
    /// Many directories at once, in the order asked for: packs are read in few large pieces.
    pub async fn trees(&self, _ids: &[BlobId]) -> Vec<Result<Arc<Tree>>> {
        Vec::new()
    }
    /// One blob, verified.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn blob(&self, _kind: BlobKind, _id: &BlobId) -> Result<Bytes> {
        Err(Error::Internal("under construction".into()))
    }
    /// The node at `path` below the root `root`; `/` separates names, and the root itself has no node.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn lookup(&self, _root: &BlobId, _path: impl AsRef<[u8]>) -> Result<Option<Node>> {
        Err(Error::Internal("under construction".into()))
    }
    /// Writes the content of a file node to `sink`, in order, reading a bounded piece ahead.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::Damaged`], [`Error::Storage`], [`Error::Io`] from the sink
    pub async fn file(&self, _node: &Node, _sink: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        Err(Error::Internal("under construction".into()))
    }
    /// Plain length of a blob in bytes, without reading it.
    pub fn size_of(&self, _kind: BlobKind, _id: &BlobId) -> Option<u64> {
        None
    }
    /// Fetches every wanted data blob once, pack by pack, several at a time, verified, in no particular order.
    /// `sink` is called from threads of a pool. A damaged blob is named in the report and the rest goes on;
    /// an error of the sink ends it.
    ///
    /// # Errors
    /// [`Error::Io`] from the sink
    pub async fn fetch_all(
        &self,
        _wanted: impl IntoIterator<Item = BlobId>,
        _sink: impl Fn(&BlobId, &[u8]) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Result<FetchReport> {
        Err(Error::Internal("under construction".into()))
    }
}
