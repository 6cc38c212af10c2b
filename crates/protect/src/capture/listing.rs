//! One kind: listed page by page, each page stored on a blocking thread.

use std::sync::Arc;

use futures::StreamExt;
use holdfast_cluster::{ListEvent, ListOptions, RawObject};
use holdfast_model::ResourceType;
use holdfast_model::label::EXCLUDE;
use holdfast_vault::Writer;
use tokio::time::Instant;

use super::findings::{Found, marked};
use super::peek::Peeking;
use super::{Asked, Capture, Namespaces, unreadable};
use crate::error::{Error, Result};
use crate::point::Content;
use crate::progress::Event;

/// Objects per page: large enough that the server's cost of a page is small beside its objects,
/// small enough that a page of the largest usual objects (CRDs, 100 KiB) is a few dozen MiB.
const PAGE: usize = 500;

/// Largest object that is stored as one blob.
const ONE_BLOB: usize = 8 << 20;

impl Capture {
    /// Everything of one kind. What the server refuses is a problem among the findings.
    pub(super) async fn list_kind(&self, of: &ResourceType) -> Result<Found> {
        if !of.namespaced {
            return self.list_or_problem(of, None).await;
        }
        if self.namespaces.wide() {
            match self.list_in(of, None).await {
                // Whoever may not read all namespaces may still read these.
                Err(Error::Cluster(error)) if error.is_forbidden() => {}
                other => return self.or_problem(of, None, other),
            }
        }
        let mut all = Found::new(of);
        for namespace in self.namespaces.names() {
            all.absorb(self.list_or_problem(of, Some(namespace)).await?)?;
        }
        Ok(all)
    }

    async fn list_or_problem(&self, of: &ResourceType, namespace: Option<&str>) -> Result<Found> {
        let listed = self.list_in(of, namespace).await;
        self.or_problem(of, namespace, listed)
    }

    fn or_problem(&self, of: &ResourceType, namespace: Option<&str>, listed: Result<Found>) -> Result<Found> {
        let Err(Error::Cluster(error)) = listed else { return listed };
        let mut found = Found::new(of);
        let problem = unreadable(of, namespace, error)?;
        self.observer.event(Event::Problem(problem.clone()));
        found.problems.push(problem);
        Ok(found)
    }

    async fn list_in(&self, of: &ResourceType, namespace: Option<&str>) -> Result<Found> {
        let found = self.list_into(of, namespace, Found::new).await?;
        if !found.directories.are_broken() {
            return Ok(found);
        }
        // Aggregated API servers may list as they like; whoever reads etcd keeps the order of its keys.
        self.list_into(of, namespace, Found::in_any_order).await
    }

    /// Lists until the end, or until an order that was relied on is not kept.
    async fn list_into(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        nothing: impl Fn(&ResourceType) -> Found,
    ) -> Result<Found> {
        let labels = if of.namespaced { &self.selector.labels } else { &self.selector.cluster_labels };
        let namespace = namespace.map(str::to_owned);
        let options = ListOptions { namespace, labels: labels.clone(), page: PAGE, ..ListOptions::default() };
        let store = self.store(of);
        let (mut asked, mut found) = (Asked(Instant::now()), nothing(of));
        let mut events = std::pin::pin!(self.cluster.list(of, options));
        while let Some(event) = events.next().await {
            match event? {
                ListEvent::Page { items, remaining, .. } => {
                    found = store.clone().on_thread(found, |store, found| store.page(items, found)).await?;
                    self.tell(&found, remaining);
                }
                ListEvent::Restarted => {
                    (asked, found) = (Asked(Instant::now()), nothing(of));
                    self.tell(&found, None);
                }
                ListEvent::Done { resource_version } => {
                    found.listed(asked, &resource_version);
                    found = store.clone().on_thread(found, Store::complete).await?;
                }
            }
            if found.directories.are_broken() {
                break;
            }
        }
        Ok(found)
    }

    fn tell(&self, found: &Found, remaining: Option<u64>) {
        let (done, bytes) = found.counted();
        let total = remaining.map(|remaining| done + remaining);
        self.observer.event(Event::Objects { kind: found.of.plural_group(), done, total, bytes });
    }

    /// Stores objects that are at hand, read one by one.
    pub(super) async fn store_all(&self, of: &ResourceType, objects: Vec<RawObject>) -> Result<Found> {
        let number = |object: &RawObject| object.metadata.resource_version.parse::<u64>().unwrap_or_default();
        let newest = objects.iter().max_by_key(|object| number(object));
        let version = newest.map(|object| object.metadata.resource_version.clone()).unwrap_or_default();
        let mut found = self
            .store(of)
            .on_thread(Found::in_any_order(of), |store, found| store.page(objects, found))
            .await?;
        found.listed(Asked(Instant::now()), &version);
        self.tell(&found, None);
        Ok(found)
    }

    fn store(&self, of: &ResourceType) -> Arc<Store> {
        let peeking = Peeking::of(of);
        let (writer, namespaces) = (self.writer.clone(), self.namespaces.clone());
        Arc::new(Store { namespaced: of.namespaced, peeking, writer, namespaces })
    }
}

/// Stores the objects of one kind.
struct Store {
    namespaced: bool,
    peeking: Peeking,
    writer: Writer,
    namespaces: Arc<Namespaces>,
}

impl Store {
    async fn on_thread(
        self: Arc<Self>,
        mut found: Found,
        work: impl FnOnce(&Self, &mut Found) -> Result<()> + Send + 'static,
    ) -> Result<Found> {
        let done = tokio::task::spawn_blocking(move || work(&self, &mut found).map(|()| found));
        done.await.map_err(Error::joined)?
    }

    fn page(&self, items: Vec<RawObject>, found: &mut Found) -> Result<()> {
        items.into_iter().try_for_each(|object| self.object(&object, found))
    }

    /// Stores the last directory of a list.
    fn complete(&self, found: &mut Found) -> Result<()> {
        // To the cluster-scoped objects others may be added.
        if self.namespaced { found.directories.store(&self.writer) } else { Ok(()) }
    }

    fn object(&self, object: &RawObject, found: &mut Found) -> Result<()> {
        let metadata = &object.metadata;
        // A list of the whole cluster shows other applications' objects as well.
        if self.namespaced
            && !metadata.namespace.as_deref().is_some_and(|name| self.namespaces.contains(name))
        {
            return Ok(());
        }
        if let Some(how) = marked(metadata, EXCLUDE) {
            found.exclude(object, how);
            return Ok(());
        }
        self.peeking.look(object, found);
        let content = self.content(&object.json)?;
        found.push(&self.writer, object, content)
    }

    fn content(&self, json: &[u8]) -> Result<Content> {
        if json.len() <= ONE_BLOB {
            return Ok(Content::One(self.writer.data(json)?));
        }
        let mut file = self.writer.file();
        file.write(json)?;
        Ok(Content::Many(file.finish()?.ids.into_boxed_slice()))
    }
}
