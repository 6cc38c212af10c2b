//! Why a backup, a restore or a sweep could not be done: each error names the object and says what to do.

use std::time::Duration;

use holdfast_model::Consistency;
use holdfast_model::id::{AppId, PointId};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] holdfast_cluster::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] holdfast_vault::Error),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] holdfast_volume::Error),
    /// The scope does not parse.
    #[error("application `{application}`: {source}")]
    Scope {
        /// Name of the application.
        application: String,
        /// What is wrong.
        source: holdfast_model::scope::InvalidScope,
    },
    /// The scope parses, but nothing in the cluster is in it.
    #[error(
        "application `{application}` selects nothing on cluster {cluster}: {reason}; check the scope's namespaces and kinds, and that this is the right cluster"
    )]
    Empty {
        /// Name of the application.
        application: String,
        /// Name of the cluster.
        cluster: String,
        /// What was looked for.
        reason: String,
    },
    /// What is to be restored does not parse.
    #[error("{0}")]
    Terms(#[from] holdfast_model::restore::InvalidTerms),
    /// Another run holds the application.
    #[error(
        "application {application} is being worked on by run {holder} (sign of life at {renewed}); pass --wait to wait for its end; if it has died, it may be taken over after {expires}"
    )]
    Busy {
        /// The application.
        application: AppId,
        /// The run that holds it.
        holder: String,
        /// When it last renewed its lease.
        renewed: String,
        /// When its lease ends unless renewed.
        expires: String,
    },
    /// The run's lease on the application was lost.
    #[error(
        "run stopped: it no longer holds application {application}: {reason}; nothing was committed, run it again"
    )]
    LeaseLost {
        /// The application.
        application: AppId,
        /// How it was lost.
        reason: String,
    },
    /// The policy wants more than this capture can be.
    #[error(
        "this capture would be `{reachable}`, the policy wants `{wanted}`: {reason}; nothing was touched"
    )]
    FloorNotReached {
        /// What the policy or the command line wants.
        wanted: ConsistencyName,
        /// What can be reached.
        reachable: ConsistencyName,
        /// Which volumes stand in the way, and what would help.
        reason: String,
    },
    /// A hook failed, so the backup was stopped.
    #[error(
        "{phase} hook `{hook}` failed in {place}: {reason}; the backup was stopped and the application released: correct the hook, or what it found"
    )]
    Hook {
        /// `pre`, `hold` or `post`.
        phase: &'static str,
        /// Name of the hook.
        hook: String,
        /// `namespace/pod`, or the selector if no pod was found.
        place: String,
        /// Exit code and the end of what it wrote.
        reason: String,
    },
    /// The caller cancelled the run.
    #[error(
        "cancelled; the application was released and nothing was committed: what was uploaded is reused by the next run"
    )]
    Cancelled,
    /// A restore was ended before its end.
    #[error(
        "restore stopped: {reason}; what was created stays, and the same restore run again goes on from there"
    )]
    RestoreStopped {
        /// Why.
        reason: String,
    },
    /// There is no such point.
    #[error("there is no point `{id}` in this repository; `holdfast points` lists them")]
    NoSuchPoint {
        /// What was asked for.
        id: String,
    },
    /// Several points begin like that.
    #[error(
        "`{prefix}` is the beginning of several points, among them {first} and {second}; give more of it"
    )]
    AmbiguousPoint {
        /// What was asked for.
        prefix: String,
        /// One of them.
        first: PointId,
        /// Another.
        second: PointId,
    },
    /// The point is there, but not as it must be.
    #[error(
        "point {id} is damaged: {reason}; run `holdfast vault check`, and use another point or another copy"
    )]
    DamagedPoint {
        /// The point.
        id: PointId,
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer program.
    #[error("point {id} has format {found}, this program knows up to {supported}: use a newer holdfast")]
    NewerPoint {
        /// The point.
        id: PointId,
        /// The format found.
        found: u32,
        /// The newest known here.
        supported: u32,
    },
    /// The journal could not be written, so nothing that depends on it was done.
    #[error(
        "the run's journal cannot be written: {0}; nothing was touched for which it is needed: free or make writable its place and run again"
    )]
    Journal(#[source] std::io::Error),
    /// Something did not end in time.
    #[error("{what} did not end within {} s; run it again", .limit.as_secs())]
    TooLong {
        /// What it was.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// A task or thread of this program ended unexpectedly, or an object of ours could not be written.
    #[error("internal: {0}; this is a defect of holdfast, please report it")]
    Internal(String),
}

impl Error {
    /// Stable code, documented in docs/failure-modes.md.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Cluster(error) => error.code(),
            Error::Vault(error) => error.code(),
            Error::Volume(error) => error.code(),
            Error::Scope { .. } => "protect.scope",
            Error::Empty { .. } => "protect.empty",
            Error::Terms(_) => "protect.terms",
            Error::Busy { .. } => "protect.busy",
            Error::LeaseLost { .. } => "protect.lease_lost",
            Error::FloorNotReached { .. } => "protect.floor_not_reached",
            Error::Hook { .. } => "protect.hook",
            Error::Cancelled => "protect.cancelled",
            Error::RestoreStopped { .. } => "protect.restore_stopped",
            Error::NoSuchPoint { .. } => "protect.no_such_point",
            Error::AmbiguousPoint { .. } => "protect.ambiguous_point",
            Error::DamagedPoint { .. } => "protect.damaged_point",
            Error::NewerPoint { .. } => "protect.newer_point",
            Error::Journal(_) => "protect.journal",
            Error::TooLong { .. } => "protect.too_long",
            Error::Internal(_) => "protect.internal",
        }
    }

    pub(crate) fn joined(error: tokio::task::JoinError) -> Self {
        Error::Internal(format!("a worker ended unexpectedly: {error}"))
    }
}

/// A [`Consistency`] as manifests write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsistencyName(pub Consistency);

impl std::fmt::Display for ConsistencyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Consistency::Live => "live",
            Consistency::Crash => "crash",
            Consistency::Group => "group",
            Consistency::Application => "application",
        })
    }
}
