//! An object that is at the target: what would be done about it, decided as a restore decides.

use holdfast_cluster::Write as Sending;
use holdfast_model::restore::plan::{SkipRule, Verdict};
use holdfast_model::restore::shape::Shape;
use holdfast_model::restore::{Change, Verdict as Done, comparable, differences};
use serde_json::Value;

use super::place::{Asked, Place, Write};
use super::refusal::{self, cannot, is_fatal_to_all};
use super::walk::Planner;
use crate::error::Result;
use crate::restore::comparison::{
    Addition, Circumstances, Comparison, Decision, Differing, Proposal, Settled, Trial, compare, decide,
};
use crate::restore::outgoing::Outgoing;
use crate::restore::recreation;

impl Planner<'_> {
    /// What would be done about `live`, which is where the object would go.
    pub(super) async fn present(&self, place: &Place, outgoing: &Outgoing, live: &Value) -> Result<Verdict> {
        let of = &outgoing.placement.of;
        let mut desired = outgoing.sending.object.clone();
        desired["apiVersion"] = Value::from(of.api_version());
        match compare(of, &desired, live, self.circumstances(outgoing)) {
            Comparison::Settled(settled) => Ok(self.left(outgoing, settled, SkipRule::DescribesTarget)),
            Comparison::Lacks(addition, _) => self.completed(place, outgoing, live, &addition).await,
            Comparison::Differs(differing) => {
                self.differing(place, outgoing, (&desired, live), differing).await
            }
        }
    }

    /// In a namespace that the restore would create, nothing is there to be judged.
    fn circumstances(&self, outgoing: &Outgoing) -> Circumstances {
        let Outgoing { entry, sending, .. } = outgoing;
        Circumstances {
            policy: self.session.policy(&entry.resource, &sending.object),
            in_new_namespace: false,
        }
    }

    async fn differing(
        &self,
        place: &Place,
        outgoing: &Outgoing,
        (desired, live): (&Value, &Value),
        differing: Differing,
    ) -> Result<Verdict> {
        let of = &outgoing.placement.of;
        let shape = Shape::of(differing.proposal.object()).with(&differing.changes);
        let write = match &differing.proposal {
            Proposal::Merge(_) => Write::Patch,
            Proposal::Replace(_) => Write::Update,
        };
        let dry_run = async {
            let tried = differing.try_out(&self.request.cluster, of, desired, live).await;
            Ok(match tried {
                Ok(trial) => Asked { as_sent: is_as_sent(&trial, &differing), reply: Ok(trial) },
                Err(error) if is_fatal_to_all(&error) => return Err(error.into()),
                Err(error) => Asked { as_sent: false, reply: Err(error) },
            })
        };
        let asked = place.ask(&self.findings, (write, shape), dry_run).await?;
        let trial = match asked {
            Some(Ok(trial)) => trial,
            Some(Err(error)) => return Ok(cannot(&error)),
            // Others of its shape would change just where they differ.
            None => Trial { changes: differing.changes, warnings: Vec::new(), refusal: None, conflict: None },
        };
        let tried = (trial.changes, trial.warnings, trial.conflict.as_deref());
        match decide(of, live, tried, self.circumstances(outgoing)) {
            Decision::Leave(settled) => Ok(self.left(outgoing, settled, SkipRule::MadeByController)),
            Decision::Change(settled) => {
                let mut needed = vec![write];
                if let Some(error) = trial.refusal {
                    if !recreation::is_the_way(of, self.circumstances(outgoing).policy, &error) {
                        return Ok(refusal::verdict(&self.findings, &error));
                    }
                    let target = &outgoing.sending.target;
                    self.findings.note(format!("{target}: would be deleted and created anew: {error}"));
                    needed = vec![Write::Delete, Write::Create];
                }
                for write in needed {
                    if let Some(lacking) = self.lacking_right(place, write, of).await? {
                        return Ok(lacking);
                    }
                }
                self.remarks(outgoing, &settled.warnings);
                Ok(Verdict::Update { difference: back(settled.changes) })
            }
        }
    }

    /// An object that would be added to and not replaced.
    async fn completed(
        &self,
        place: &Place,
        outgoing: &Outgoing,
        live: &Value,
        addition: &Addition,
    ) -> Result<Verdict> {
        let of = &outgoing.placement.of;
        if let Some(lacking) = self.lacking_right(place, Write::Patch, of).await? {
            return Ok(lacking);
        }
        self.findings.dry_run_made();
        let name = &outgoing.sending.target.name;
        let (cluster, namespace) = (&self.request.cluster, place.namespace.as_deref());
        let (patch, how) = (addition.patch(live), Sending::dry_run());
        match cluster.merge_patch(of, namespace, name, &patch, &how).await {
            Ok(patched) => {
                let kind = of.group_kind();
                let difference = differences(&kind, &comparable(&kind, live), &comparable(&kind, &patched));
                Ok(Verdict::Update { difference })
            }
            Err(error) if is_fatal_to_all(&error) => Err(error.into()),
            Err(error) => Ok(refusal::verdict(&self.findings, &error)),
        }
    }

    /// An object that would be left as it is; `rule` is whose it is, if it is not ours to change.
    fn left(&self, outgoing: &Outgoing, settled: Settled, rule: SkipRule) -> Verdict {
        let Settled { verdict, reason, changes, warnings, .. } = settled;
        let difference = back(changes);
        match verdict {
            Done::Kept => Verdict::Skip { rule, reason, difference },
            Done::Differs => Verdict::Conflict { reason, difference },
            Done::Failed => {
                Verdict::Cannot { code: "restore.failed".to_owned(), reason, hint: String::new() }
            }
            Done::Unchanged | Done::Created | Done::Updated | Done::Deleted | Done::Skipped => {
                self.remarks(outgoing, &warnings);
                Verdict::Identical
            }
        }
    }
}

/// Whether the server would change just the places at which the two differ, and said nothing to it. Who
/// manages what is different from object to object, so a merge is asked for each.
fn is_as_sent(trial: &Trial, differing: &Differing) -> bool {
    let places = |changes: &[Change]| -> Vec<(String, _)> {
        changes.iter().map(|change| (change.path.clone(), change.kind)).collect()
    };
    trial.refusal.is_none()
        && matches!(differing.proposal, Proposal::Replace(_))
        && trial.warnings.is_empty()
        && places(&trial.changes) == places(&differing.changes)
}

/// A restore tells how what is there differs from the point; a plan, what would become of what is there.
fn back(changes: Vec<Change>) -> Vec<Change> {
    changes.into_iter().map(Change::reversed).collect()
}

#[cfg(test)]
mod tests {
    use holdfast_model::restore::ChangeKind;
    use serde_json::json;

    use super::*;

    fn change(path: &str) -> Change {
        Change { path: path.into(), kind: ChangeKind::Changed, before: Some(json!(1)), after: Some(json!(2)) }
    }

    fn as_sent(changes: &[&str], warnings: &[&str]) -> bool {
        let differing =
            Differing { proposal: Proposal::Replace(Value::Null), changes: vec![change("data.a")] };
        let changes = changes.iter().map(|path| change(path)).collect();
        let warnings = warnings.iter().map(|text| (*text).to_owned()).collect();
        is_as_sent(&Trial { changes, warnings, refusal: None, conflict: None }, &differing)
    }

    #[test]
    fn others_are_judged_by_one_only_if_the_server_changes_nothing_of_it() {
        assert!(as_sent(&["data.a"], &[]));
        assert!(!as_sent(&[], &[]), "a default made it equal: others may have other values there");
        assert!(!as_sent(&["data.a", "spec.sidecar"], &[]), "admission adds to it");
        assert!(!as_sent(&["data.a"], &["unknown field \"x\""]));
    }
}
