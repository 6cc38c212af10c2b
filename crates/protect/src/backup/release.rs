//! The debt of a run to its application: post hooks, owed from before the first pre or hold hook on.

use holdfast_cluster::Cluster;
use holdfast_model::Problem;
use holdfast_model::point::HookRun;

use crate::hooks;
use crate::progress::{OwedHook, Steps};

/// Post hooks that are owed, and what has become of them.
pub(super) struct Debt {
    cluster: Cluster,
    owed: Vec<OwedHook>,
    incurred: bool,
    runs: Vec<HookRun>,
    problems: Vec<Problem>,
}

impl Debt {
    /// Nothing owed yet.
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            owed: Vec::new(),
            incurred: false,
            runs: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// From now on these must run, whatever happens.
    pub(super) fn incur(&mut self, owed: Vec<OwedHook>) {
        self.owed = owed;
        self.incurred = true;
    }

    /// Runs what is still owed. What fails stays owed, and can be tried again.
    pub(super) async fn pay(&mut self, steps: &Steps) {
        if self.owed.is_empty() {
            return;
        }
        let released = steps.run("post hooks", hooks::release(&self.cluster, &self.owed)).await;
        self.owed = released.owed;
        self.runs.extend(released.runs);
        // Of several attempts the last one counts.
        self.problems = released.problems;
    }

    /// What is still owed.
    pub(super) fn left(&self) -> &[OwedHook] {
        &self.owed
    }

    /// Whether anything was ever owed.
    pub(super) fn was_incurred(&self) -> bool {
        self.incurred
    }

    /// The hooks that ran.
    pub(super) fn runs(&self) -> &[HookRun] {
        &self.runs
    }

    /// Why those that are left failed.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }
}
