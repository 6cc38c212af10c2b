//! `holdfast restore`: makes an application run again from a recovery point, on any cluster.

use clap::Args;
use holdfast_model::Outcome;

use super::order::Order;
use super::plan::{Planning, Wanted};
use super::planned;
use crate::session::Session;

/// Restores a point, or says what restoring it would do.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    order: Order,

    #[command(flatten)]
    planning: Planning,
}

impl Restore {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self.planning.wanted() {
            Wanted::Plan(how) => how.run(session, &self.order),
            Wanted::Planned(file) => planned::restore(session, &self.order, file),
            Wanted::Restore => {
                let terms = self.order.terms()?;
                self.order.run(session, async |cancel| self.order.restore(session, terms, cancel).await)
            }
        }
    }
}
