//! `holdfast standby status`: what stands by and how far it is behind.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_volume::standby::{Standing, standing};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::amount::{age, between, size, span};
use crate::output::{Cell, Column, Table, Tone, View};
use crate::session::Session;
use crate::{edge, interrupt};

/// Says of every standing volume which point it holds, and how old that is: what would be lost if the
/// source were lost now.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Name or id of the application [default: all]
    #[arg(value_name = "APP")]
    app: Option<String>,

    /// Context (or name of a declared cluster) of the standby
    #[arg(long, value_name = "CONTEXT")]
    to: String,
}

/// A standing volume with how far it is behind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lagging {
    #[serde(flatten)]
    standing: Standing,
    /// Seconds since the capture of the point that it holds began.
    lag_seconds: Option<u64>,
}

impl Status {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let now = edge::now();
        let found = interrupt::query(async || {
            let application = match &self.app {
                Some(name) => Some(session.find_application(name).await?.application.id.clone()),
                None => None,
            };
            let target = session.open_cluster(Some(&self.to)).await?;
            Ok(standing(&target.cluster, application.as_ref()).await?)
        })?;
        let lagging: Vec<Lagging> = found.into_iter().map(|standing| Lagging::of(standing, now)).collect();
        session.output.show(&lagging, |view| render(&lagging, now, view))?;
        Ok(Outcome::Completed)
    }
}

impl Lagging {
    fn of(standing: Standing, now: Timestamp) -> Self {
        let lag_seconds = standing.holds.as_ref().map(|holds| between(holds.started, now).as_secs());
        Self { standing, lag_seconds }
    }
}

fn render(lagging: &[Lagging], now: Timestamp, view: &View) -> String {
    if lagging.is_empty() {
        return "nothing stands by; see `holdfast standby sync`\n".to_owned();
    }
    let mut table = Table::new([
        Column::new("CLAIM"),
        Column::new("POINT"),
        Column::new("BEHIND"),
        Column::new("BROUGHT IN"),
        Column::new("APPLIED"),
        Column::new("SIZE"),
        Column::wide("NAME"),
    ]);
    for Lagging { standing, .. } in lagging {
        let [point, behind, took, applied] = match &standing.holds {
            Some(holds) => [
                Cell::from(&holds.point),
                span(between(holds.started, now)).into(),
                span(between(holds.started, holds.applied)).into(),
                age(holds.applied, now).into(),
            ],
            None => {
                [Cell::toned(Tone::Warning, "on its way"), Cell::from("-"), Cell::from("-"), Cell::from("-")]
            }
        };
        table.row([
            (&standing.claim).into(),
            point,
            behind,
            took,
            applied,
            size(standing.capacity).into(),
            (&standing.name).into(),
        ]);
    }
    table.render(view)
}
