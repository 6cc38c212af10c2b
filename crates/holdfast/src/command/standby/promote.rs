//! `holdfast standby promote`: takes over at the standby.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::restore::RestoreReport;
use holdfast_protect::standby::newest_whole;
use tokio_util::sync::CancellationToken;

use crate::command::order::{Order, Origin};
use crate::points::Chosen;
use crate::session::Session;

/// Restores a point with the volumes that stand by. `APP/latest` is the newest point that the standby
/// holds whole; what it does not hold is filled from the vault.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    #[command(flatten)]
    order: Order,
}

impl Promote {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        self.order.run(session, async |cancel| self.promote(session, cancel).await)
    }

    async fn promote(&self, session: &Session, cancel: CancellationToken) -> anyhow::Result<RestoreReport> {
        let terms = self.order.terms()?;
        let chosen = session.find_point(&self.order.point).await?;
        let chosen = if self.order.point.is_latest() { self.whole(session, chosen).await? } else { chosen };
        self.order.restore_chosen(session, chosen, terms, Origin::Standby, cancel).await
    }

    /// The newest point that is there whole, or the newest of all.
    async fn whole(&self, session: &Session, latest: Chosen) -> anyhow::Result<Chosen> {
        let target = session.open_cluster(Some(&self.order.to)).await?;
        let Some((_, points)) = latest.found.points(session).await? else { return Ok(latest) };
        match newest_whole(&target.cluster, &latest.repository, &points.points).await? {
            Some(summary) => {
                if summary.id != latest.summary.id {
                    session.warn(&format!(
                        "the standby does not hold {}, the newest point, whole; it takes over with {}",
                        latest.summary.id, summary.id
                    ));
                }
                Ok(Chosen { summary, ..latest })
            }
            None => {
                session.warn("nothing stands by whole: all volumes are filled from the vault");
                Ok(latest)
            }
        }
    }
}
