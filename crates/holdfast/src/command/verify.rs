//! `holdfast verify`: says whether a cluster has what a point holds.

use std::sync::Arc;

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::restore::{Terms, Verification};
use holdfast_protect::restore::{VerifyRequest, verify};

use super::mapping::MappingArgs;
use super::terms::{ModifierArgs, SelectionArgs};
use crate::points::PointRef;
use crate::progress::run::observer;
use crate::runs::SystemClock;
use crate::session::Session;
use crate::{interrupt, render};

/// Compares the objects of a point with those of a cluster and writes nothing; exit code 3 if any is missing or
/// differs. The data of volumes is not compared: `restore --verify` reads it back while it restores.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// Context (or name of a declared cluster) to compare with
    #[arg(long, value_name = "CONTEXT")]
    against: String,

    #[command(flatten)]
    names: MappingArgs,

    #[command(flatten)]
    modifiers: ModifierArgs,

    #[command(flatten)]
    selection: SelectionArgs,

    /// Also name what is there and not in the point, in its namespaces and of the application's scope
    #[arg(long)]
    exact: bool,

    /// Show the values that differ, and not only where
    #[arg(long)]
    diff: bool,
}

impl Verify {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let terms = Terms {
            selection: self.selection.selection()?,
            mapping: self.names.mapping()?,
            modifiers: self.modifiers.modifiers()?,
            ..Terms::default()
        };
        let found = interrupt::query(async || self.compare(session, terms).await)?;
        session.output.show(&found, |view| render::verification::verification(&found, self.diff, view))?;
        Ok(found.outcome)
    }

    async fn compare(&self, session: &Session, terms: Terms) -> anyhow::Result<Verification> {
        let chosen = session.find_point(&self.point).await?;
        let target = session.open_cluster(Some(&self.against)).await?;
        let request = VerifyRequest {
            cluster: target.cluster,
            repository: chosen.repository,
            point: chosen.summary,
            selection: terms.selection,
            mapping: terms.mapping,
            modifiers: terms.modifiers,
            exact: self.exact,
            clock: Arc::new(SystemClock),
            observer: observer(session),
        };
        Ok(interrupt::on_worker(verify(request)).await?)
    }
}
