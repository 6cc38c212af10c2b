//! What a run tells the world while it is under way, and the edges it is handed: clock and journal.

use std::sync::Arc;
use std::time::Duration;

use holdfast_model::Problem;
use holdfast_model::hook::ExecHook;
use holdfast_model::id::{AppId, PointId, RunId};
pub use holdfast_model::restore::StepTime;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Tells the time; the binary passes the system's clock, tests their own.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Receives the events of a run, e.g. to draw progress. Called from several threads, often; it
/// must not block.
pub trait Observer: Send + Sync {
    /// One event.
    fn event(&self, event: Event);
}

/// Observes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event) {}
}

/// What happens in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step begins. Steps may overlap: objects and volumes are captured side by side.
    Step {
        /// Name of the step, e.g. `objects`.
        name: &'static str,
    },
    /// A step has ended, well or not.
    StepDone {
        /// Name of the step.
        name: &'static str,
        /// Milliseconds it took.
        millis: u64,
    },
    /// How far the objects of one type are.
    Objects {
        /// The type, as `deployments.apps`.
        kind: String,
        /// Objects done so far; falls back to zero when a list had to be begun anew.
        done: u64,
        /// How many there are in all, if the server says.
        total: Option<u64>,
        /// Bytes of JSON so far.
        bytes: u64,
    },
    /// How far one volume is.
    Volume {
        /// `namespace/claim`.
        claim: String,
        /// What is being done, e.g. `reading`, `late paths`, `done`.
        phase: String,
        /// Bytes done so far.
        done_bytes: u64,
        /// Bytes in all, if known; an estimate while the walk goes on.
        total_bytes: Option<u64>,
        /// Files done so far.
        files: u64,
    },
    /// Nothing can be done until something else happens.
    Wait {
        /// What is waited for, and how long at most.
        what: String,
    },
    /// Something was found that makes the result Partial.
    Problem(Problem),
}

/// Where a run writes what must survive its own death, before it does it.
pub trait Journal: Send + Sync {
    /// Makes the entry durable, or fails; the run goes on only when it is.
    fn record(&self, entry: &Entry) -> std::io::Result<()>;
}

/// Keeps nothing: for runs whose caller has no place of its own. What a cluster is owed is kept in
/// that cluster as well (see [`crate::sweep`]), so nothing is left undone for lack of a journal.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn record(&self, _: &Entry) -> std::io::Result<()> {
        Ok(())
    }
}

/// One line of a run's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "entry")]
pub enum Entry {
    /// The run has begun and holds its application.
    Started {
        /// The run.
        run: RunId,
        /// The application.
        application: AppId,
        /// Name of the cluster.
        cluster: String,
        /// When.
        at: Timestamp,
    },
    /// From now on the application must be released by these hooks, whatever becomes of the run.
    Owes {
        /// The post hooks, and where each is to run.
        hooks: Vec<OwedHook>,
    },
    /// The application is released.
    Released,
    /// Temporary objects labelled with the run may exist in the cluster from now on.
    Temporary {
        /// What they are for, e.g. `movers`.
        what: String,
    },
    /// The temporary objects are gone.
    Cleared {
        /// What they were for.
        what: String,
    },
    /// A filled volume is being handed over to an application.
    HandOver {
        /// The PersistentVolume; its annotation holds the steps still to be done.
        volume: String,
        /// Namespace of the claim it is for.
        namespace: String,
        /// The claim it is for.
        claim: String,
    },
    /// The point is in the vault.
    Committed {
        /// The point.
        point: PointId,
    },
    /// The run has ended by itself; nothing is left to be done for it.
    Ended {
        /// `Completed`, `Partial` or `Failed`.
        outcome: holdfast_model::Outcome,
    },
}

/// A post hook that has to run, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwedHook {
    /// Namespace its target is looked for in.
    pub namespace: String,
    /// The pod that it is meant for; if that is gone, any other that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The hook as it was when the run began.
    pub hook: ExecHook,
}

/// Times the steps of one run and tells its observer.
#[derive(Clone)]
pub struct Steps {
    observer: Arc<dyn Observer>,
    began: Instant,
    done: Arc<std::sync::Mutex<Vec<StepTime>>>,
}

impl Steps {
    /// A run that begins now.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, began: Instant::now(), done: Arc::default() }
    }

    /// Runs `work` as the step of that name.
    pub async fn run<T>(&self, name: &'static str, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        self.observer.event(Event::Step { name });
        // On the heap, so that a walk is not as large as its largest step at every level.
        let result = Box::pin(work).await;
        let (start_millis, millis) = (millis(began - self.began), millis(began.elapsed()));
        self.observer.event(Event::StepDone { name, millis });
        let step = StepTime { name: name.to_owned(), start_millis, millis };
        self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(step);
        result
    }

    /// The steps that have ended so far, in the order of their ends.
    pub fn times(&self) -> Vec<StepTime> {
        self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The observer of the run.
    pub fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
