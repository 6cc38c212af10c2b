//! `holdfast standby end`: removes what stands by.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_volume::standby;

use crate::interrupt;
use crate::output::amount::counted;
use crate::session::Session;

/// Removes the standing volumes of an application; its points in the vault are not touched.
#[derive(Debug, Args)]
pub(crate) struct End {
    /// Name or id of the application
    #[arg(value_name = "APP")]
    app: String,

    /// Context (or name of a declared cluster) of the standby
    #[arg(long, value_name = "CONTEXT")]
    to: String,
}

impl End {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let removed = interrupt::query(async || {
            let found = session.find_application(&self.app).await?;
            let target = session.open_cluster(Some(&self.to)).await?;
            Ok(standby::end(&target.cluster, &found.application.id).await?)
        })?;
        session.say(&format!("{} removed", counted(removed as u64, "standing volume")));
        Ok(Outcome::Completed)
    }
}
