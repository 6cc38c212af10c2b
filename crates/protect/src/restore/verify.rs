//! Whether what is at a cluster is what a point holds: a plan of a restore that would make it so, read the
//! other way round.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_cluster::Cluster;
use holdfast_model::Outcome;
use holdfast_model::restore::plan::{Planned, SkipRule, Verdict, VerdictKind};
use holdfast_model::restore::verification::{Deviation, DeviationKind, MOST_DEVIATIONS, Verification};
use holdfast_model::restore::{Change, Existing, Mapping, Modifier, Selection, Terms};
use holdfast_vault::Repository;

use super::plan::{DryRuns, PlanRequest, plan};
use crate::error::Result;
use crate::point::PointSummary;
use crate::progress::{Clock, Observer};

/// What is to be compared.
pub struct VerifyRequest {
    /// The cluster.
    pub cluster: Cluster,
    /// The application's repository.
    pub repository: Repository,
    /// The point.
    pub point: PointSummary,
    /// Which objects of the point.
    pub selection: Selection,
    /// What they are called at the cluster.
    pub mapping: Mapping,
    /// What else a restore changed in them.
    pub modifiers: Vec<Modifier>,
    /// Whether what the point does not have is a deviation, too.
    pub exact: bool,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
}

/// Compares a cluster with a point. Nothing is written. Data of volumes is not read.
///
/// # Errors
/// As [`plan`].
pub async fn verify(request: VerifyRequest) -> Result<Verification> {
    let found = Arc::new(Found::default());
    let sink = Arc::clone(&found);
    let planned = plan(PlanRequest {
        cluster: request.cluster,
        repository: request.repository,
        point: request.point,
        // Claims that are there are compared; whether others could be filled is of no interest.
        movers: true,
        // Of a restore that would leave no difference, but for what is rightly the target's own.
        terms: Terms {
            selection: request.selection,
            mapping: request.mapping,
            modifiers: request.modifiers,
            existing: if request.exact { Existing::Prune } else { Existing::Replace }.into(),
            allow_privileged: true,
            no_hooks: true,
        },
        dry_runs: DryRuns::Sampled,
        clock: request.clock,
        observer: request.observer,
        on_object: Some(Arc::new(move |planned| sink.object(planned))),
    })
    .await?;
    let mut found = found.take();
    let (identical, skipped) = (planned.count(VerdictKind::Identical), planned.count(VerdictKind::Skip));
    let left_out = skipped - found.skipped;
    // Their values were held within bounds there.
    for Planned { object, verdict, .. } in planned.objects {
        if let Verdict::Update { difference } | Verdict::Conflict { difference, .. } = verdict {
            let (kind, reason) = (DeviationKind::Differs, String::new());
            let difference = difference.into_iter().map(Change::reversed).collect();
            found.push(Deviation { object, kind, reason, difference });
        }
    }
    found.deviations.sort_by(|a, b| (a.kind, &a.object).cmp(&(b.kind, &b.object)));
    let is_right = found.all == 0 && planned.problems.is_empty();
    Ok(Verification {
        point: planned.point,
        application: planned.application,
        application_name: planned.application_name,
        cluster: planned.cluster,
        outcome: if is_right { Outcome::Completed } else { Outcome::Partial },
        started: planned.started,
        finished: planned.finished,
        terms: planned.terms,
        identical,
        left_out,
        deviating: found.all,
        deviations: found.deviations,
        notes: planned.notes,
        problems: planned.problems,
    })
}

/// What of the objects is no difference of an object that is there.
#[derive(Default)]
struct Found(Mutex<Deviations>);

#[derive(Default)]
struct Deviations {
    all: u64,
    /// Those of them that a restore would leave out.
    skipped: u64,
    deviations: Vec<Deviation>,
}

impl Found {
    fn deviations(&self) -> MutexGuard<'_, Deviations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Deviations {
        std::mem::take(&mut *self.deviations())
    }

    fn object(&self, planned: &Planned) {
        let (kind, reason) = match &planned.verdict {
            Verdict::Create | Verdict::Unknown { .. } => (DeviationKind::Missing, String::new()),
            Verdict::Cannot { reason, .. } if planned.live.is_none() => {
                (DeviationKind::Missing, format!("nor could it be restored: {reason}"))
            }
            Verdict::Cannot { reason, .. } => {
                (DeviationKind::Differs, format!("and could not be made as in the point: {reason}"))
            }
            Verdict::Delete => (DeviationKind::Extra, String::new()),
            Verdict::Skip { rule: SkipRule::HoldsData, .. } => (DeviationKind::Extra, String::new()),
            Verdict::Update { .. } | Verdict::Conflict { .. } | Verdict::Identical | Verdict::Skip { .. } => {
                return;
            }
        };
        let object = planned.object.clone();
        let mut deviations = self.deviations();
        deviations.skipped += u64::from(planned.verdict.kind() == VerdictKind::Skip);
        deviations.push(Deviation { object, kind, reason, difference: Vec::new() });
    }
}

impl Deviations {
    fn push(&mut self, deviation: Deviation) {
        self.all += 1;
        if self.deviations.len() < MOST_DEVIATIONS {
            self.deviations.push(deviation);
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::kinds;
    use holdfast_model::restore::plan::LiveState;
    use holdfast_model::{ObjectRef, Problem};

    use super::*;

    fn planned(name: &str, verdict: Verdict, is_there: bool) -> Planned {
        let object =
            ObjectRef { resource: kinds::secrets(), namespace: Some("shop".into()), name: name.into() };
        let live = is_there.then(|| LiveState { uid: "u".into(), state: "s".into() });
        Planned { object, level: 3, verdict, may_revert: Vec::new(), privilege: Vec::new(), live }
    }

    #[test]
    fn what_is_not_there_is_missing_and_what_cannot_be_corrected_differs() {
        let found = Found::default();
        let cannot = || Verdict::cannot(Problem::new("cluster.invalid", "", "immutable"));
        for one in [
            planned("a", Verdict::Create, false),
            planned("b", cannot(), false),
            planned("c", cannot(), true),
            planned("d", Verdict::Identical, true),
        ] {
            found.object(&one);
        }
        let Deviations { all, deviations, .. } = found.take();
        let kinds: Vec<DeviationKind> = deviations.iter().map(|deviation| deviation.kind).collect();
        assert_eq!(kinds, [DeviationKind::Missing, DeviationKind::Missing, DeviationKind::Differs]);
        assert_eq!(all, 3);
    }

    #[test]
    fn the_list_of_deviations_is_bounded_and_their_number_is_not() {
        let found = Found::default();
        for _ in 0..=MOST_DEVIATIONS {
            found.object(&planned("a", Verdict::Create, false));
        }
        let Deviations { all, deviations, .. } = found.take();
        assert_eq!((all, deviations.len()), (MOST_DEVIATIONS as u64 + 1, MOST_DEVIATIONS));
    }
}
