//! What a restore would do, found out without writing anything.
//!
//! A plan walks the point level by level as a restore does, prepares each object and compares it by
//! the same code. Where a restore would create or replace, the API server is asked by a dry run. What
//! is at the target comes from lists, a page at a time, and of the point only the names of one
//! directory are in memory, so that memory follows neither.
//!
//! ```text
//! walk        levels, types, directories; the objects of a page beside those of the point
//! remaining   the objects of one directory that nothing was found for yet
//! live        what is at the target
//! place       where the objects of one directory go: namespace, rights, dry runs already made
//! room        what quotas leave
//! absent      an object that is not there
//! present     one that is
//! claims      claims whose data is in the point
//! extras      what is at the target and not in the point
//! held        those that wait until the room for all is known
//! refusal     what the server's no means before the levels above exist
//! findings    counts, and what is told object by object
//! ```

mod absent;
mod claims;
mod extras;
mod findings;
mod held;
mod live;
mod place;
mod present;
mod refusal;
mod remaining;
mod room;
mod walk;

use std::sync::Arc;

use holdfast_cluster::Cluster;
use holdfast_model::restore::Terms;
use holdfast_model::restore::plan::{Plan, Planned};
use holdfast_vault::Repository;

use crate::error::Result;
use crate::point::PointSummary;
use crate::progress::{Clock, Observer};

/// Called with every planned object, created and identical ones included, in the order of the walk.
pub type OnPlanned = Arc<dyn Fn(&Planned) + Send + Sync>;

/// Which objects are put to the API server in a dry run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DryRuns {
    /// One of each type, namespace and shape, and every further one of a shape of which the server
    /// refused, changed or remarked on the first.
    #[default]
    Sampled,
    /// Every object.
    All,
}

/// What is to be planned.
pub struct PlanRequest {
    /// The target.
    pub cluster: Cluster,
    /// The application's repository.
    pub repository: Repository,
    /// The point.
    pub point: PointSummary,
    /// Whether the restore could bring the data of claims.
    pub movers: bool,
    /// What of the point would be restored, and how.
    pub terms: Terms,
    /// Which objects are put to the API server.
    pub dry_runs: DryRuns,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Hears of every single object. What it is told then has a [`Planned::live`].
    pub on_object: Option<OnPlanned>,
}

/// Says what a restore would do. Nothing is written: not to the cluster, not to the vault.
///
/// # Errors
/// [`crate::Error::Cluster`], [`crate::Error::Vault`], [`crate::Error::DamagedPoint`]
pub async fn plan(request: PlanRequest) -> Result<Plan> {
    walk::plan(&request).await
}
