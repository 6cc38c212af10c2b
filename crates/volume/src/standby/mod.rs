//! Volumes that stand by: claims of ours at another site that follow the points of an application, so
//! that taking over hands them on instead of filling new ones.
//!
//! A standing claim holds one whole snapshot, or is being brought from one to the next. Before it is
//! touched a snapshot of it is kept by its storage, or, where the storage takes none, another claim is
//! brought forward instead: so there is always a whole one, and it goes only when every volume of the
//! application holds the next. What each holds is written on the claims ([`Standing`]) and nowhere
//! else; a killed sync goes on from there.

mod forward;
mod promote;
mod record;
mod saved;
mod standing;

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use holdfast_cluster::Cluster;
use holdfast_model::{AppId, PointId, RunId};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use promote::{end, promote, whole};
pub use standing::{Holds, Standing, standing};

use crate::error::{Error, Result};
use crate::handover::{ClaimRestore, FillProgress, RestoreContext};
use crate::jobs::Filled;
use crate::settings::{MoverSettings, RepositoryAccess};
use crate::snapshots::SnapshotClasses;
use crate::system;

/// What all volumes of one sync share.
#[derive(Clone)]
pub struct Leg {
    /// The run they belong to.
    pub run: RunId,
    /// The application.
    pub application: AppId,
    /// The point that the volumes are brought to.
    pub point: PointId,
    /// When its capture started: what was written later is not in it.
    pub started: Timestamp,
    /// The repository as a mover reaches it.
    pub access: RepositoryAccess,
    /// The time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Told how far the movers are.
    pub progress: Arc<dyn Fn(FillProgress) + Send + Sync>,
}

impl Leg {
    fn context(&self) -> RestoreContext {
        RestoreContext {
            run: self.run.clone(),
            access: self.access.clone(),
            restored_from: self.point.to_string(),
            verify: false,
            progress: Arc::clone(&self.progress),
        }
    }
}

/// What a sync did to one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Synced {
    /// It held the snapshot already.
    Same,
    /// It holds it now.
    Forward {
        /// What its mover did.
        filled: Filled,
        /// By what it differed from what was there: the snapshot it held whole; `None` if it was new or
        /// half way between two.
        base: Option<String>,
    },
}

/// Brings the standing claims of an application to a point, several at once. When all of them hold
/// it, what was kept of the points before is removed. The results are in the order of the claims.
pub async fn sync(
    cluster: &Cluster,
    settings: &MoverSettings,
    leg: &Leg,
    claims: Vec<ClaimRestore>,
    cancel: &CancellationToken,
) -> Vec<Result<Synced>> {
    let prepared = async {
        system::ensure(cluster, &leg.access).await?;
        SnapshotClasses::read(cluster).await
    };
    let classes = match prepared.await {
        Ok(classes) => classes,
        Err(error) => {
            let reason = error.to_string();
            return claims.iter().map(|claim| Err(forward::failed(claim, &reason))).collect();
        }
    };
    let work: Vec<BoxFuture<'_, Result<Synced>>> =
        claims.iter().map(|claim| one(cluster, settings, leg, &classes, claim, cancel)).collect();
    let done: Vec<Result<Synced>> =
        futures::stream::iter(work).buffered(settings.concurrency.max(1)).collect().await;
    if done.iter().all(Result::is_ok)
        && let Err(error) = saved::forget_before(cluster, leg, &claims).await
    {
        tracing::warn!(%error, "what was kept of earlier points is removed by the next sync");
    }
    done
}

fn one<'a>(
    cluster: &'a Cluster,
    settings: &'a MoverSettings,
    leg: &'a Leg,
    classes: &'a SnapshotClasses,
    claim: &'a ClaimRestore,
    cancel: &'a CancellationToken,
) -> BoxFuture<'a, Result<Synced>> {
    Box::pin(async move {
        tokio::select! {
            done = forward::bring(cluster, settings, leg, classes, claim) => done,
            () = cancel.cancelled() => {
                forward::abandon(cluster, leg, claim).await;
                Err(Error::Stopped)
            }
        }
    })
}
