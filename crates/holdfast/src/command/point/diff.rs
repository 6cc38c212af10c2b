//! `holdfast point diff`: how a later point differs from an earlier one.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_protect::{diff, point};

use crate::points::PointRef;
use crate::session::Session;
use crate::{interrupt, render};

/// Compares two points.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The earlier point: APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "BEFORE")]
    before: PointRef,

    /// The later point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "AFTER")]
    after: PointRef,
}

impl Diff {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let diff = interrupt::query(async || {
            let before = session.find_point(&self.before).await?;
            let after = session.find_point(&self.after).await?;
            let before = point::open(&before.repository, &before.summary).await?;
            let after = point::open(&after.repository, &after.summary).await?;
            Ok(diff::points(&before, &after).await?)
        })?;
        session.output.show(&diff, |view| render::diff::diff(&diff, view))?;
        Ok(Outcome::of(&diff.problems))
    }
}
