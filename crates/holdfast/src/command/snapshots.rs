//! `holdfast snapshots`: the snapshots that a cluster's storage keeps after backups.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_volume::snapshots::{Kept, forget, kept};

use crate::output::amount::{age, size};
use crate::output::{Column, Table, View};
use crate::session::Session;
use crate::{edge, interrupt};

/// Lists the snapshots that the storage keeps, newest first, or removes some.
#[derive(Debug, Args)]
pub(crate) struct Snapshots {
    /// Name or id of the application [default: all]
    #[arg(value_name = "APP")]
    app: Option<String>,

    /// Remove those of the application; its points in the vault are not touched
    #[arg(long, requires = "app")]
    delete: bool,
}

impl Snapshots {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let found = interrupt::query(async || self.find(session).await)?;
        session.output.show(&found, |view| render(&found, view))?;
        Ok(Outcome::Completed)
    }

    async fn find(&self, session: &Session) -> anyhow::Result<Vec<Kept>> {
        let target = session.open_cluster(session.context.as_deref()).await?;
        let application = match &self.app {
            Some(name) => Some(session.find_application(name).await?.application.id.clone()),
            None => None,
        };
        let found = kept(&target.cluster, application.as_ref()).await?;
        if self.delete {
            for kept in &found {
                forget(&target.cluster, &kept.name).await?;
            }
        }
        Ok(found)
    }
}

fn render(found: &[Kept], view: &View) -> String {
    if found.is_empty() {
        return "the storage keeps no snapshots\n".to_owned();
    }
    let mut table = Table::new([
        Column::new("CLAIM"),
        Column::new("AGE"),
        Column::new("SIZE"),
        Column::new("NAME"),
        Column::wide("DRIVER"),
        Column::wide("VAULT SNAPSHOT"),
    ]);
    for kept in found {
        table.row([
            (&kept.claim).into(),
            age(kept.cut, edge::now()).into(),
            size(kept.size).into(),
            (&kept.name).into(),
            (&kept.driver).into(),
            (&kept.snapshot).into(),
        ]);
    }
    table.render(view)
}
