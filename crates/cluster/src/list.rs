//! Lists of any size, page by page, from one consistent state of the cluster.
//!
//! While a page is being handled the next one is already asked for, and never more than that one.
//! A continue token expires with the state it belongs to (five minutes by default). The server
//! then offers a token that goes on in a newer state, which would skip what was created before
//! it; instead the list starts anew and says so.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use holdfast_model::ResourceType;
use tokio_util::task::AbortOnDropHandle;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::object::{Page, RawObject};
use crate::path::{self, Query};
use crate::retry::Failure;
use crate::transport::Outgoing;

/// What to list.
#[derive(Debug, Clone)]
pub struct ListOptions {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Label selector, as kubectl writes it.
    pub labels: Option<String>,
    /// Field selector, as kubectl writes it.
    pub fields: Option<String>,
    /// Objects per page.
    pub page: usize,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self { namespace: None, labels: None, fields: None, page: 500 }
    }
}

impl ListOptions {
    /// All objects in one namespace.
    pub fn in_namespace(namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::default() }
    }
}

/// One piece of a list.
#[derive(Debug)]
pub enum ListEvent {
    /// Some of the objects.
    Page {
        /// The objects, in the server's order.
        items: Vec<RawObject>,
        /// The state of the cluster they are from.
        resource_version: String,
        /// How many are still to come; `None` if the server does not say, as with selectors.
        remaining: Option<u64>,
    },
    /// The state that was being listed is gone: drop all that came before, the list begins anew.
    Restarted,
    /// The list is complete.
    Done {
        /// The state of the cluster that was listed.
        resource_version: String,
    },
}

/// Restarts before the list is asked for in one piece, which cannot expire.
const RESTARTS: u32 = 3;

impl Cluster {
    /// Lists objects of a resource. The stream ends after `Done` or the first error.
    pub fn list(
        &self,
        of: &ResourceType,
        options: ListOptions,
    ) -> impl Stream<Item = Result<ListEvent>> + Send + 'static {
        let listing = Listing { cluster: self.clone(), of: of.clone(), options, restarts: 0 };
        let first = Stage::Fetching { page: listing.fetch(None), resumed: false };
        stream::unfold((listing, first), |(mut listing, stage)| async move {
            let (event, stage) = listing.step(stage).await?;
            Some((event, (listing, stage)))
        })
    }

    /// All objects of a list at once, for lists that are known to be short.
    pub async fn list_all(&self, of: &ResourceType, options: ListOptions) -> Result<Vec<RawObject>> {
        let mut all = Vec::new();
        let mut events = std::pin::pin!(self.list(of, options));
        while let Some(event) = events.next().await {
            match event? {
                ListEvent::Page { items, .. } => all.extend(items),
                ListEvent::Restarted => all.clear(),
                ListEvent::Done { .. } => {}
            }
        }
        Ok(all)
    }
}

/// A list under way.
struct Listing {
    cluster: Cluster,
    of: ResourceType,
    options: ListOptions,
    restarts: u32,
}

/// What the stream does when it is asked for its next event.
enum Stage {
    /// A page is on its way; `resumed` if it continues one before.
    Fetching { page: AbortOnDropHandle<Result<Page>>, resumed: bool },
    /// The last page has been handed over.
    Complete { resource_version: String },
    /// Nothing more.
    Ended,
}

impl Listing {
    async fn step(&mut self, stage: Stage) -> Option<(Result<ListEvent>, Stage)> {
        let (page, resumed) = match stage {
            Stage::Fetching { page, resumed } => (page, resumed),
            Stage::Complete { resource_version } => {
                return Some((Ok(ListEvent::Done { resource_version }), Stage::Ended));
            }
            Stage::Ended => return None,
        };
        let fetched = match page.await {
            Ok(fetched) => fetched,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only a runtime that is shutting down cancels it; an end without `Done` would be a lie.
            Err(_) => Err(self.cut_off()),
        };
        Some(match fetched {
            Ok(page) => self.hand_over(page),
            Err(error) if resumed && error.is_expired() => {
                self.restarts += 1;
                (Ok(ListEvent::Restarted), Stage::Fetching { page: self.fetch(None), resumed: false })
            }
            Err(error) => (Err(error), Stage::Ended),
        })
    }

    fn hand_over(&self, page: Page) -> (Result<ListEvent>, Stage) {
        let Page { items, resource_version, next, remaining } = page;
        let stage = match next {
            Some(token) => Stage::Fetching { page: self.fetch(Some(token)), resumed: true },
            None => Stage::Complete { resource_version: resource_version.clone() },
        };
        (Ok(ListEvent::Page { items, resource_version, remaining }), stage)
    }

    /// Asks for a page on a task of its own, so that it is under way while the last is handled.
    fn fetch(&self, token: Option<String>) -> AbortOnDropHandle<Result<Page>> {
        let options = &self.options;
        let mut query = Query::of(path::collection(&self.of, options.namespace.as_deref()))
            .add_some("labelSelector", options.labels.as_deref())
            .add_some("fieldSelector", options.fields.as_deref())
            .add_some("continue", token.as_deref());
        if let Some(limit) = self.limit() {
            query = query.add("limit", &limit.to_string());
        }
        let call = Call::resource("list", &self.of, options.namespace.as_deref(), None);
        let (cluster, of) = (self.cluster.clone(), self.of.clone());
        let uri = query.finish();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let body = cluster.send(&Outgoing::get(call.clone(), uri)).await.result?;
            parse(&cluster, &of, &call, &body)
        }))
    }

    fn cut_off(&self) -> Error {
        let call = Call::resource("list", &self.of, self.options.namespace.as_deref(), None);
        self.cluster.error(&call, Failure::Lost { reason: "the program is shutting down".to_owned() })
    }

    /// Larger pages after each restart, as small ones took too long; in the end all at once.
    fn limit(&self) -> Option<usize> {
        (self.restarts < RESTARTS).then(|| self.options.page.max(1) << (2 * self.restarts))
    }
}

fn parse(cluster: &Cluster, of: &ResourceType, call: &Call, body: &Bytes) -> Result<Page, Error> {
    Page::parse(of, body).map_err(|error| cluster.malformed(call, error.to_string()))
}
