//! `holdfast volume restore`: brings the volumes of claims that exist back to a point, in place.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::restore::RestoreReport;
use holdfast_protect::point;
use holdfast_protect::restore::VolumeOrder;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::in_place::{How, There};
use crate::points::PointRef;
use crate::session::Session;
use crate::volumes::ClaimRef;
use crate::{interrupt, render};

/// Restores volumes in place: what differs is written, and nothing else.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// A volume of the point; may be given several times; without, all of them
    #[arg(long, value_name = "NAMESPACE/CLAIM")]
    claim: Vec<ClaimRef>,

    /// Context (or name of a declared cluster) that has the claims
    #[arg(long, value_name = "CONTEXT")]
    to: String,

    /// Overwrite what is in the claims' volumes; new volumes are made by `holdfast restore`
    #[arg(long, required = true)]
    in_place: bool,

    /// Restore the one volume into this claim instead of the one of its own name
    #[arg(long, value_name = "NAMESPACE/CLAIM")]
    into: Option<ClaimRef>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    there: There,
}

impl Restore {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        if self.into.is_some() && self.claim.len() != 1 {
            let what = "--into is the claim of one volume".to_owned();
            return Err(Error::Usage { what, hint: "name that one with --claim NAMESPACE/CLAIM" }.into());
        }
        let report = interrupt::run(async |cancel| self.restore(session, cancel).await)?;
        session.output.show(&report, |view| render::restore::report(&report, view))?;
        Ok(report.outcome)
    }

    async fn restore(&self, session: &Session, cancel: CancellationToken) -> anyhow::Result<RestoreReport> {
        let chosen = session.find_point(&self.point).await?;
        let point = point::open(&chosen.repository, &chosen.summary).await?.point;
        let volumes = match &*self.claim {
            [] => point.volumes.iter().collect(),
            claims => claims.iter().map(|claim| claim.find(&point)).collect::<Result<Vec<_>, _>>()?,
        };
        let mut orders = Vec::new();
        for volume in volumes {
            let from = (volume.namespace.clone(), volume.claim.clone());
            let into = self.into.as_ref().map(ClaimRef::full).transpose()?.unwrap_or_else(|| from.clone());
            orders.push(VolumeOrder { from, into, files: self.how.files(), live: self.there.live });
        }
        if orders.is_empty() {
            let what = format!("point {} has no volumes", point.id);
            return Err(Error::NotReady { what, hint: "`holdfast point show POINT` says why" }.into());
        }
        session.restore_in_place(chosen, &self.to, orders, (&self.how, &self.there), cancel).await
    }
}
