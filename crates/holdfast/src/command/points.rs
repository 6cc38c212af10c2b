//! `holdfast points`: the recovery points of an application, newest last.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_protect::point::PointSummary;
use jiff::Timestamp;

use crate::output::amount::{age, between, count, size, span};
use crate::output::{Cell, Column, Table, View};
use crate::render::consistency;
use crate::session::Session;
use crate::{edge, interrupt};

/// Lists points.
#[derive(Debug, Args)]
pub(crate) struct Points {
    /// Name or id of the application
    #[arg(value_name = "APP")]
    app: String,
}

impl Points {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let points = interrupt::query(async || {
            let found = session.find_application(&self.app).await?;
            Ok(found.points(session).await?.map(|(_, points)| points).unwrap_or_default())
        })?;
        session.output.show(&points.points, |view| table(&points.points, edge::now(), view))?;
        if points.points.is_empty() && !session.output.format().is_machine() {
            session.note(&format!("no points yet: make one with `holdfast backup {}`", self.app));
        }
        // What cannot be read was told; the list is not whole.
        Ok(Outcome::of(&points.unreadable))
    }
}

fn table(points: &[PointSummary], now: Timestamp, view: &View) -> String {
    let mut table = Table::new([
        Column::new("POINT"),
        Column::new("AGE"),
        Column::new("OUTCOME"),
        Column::new("CONSISTENCY"),
        Column::new("CLUSTER"),
        Column::new("OBJECTS"),
        Column::new("VOLUMES"),
        Column::new("SIZE"),
        Column::new("STORED"),
        Column::wide("TOOK"),
        Column::wide("EPOCH"),
        Column::wide("STARTED"),
        Column::wide("RUN"),
        Column::wide("BEFORE"),
    ]);
    for point in points {
        table.row([
            (&point.id).into(),
            age(point.started, now).into(),
            Cell::outcome(point.outcome),
            consistency(point.consistency).into(),
            (&point.cluster).into(),
            count(point.objects).into(),
            count(point.volumes).into(),
            size(point.bytes).into(),
            size(point.stored).into(),
            span(between(point.started, point.finished)).into(),
            point.epoch.into(),
            point.started.strftime("%Y-%m-%dT%H:%M:%SZ").into(),
            (&point.run).into(),
            point.before.as_ref().map_or_else(|| "-".into(), Into::into),
        ]);
    }
    table.render(view)
}

#[cfg(test)]
mod tests {
    use holdfast_model::Consistency;
    use holdfast_model::Epoch;
    use holdfast_vault::{BlobId, SnapshotId};

    use super::*;

    #[test]
    fn points_are_listed_with_age_and_size() {
        let started: Timestamp = "2026-11-22T10:15:00Z".parse().unwrap();
        let point = PointSummary {
            id: "20261122t101500-3fa9c1".parse().unwrap(),
            application: "a1".parse().unwrap(),
            application_name: "shop".into(),
            run: "20261122t101459-aabbcc".parse().unwrap(),
            epoch: Epoch(1),
            started,
            finished: "2026-11-22T10:17:05Z".parse().unwrap(),
            outcome: Outcome::Partial,
            consistency: Consistency::Application,
            cluster: "tokyo".into(),
            volumes: 2,
            objects: 31_000,
            bytes: 1_300_000_000,
            stored: 20_000_000,
            before: None,
            snapshot: SnapshotId::of(b""),
            root: BlobId::of(b""),
        };
        let now = "2026-11-22T13:35:00Z".parse().unwrap();
        let all = [point];
        insta::assert_snapshot!(table(&all, now, &View::plain(false)), @r"
        POINT                    AGE     OUTCOME   CONSISTENCY   CLUSTER   OBJECTS   VOLUMES   SIZE       STORED
        20261122t101500-3fa9c1   3h20m   Partial   application   tokyo     31,000    2         1.21 GiB   19.1 MiB
        ");
        assert!(table(&all, now, &View::plain(true)).contains("2m05s   1       2026-11-22T10:15:00Z"));
    }
}
