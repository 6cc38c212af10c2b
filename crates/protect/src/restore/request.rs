//! What a restore is asked to do.

use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::Cluster;
use holdfast_model::restore::Terms;
use holdfast_model::{PointId, RunId};
use holdfast_vault::Repository;
use holdfast_volume::mover::FileRestore;
use tokio_util::sync::CancellationToken;

use super::state::AsPlanned;
use super::tally::OnObject;
use crate::backup::Movers;
use crate::point::PointSummary;
use crate::progress::{Clock, Journal, Observer};

/// What is to be restored, where to, and how.
pub struct RestoreRequest {
    /// The target.
    pub cluster: Cluster,
    /// The application's repository.
    pub repository: Repository,
    /// The point.
    pub point: PointSummary,
    /// How movers are made; without, claims whose data is in the point are problems.
    pub movers: Option<Movers>,
    /// Identity of this restore.
    pub run: RunId,
    /// Volumes that stand by at the target are handed to the application instead of new ones.
    pub standby: bool,
    /// What of the point is restored, and how.
    pub terms: Terms,
    /// The point that holds the objects as they are now, if one was made because some may be deleted.
    pub before: Option<PointId>,
    /// Judges each object before it is written over; for restores of what a plan shows.
    pub as_planned: Option<AsPlanned>,
    /// Read back what was restored into volumes and compare it.
    pub verify: bool,
    /// How long workloads may take to become ready; zero: nobody waits for them.
    pub wait_ready: Duration,
    /// How long to wait for another run on the application; `None`: refuse at once.
    pub wait_busy: Option<Duration>,
    /// Runs that are known to have died: they are not waited for.
    pub dead: Vec<RunId>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps what must survive the run's death.
    pub journal: Arc<dyn Journal>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Hears what became of every single object.
    pub on_object: Option<OnObject>,
    /// Ends the restore when cancelled.
    pub cancel: CancellationToken,
}

/// Volumes that are to be restored into claims that exist, and how.
pub struct VolumesRequest {
    /// The cluster that has the claims.
    pub cluster: Cluster,
    /// The application's repository.
    pub repository: Repository,
    /// The point.
    pub point: PointSummary,
    /// How movers are made; without, nothing can be restored.
    pub movers: Option<Movers>,
    /// Identity of this restore.
    pub run: RunId,
    /// The volumes.
    pub volumes: Vec<VolumeOrder>,
    /// How long to wait for another run on the application; `None`: refuse at once.
    pub wait_busy: Option<Duration>,
    /// Runs that are known to have died: they are not waited for.
    pub dead: Vec<RunId>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps what must survive the run's death.
    pub journal: Arc<dyn Journal>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Ends the restore when cancelled.
    pub cancel: CancellationToken,
}

/// One volume of a point and the claim that it is restored into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeOrder {
    /// Namespace and name of the claim in the point.
    pub from: (String, String),
    /// Namespace and name of the claim at the target.
    pub into: (String, String),
    /// What of it is restored, and how.
    pub files: FileRestore,
    /// Do it also while a pod that may write to the volume has it mounted.
    pub live: bool,
}
