//! Objects of an application, from the API server's lists straight into a repository.
//!
//! Every kind is listed side by side with the others; each page goes to a blocking thread that
//! stores one blob per object, byte for byte as the server sent it, and directories as they become
//! full, so that nothing of an object stays in memory. While the pages pass, they are peeked at for
//! what they need of the cluster: CRDs, PersistentVolumes, roles and classes, which are taken too.

mod claims;
mod directories;
mod fields;
mod findings;
mod folder;
mod kinds;
mod listing;
mod namespaces;
mod peek;
mod peeked;
mod related;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use holdfast_cluster::{Cluster, Discovery};
use holdfast_model::point::{Exclusion, KindCapture};
use holdfast_model::scope::Selector;
use holdfast_model::{Problem, ResourceType};
use holdfast_vault::{BlobId, Writer};
use tokio::time::Instant;

pub use claims::{Claim, Claims, claims};
pub(crate) use findings::marked;
pub(crate) use kinds::{selected, stale};
pub use namespaces::Namespaces;

use crate::error::{Error, Result};
use crate::progress::{Observer, millis};
use findings::{Findings, Found};
use folder::Folder;

/// Kinds listed at once. The cluster bounds its requests itself; this bounds the pages in memory.
const KINDS_AT_ONCE: usize = 8;

/// What to capture, and where to.
pub struct Capture {
    /// The cluster it is in.
    pub cluster: Cluster,
    /// What is served there.
    pub discovery: Arc<Discovery>,
    /// What is selected.
    pub selector: Arc<Selector>,
    /// The selected namespaces.
    pub namespaces: Arc<Namespaces>,
    /// Stores the objects.
    pub writer: Writer,
    /// Is told how far it is.
    pub observer: Arc<dyn Observer>,
}

/// The objects of a point, stored.
#[derive(Debug)]
pub struct Captured {
    /// The tree of the directory `resources`.
    pub resources: BlobId,
    /// What was captured, by type.
    pub kinds: Vec<KindCapture>,
    /// Milliseconds between the first and the last list.
    pub list_spread_millis: u64,
    /// Claims that were captured as objects, as `(namespace, name)`.
    pub claims: Vec<(String, String)>,
    /// Images of the pods: reference as written → digest that ran.
    pub images: BTreeMap<String, String>,
    /// What could not be captured.
    pub problems: Vec<Problem>,
    /// What was left out on purpose.
    pub excluded: Vec<Exclusion>,
}

impl Capture {
    /// Captures everything.
    ///
    /// # Errors
    /// The vault, a cluster that cannot be reached or a credential that is not accepted. What the
    /// server refuses for one kind is a problem in the result.
    pub async fn run(&self) -> Result<Captured> {
        let mut all = Findings::default();
        all.problems.extend(self.namespaces.problems.iter().cloned());
        all.excluded.extend(self.namespaces.excluded.iter().cloned());
        all.problems.extend(kinds::stale(&self.discovery));
        self.store_namespaces(&mut all).await?;
        self.list_kinds(&mut all).await?;
        if self.selector.related {
            self.take_related(&mut all).await?;
        }
        all.problems.extend(self.namespaces.recheck(&self.cluster).await?);
        self.finish(all).await
    }

    /// The namespaces themselves, as they were read when they were selected.
    async fn store_namespaces(&self, all: &mut Findings) -> Result<()> {
        if !self.namespaces.is_empty() {
            let of = holdfast_cluster::kinds::namespaces();
            all.add(self.store_all(&of, self.namespaces.chosen.clone()).await?)?;
        }
        Ok(())
    }

    async fn list_kinds(&self, all: &mut Findings) -> Result<()> {
        let kinds = kinds::selected(&self.discovery, &self.selector, !self.namespaces.is_empty());
        let mut results: BoxStream<'_, Result<Found>> = stream::iter(kinds)
            .map(|of| async move { self.list_kind(&of).await })
            .buffer_unordered(KINDS_AT_ONCE)
            .boxed();
        while let Some(found) = results.next().await {
            all.add(found?)?;
        }
        Ok(())
    }

    async fn finish(&self, mut all: Findings) -> Result<Captured> {
        let writer = self.writer.clone();
        let (kinds, list_spread_millis) = (all.kind_captures(), all.spread());
        let peeked = std::mem::take(&mut all.peeked);
        let (mut problems, mut excluded) =
            (std::mem::take(&mut all.problems), std::mem::take(&mut all.excluded));
        excluded.extend(peeked.pod_volumes());
        problems.sort();
        problems.dedup();
        let stored = tokio::task::spawn_blocking(move || {
            let mut folder = Folder::default();
            for (of, directories) in all.into_trees(&writer)? {
                for (namespace, objects) in directories {
                    folder.place(&of, namespace, objects);
                }
            }
            folder.write(&writer)
        });
        let resources = stored.await.map_err(Error::joined)??;
        let claims = peeked.claims.into_iter().collect();
        Ok(Captured {
            resources,
            kinds,
            list_spread_millis,
            claims,
            images: peeked.images,
            problems,
            excluded,
        })
    }
}

/// When the first page of a list was asked for: the state that it shows is not older.
#[derive(Debug, Clone, Copy)]
struct Asked(Instant);

impl Asked {
    fn spread(all: impl Iterator<Item = Asked> + Clone) -> u64 {
        let first = all.clone().map(|asked| asked.0).min();
        let last = all.map(|asked| asked.0).max();
        first.zip(last).map_or(0, |(first, last)| millis(last - first))
    }
}

/// Whether an error is about the object or kind alone, so that the rest can be captured; otherwise
/// the cluster cannot be reached, or does not know us, and nothing can.
pub(crate) fn is_local(error: &holdfast_cluster::Error) -> bool {
    use holdfast_cluster::{Error as Cause, Reason};
    match error {
        Cause::Refused(refusal) => refusal.reason != Reason::Unauthorized,
        Cause::Malformed { .. } => true,
        _ => false,
    }
}

/// The problem of a kind (in one namespace or all) that could not be listed; other errors go on.
fn unreadable(of: &ResourceType, namespace: Option<&str>, error: holdfast_cluster::Error) -> Result<Problem> {
    if !is_local(&error) {
        return Err(error.into());
    }
    let subject = match namespace {
        Some(namespace) => format!("all {of} in namespace {namespace}"),
        None => format!("all {of}"),
    };
    Ok(Problem::new("object.unreadable", subject, error.to_string()))
}
