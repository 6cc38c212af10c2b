//! Holds the application for as long as a restore of it takes.

use std::time::Duration;

use holdfast_cluster::Cluster;
use holdfast_model::id::{AppId, RunId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Result;
use crate::exclusion::Held;
use crate::progress::Observer;

/// Who holds which application, and how it comes to be held.
pub(super) struct Hold<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) application: &'a AppId,
    pub(super) run: &'a RunId,
    pub(super) wait: Option<Duration>,
    pub(super) dead: &'a [RunId],
    pub(super) observer: &'a std::sync::Arc<dyn Observer>,
    pub(super) cancel: &'a CancellationToken,
}

impl Hold<'_> {
    /// Does `work` while the application is held. The token it is given is cancelled when the caller
    /// cancels, or when another run has taken the application.
    pub(super) async fn during<T>(self, work: impl AsyncFnOnce(CancellationToken) -> Result<T>) -> Result<T> {
        let Hold { cluster, application, run, wait, dead, observer, cancel } = self;
        // On the heap, here and below: these are large state machines, and callers have small stacks.
        let held = Box::pin(Held::take(cluster, application, run, wait, dead, observer, cancel)).await?;
        let stop = cancel.child_token();
        let relay = {
            let (lost, stop) = (held.lost().clone(), stop.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                lost.cancelled().await;
                stop.cancel();
            }))
        };
        let outcome = Box::pin(work(stop)).await;
        drop(relay);
        let released = held.release().await;
        let done = outcome?;
        released?;
        Ok(done)
    }
}
