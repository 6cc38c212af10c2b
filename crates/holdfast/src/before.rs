//! What is there before a restore that may delete: captured, so that nothing is lost by it.

use std::sync::Arc;
use std::time::Duration;

use holdfast_model::hook::Hooks;
use holdfast_model::manifest::ApplicationSpec;
use holdfast_model::restore::Terms;
use holdfast_model::{Outcome, PointId, TenantId};
use holdfast_protect::backup::{Application, BackupRequest, backup};
use holdfast_protect::{Error as ProtectError, point};
use tokio_util::sync::CancellationToken;

use crate::clusters::OpenCluster;
use crate::home::reports::Came;
use crate::points::Chosen;
use crate::progress::run::observer;
use crate::runs::{self, Begun, SystemClock};
use crate::session::Session;
use crate::{edge, interrupt};

impl Session {
    /// Makes a point of the objects that a restore of `chosen` may delete; none if nothing is there.
    pub(crate) async fn capture_before(
        &self,
        chosen: &Chosen,
        target: &OpenCluster,
        terms: &Terms,
        wait: Option<Duration>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<PointId>> {
        let known = &chosen.found.application;
        let spec = spec_there(chosen, terms).await?;
        let begun = Begun::begin(self, format!("backup before the restore of {}", chosen.summary.id))?;
        let request = BackupRequest {
            cluster: target.cluster.clone(),
            repository: chosen.repository.clone(),
            tenant: TenantId::default(),
            application: Application { id: known.id.clone(), name: known.name.clone(), spec },
            movers: None,
            run: begun.id.clone(),
            point: PointId::new(edge::now(), edge::random()?),
            epoch: known.epoch,
            before: Some(chosen.summary.id.clone()),
            keep_snapshots: 0,
            floor: None,
            wait,
            dead: begun.dead.clone(),
            clock: Arc::new(SystemClock),
            journal: begun.journal.clone(),
            observer: observer(self),
            cancel: cancel.clone(),
        };
        let made = match interrupt::on_worker(backup(request)).await {
            Err(ProtectError::Empty { .. }) => {
                begun.end(&self.home)?;
                return Ok(None);
            }
            made => made.map_err(anyhow::Error::from),
        };
        begun.report(self, &made, |point| (point.outcome, Came::Point(Box::new(point.clone()))))?;
        let point = made?;
        runs::settled(&self.home, target.cluster.name(), Some(&known.id))?;
        if point.outcome == Outcome::Partial {
            let missing = point.problems.len();
            self.warn(&format!(
                "point {} of what is there now is Partial: {missing} things are not in it",
                point.id
            ));
        }
        Ok(Some(point.id))
    }
}

/// The application as it is called at the target, without hooks: nothing of it is held.
async fn spec_there(chosen: &Chosen, terms: &Terms) -> anyhow::Result<ApplicationSpec> {
    let open = point::open(&chosen.repository, &chosen.summary).await?;
    let namespaces = open.all_namespaces().await?;
    let mut spec = ApplicationSpec { hooks: Hooks::default(), ..open.point.spec };
    spec.scope.namespaces = namespaces.iter().map(|name| terms.mapping.namespace(name).to_owned()).collect();
    Ok(spec)
}
