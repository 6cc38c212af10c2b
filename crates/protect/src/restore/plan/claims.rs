//! Claims whose data is in the point: they are filled and handed over, not created like other objects.

use holdfast_model::Problem;
use holdfast_model::restore::plan::{Planned, Verdict, VerdictKind};
use holdfast_volume::handover;
use serde_json::Value;

use super::findings::Weighed;
use super::place::Place;
use super::walk::Planner;
use crate::error::Result;
use crate::restore::claims::Claim;
use crate::restore::outgoing::Outgoing;
use crate::restore::quota;

impl Planner<'_> {
    /// What would be done with an object that is to be sent; `None` if it is a claim that waits for
    /// the others.
    pub(super) async fn claim(
        &self,
        place: &Place,
        outgoing: &Outgoing,
        live: Option<&Value>,
    ) -> Result<Option<Planned>> {
        let claims = &self.session.claims;
        if !claims.take(&outgoing.entry, &outgoing.sending) {
            return self.outgoing(place, outgoing, live).await.map(Some);
        }
        let Some(claim) = claims.filled(&outgoing.sending.target) else {
            return self.outgoing(place, outgoing, live).await.map(Some);
        };
        let verdict = match live {
            Some(live) => standing(&claim, live),
            None if !self.request.movers => no_movers(),
            None => self.absent(place, outgoing, &claim.manifest).await?,
        };
        let planned = self.told(place, outgoing, live, verdict);
        if planned.verdict.kind() != VerdictKind::Create {
            return Ok(Some(planned));
        }
        let (of, bytes) = (outgoing.entry.resource.clone(), outgoing.bytes);
        self.held.push(Weighed { of, planned, bytes });
        Ok(None)
    }

    /// Judges the claims that were held, by the sum of what they need, and tells of those that come
    /// back empty.
    pub(super) async fn settle_claims(&self) {
        let held = self.held.take();
        let mut filled = self.session.claims.take_filled();
        filled.retain(|claim| held.iter().any(|held| held.planned.object == claim.target));
        let shortfalls = quota::shortfalls(&self.request.cluster, &filled).await;
        for mut weighed in held {
            let namespace = weighed.planned.object.namespace.as_deref().unwrap_or_default();
            if let Some(lacking) = shortfalls.get(namespace) {
                let problem = Problem::new("restore.quota", "", format!("no room for it: {lacking}"));
                weighed.planned.verdict = Verdict::cannot(problem.hint("raise the quota and plan again"));
            }
            self.findings.object(weighed);
        }
        for empty in self.session.claims.take_empty() {
            match (empty.problem(), empty.excluded) {
                (Some(problem), _) => self.findings.problem(problem),
                (None, reason) => self.findings.note(format!(
                    "{}: comes back empty: {}",
                    empty.target,
                    reason.as_deref().unwrap_or_default()
                )),
            }
        }
    }
}

/// A claim that is there already is the one that this restore made, or it stands in its way.
fn standing(claim: &Claim, live: &Value) -> Verdict {
    let snapshot = match claim.volume.snapshot.parse() {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let message = format!("the point names a snapshot that cannot be one: {error}");
            return Verdict::cannot(Problem::new("restore.unusable_object", "", message));
        }
    };
    match handover::refusal(&snapshot, live) {
        Some((reason, hint)) => Verdict::cannot(Problem::new("volume.claim", "", reason).hint(hint)),
        None => Verdict::Identical,
    }
}

fn no_movers() -> Verdict {
    let message = "its data is in the point, but no movers can be made that would bring it";
    Verdict::cannot(Problem::new("restore.no_movers", "", message).hint("keep points in object storage"))
}
