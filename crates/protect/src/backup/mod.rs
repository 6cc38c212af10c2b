//! One backup: hold the application, capture objects and volumes side by side, release it, and
//! only then create the snapshot that makes it a point.
//!
//! ```text
//!  lease → settle dead runs → look around → movers wait → pre hooks → hold sessions
//!        → ┌ objects ───────────────────────────────────────────┐
//!          └ volumes → before late → late paths → end of hold → post hooks ┘
//!        → point.json → release of the lease
//! ```
//!
//! Whatever ends it on the way, the application is released: in order by this code, after a kill
//! by the next command from the record in the cluster.

mod chosen;
mod compose;
mod consistency;
mod facts;
mod reading;
mod release;
mod run;
mod stop;
mod survey;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::Cluster;
use holdfast_model::Consistency;
use holdfast_model::Outcome;
use holdfast_model::id::{AppId, Epoch, PointId, RunId, TenantId};
use holdfast_model::manifest::ApplicationSpec;
use holdfast_model::point::Point;
use holdfast_model::scope::Selector;
use holdfast_vault::Repository;
use holdfast_volume::{MoverSettings, RepositoryAccess};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::exclusion::Held;
use crate::progress::{Clock, Entry, Journal, Observer};

/// An application as the catalogue knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// Its identity.
    pub id: AppId,
    /// Its name.
    pub name: String,
    /// What it consists of.
    pub spec: ApplicationSpec,
}

/// What movers are made with, and how they reach the repository.
#[derive(Debug, Clone)]
pub struct Movers {
    /// How their pods are made.
    pub settings: MoverSettings,
    /// The application's repository, as seen from the cluster.
    pub access: RepositoryAccess,
}

/// A backup to be made.
#[derive(Clone)]
pub struct BackupRequest {
    /// The cluster the application runs in.
    pub cluster: Cluster,
    /// The application's repository.
    pub repository: Repository,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The application.
    pub application: Application,
    /// How volumes are captured; without, every volume that should be is named as a problem.
    pub movers: Option<Movers>,
    /// This run.
    pub run: RunId,
    /// The point it shall make.
    pub point: PointId,
    /// The activation of the application it belongs to.
    pub epoch: Epoch,
    /// The point that is about to be restored over the application. Only objects are captured then, and the
    /// point does not become the latest.
    pub before: Option<PointId>,
    /// How many snapshots of each volume stay with the storage, for restores to the same cluster.
    pub keep_snapshots: usize,
    /// The least consistency that is accepted.
    pub floor: Option<Consistency>,
    /// How long to wait for another run on the application; without, it is refused at once.
    pub wait: Option<Duration>,
    /// Runs that are known to have died: they are not waited for.
    pub dead: Vec<RunId>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is written what must survive this process.
    pub journal: Arc<dyn Journal>,
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Ends the backup early, in order.
    pub cancel: CancellationToken,
}

/// Makes a backup. The point is in the repository when this returns it; its outcome is Completed
/// or Partial.
///
/// # Errors
/// Any: then there is no point, and the application has been released as far as it could be
/// reached.
pub async fn backup(request: BackupRequest) -> Result<Point> {
    let BackupRequest { cluster, application, run, journal, .. } = &request;
    let scope = &application.spec.scope;
    let selector = Selector::new(scope)
        .map_err(|source| Error::Scope { application: application.name.clone(), source })?;
    // On the heap, here and below: these are large state machines, and callers have small stacks.
    let mut held = Box::pin(Held::take(
        cluster,
        &application.id,
        run,
        request.wait,
        &request.dead,
        &request.observer,
        &request.cancel,
    ))
    .await?;
    let result = match record(journal, started(&request)) {
        Ok(()) => Box::pin(run::Run::new(&request, Arc::new(selector)).make(&mut held)).await,
        Err(error) => Err(error),
    };
    let given_back = held.release().await;
    let outcome = result.as_ref().map_or(Outcome::Failed, |point| point.outcome);
    record(journal, Entry::Ended { outcome })?;
    match (result, given_back) {
        // The point stands whatever became of the lease, which expires by itself.
        (Ok(point), _) => Ok(point),
        (Err(error), _) => Err(error),
    }
}

fn started(request: &BackupRequest) -> Entry {
    Entry::Started {
        run: request.run.clone(),
        application: request.application.id.clone(),
        cluster: request.cluster.name().to_owned(),
        at: request.clock.now(),
    }
}

fn record(journal: &Arc<dyn Journal>, entry: Entry) -> Result<()> {
    journal.record(&entry).map_err(Error::Journal)
}
