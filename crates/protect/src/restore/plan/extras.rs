//! What a restore would delete because the point does not have it.

use std::collections::BTreeMap;

use holdfast_model::ResourceType;
use holdfast_model::restore::plan::{SkipRule, Verdict};

use super::findings::Weighed;
use super::place::{Ground, Place, Write};
use super::walk::Planner;
use crate::error::Result;
use crate::restore::extras::Extra;

impl Planner<'_> {
    pub(super) async fn extras(&self) -> Result<()> {
        let found = self.session.extras().await?;
        found.problems.into_iter().for_each(|problem| self.findings.problem(problem));
        let mut places: BTreeMap<(ResourceType, Option<String>), Place> = BTreeMap::new();
        for extra in found.objects {
            let (of, namespace) = (extra.object.resource.clone(), extra.object.namespace.clone());
            let place = places.entry((of, namespace)).or_insert_with_key(|(of, namespace)| {
                Place::new(of.clone(), extra.level, namespace.clone(), Ground::Here, self.request.dry_runs)
            });
            self.extra(place, extra).await?;
        }
        Ok(())
    }

    async fn extra(&self, place: &Place, extra: Extra) -> Result<()> {
        let of = extra.object.resource.clone();
        let verdict = match extra.kept {
            Some(reason) => Verdict::Skip { rule: SkipRule::HoldsData, reason, difference: Vec::new() },
            None => self.lacking_right(place, Write::Delete, &of).await?.unwrap_or(Verdict::Delete),
        };
        let mut planned = place.planned(extra.object, verdict);
        planned.may_revert = extra.may_revert;
        planned.live = self.request.on_object.is_some().then_some(extra.live);
        self.findings.object(Weighed { of, planned, bytes: 0 });
        Ok(())
    }
}
