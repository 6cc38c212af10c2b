//! The report of a restore: what became of objects and volumes, what is ready, and how long it took.

use std::time::Duration;

use holdfast_model::restore::{ObjectResult, RestoreReport, Verdict};

use super::{SHOWN, problems};
use crate::output::amount::{between, count, size, span};
use crate::output::{Cell, Column, Details, Table, Tone, View};

/// The verdicts in the order of the table's columns.
const VERDICTS: [Verdict; 8] = [
    Verdict::Created,
    Verdict::Updated,
    Verdict::Unchanged,
    Verdict::Kept,
    Verdict::Deleted,
    Verdict::Skipped,
    Verdict::Differs,
    Verdict::Failed,
];

/// The whole report.
pub(crate) fn report(report: &RestoreReport, view: &View) -> String {
    let mut details = Details::new();
    details
        .field("Run", &report.run)
        .field("Outcome", Cell::outcome(report.outcome))
        .field("Point", &report.point)
        .field("Application", &report.application_name)
        .field("Cluster", &report.cluster)
        .field_if("Before", report.before.as_ref().map(ToString::to_string).unwrap_or_default())
        .field("Took", span(between(report.started, report.finished)));
    // A restore of data alone has no objects, and nothing that becomes ready.
    if !report.kinds.is_empty() {
        details.field("RTO", rto(report));
        details.section("Objects").text(&kinds(report, view));
    }
    volumes(report, view, &mut details);
    objects(report, view, &mut details);
    readiness(report, &mut details);
    super::point::hooks(&report.hooks, &mut details);
    if !report.notes.is_empty() {
        details.section("To know");
        for note in &report.notes {
            details.item(note);
        }
    }
    problems(&report.problems, &mut details);
    details.section("Steps").text(&steps(report, view));
    details.render(view)
}

fn rto(report: &RestoreReport) -> Cell {
    match report.ready_millis {
        Some(millis) => {
            Cell::toned(Tone::Good, format!("{} from start to ready", span(Duration::from_millis(millis))))
        }
        None if report.readiness.is_empty() => {
            Cell::toned(Tone::Faint, "not measured: nothing was waited for")
        }
        None => Cell::toned(Tone::Warning, "not measured: not everything became ready"),
    }
}

fn kinds(report: &RestoreReport, view: &View) -> String {
    let mut table = Table::new([
        Column::new("KIND"),
        Column::new("CREATED"),
        Column::new("UPDATED"),
        Column::new("UNCHANGED"),
        Column::new("KEPT"),
        Column::new("DELETED"),
        Column::new("SKIPPED"),
        Column::new("DIFFERS"),
        Column::new("FAILED"),
    ]);
    let row = |name: Cell, counts: [u64; 8]| {
        let [created, updated, unchanged, kept, deleted, skipped, differs, failed] = counts;
        let alarm = |number| if number > 0 { Cell::toned(Tone::Bad, count(number)) } else { zero(0) };
        [
            name,
            zero(created),
            zero(updated),
            zero(unchanged),
            zero(kept),
            zero(deleted),
            zero(skipped),
            alarm(differs),
            alarm(failed),
        ]
    };
    for kind in &report.kinds {
        let counts = VERDICTS.map(|verdict| kind.verdicts.get(&verdict).copied().unwrap_or_default());
        table.row(row((&kind.resource).into(), counts));
    }
    if report.kinds.len() > 1 {
        table.row(row(Cell::toned(Tone::Strong, "all"), VERDICTS.map(|verdict| report.count(verdict))));
    }
    table.render(view)
}

/// A count, or a dash that the eye passes over.
fn zero(number: u64) -> Cell {
    match number {
        0 => Cell::toned(Tone::Faint, "-"),
        number => count(number).into(),
    }
}

fn verdict(verdict: Verdict) -> Cell {
    let (tone, word) = match verdict {
        Verdict::Created => (Tone::Good, "created"),
        Verdict::Updated => (Tone::Good, "updated"),
        Verdict::Unchanged => (Tone::Plain, "unchanged"),
        Verdict::Kept => (Tone::Plain, "kept"),
        Verdict::Deleted => (Tone::Good, "deleted"),
        Verdict::Skipped => (Tone::Plain, "skipped"),
        Verdict::Differs => (Tone::Bad, "differs"),
        Verdict::Failed => (Tone::Bad, "failed"),
    };
    Cell::toned(tone, word)
}

fn volumes(report: &RestoreReport, view: &View, details: &mut Details) {
    if report.volumes.is_empty() {
        return;
    }
    let mut table = Table::new([
        Column::new("CLAIM"),
        Column::new("VERDICT"),
        Column::new("SIZE"),
        Column::new("ENTRIES"),
        Column::new("WRITTEN"),
        Column::wide("CHANGED"),
        Column::new("REMOVED"),
        Column::new("VERIFIED"),
        Column::wide("VOLUME"),
        Column::wide("SNAPSHOT"),
        Column::new("REASON"),
    ]);
    for volume in &report.volumes {
        table.row([
            format!("{}/{}", volume.namespace, volume.claim).into(),
            verdict(volume.verdict),
            size(volume.bytes).into(),
            count(volume.entries).into(),
            size(volume.bytes_written).into(),
            zero(volume.changed),
            zero(volume.deleted),
            match volume.verified {
                Some(told) => super::verified(told.bytes, told.different),
                None => zero(0),
            },
            (&volume.volume).into(),
            volume.snapshot.chars().take(8).collect::<String>().into(),
            (&volume.reason).into(),
        ]);
    }
    details.section(format!("Volumes ({})", report.volumes.len())).text(&table.render(view));
}

/// What is wrong is told in full; what was left out on purpose is cut, unless the table is wide.
fn objects(report: &RestoreReport, view: &View, details: &mut Details) {
    let is_wrong = |result: &&ObjectResult| matches!(result.verdict, Verdict::Failed | Verdict::Differs);
    let (wrong, others): (Vec<_>, Vec<_>) = report.objects.iter().partition(is_wrong);
    if !wrong.is_empty() {
        details.section(format!("Not as in the point ({})", wrong.len()));
        wrong.iter().for_each(|result| object(result, details));
    }
    if !others.is_empty() {
        let shown = if view.wide { others.len() } else { SHOWN.min(others.len()) };
        details.section(format!("Not created ({})", others.len()));
        others[..shown].iter().for_each(|result| object(result, details));
        if shown < others.len() {
            details.item(format!("and {} more: -o wide shows them", others.len() - shown));
        }
    }
}

fn object(result: &ObjectResult, details: &mut Details) {
    let Cell { text: word, tone } = verdict(result.verdict);
    let reason = if result.reason.is_empty() { String::new() } else { format!(": {}", result.reason) };
    details.item(Cell::toned(tone, format!("{} {word}{reason}", result.object)));
    for change in result.changes.iter().take(SHOWN) {
        details.item(format!("  {}", super::change(change)));
    }
}

fn readiness(report: &RestoreReport, details: &mut Details) {
    let waiting: Vec<_> = report.readiness.iter().filter(|one| !one.ready).collect();
    if report.readiness.is_empty() {
        return;
    }
    details.section(format!(
        "Ready ({} of {})",
        report.readiness.len() - waiting.len(),
        report.readiness.len()
    ));
    for one in &report.readiness {
        let after = span(Duration::from_millis(one.millis));
        details.item(match one.ready {
            true => Cell::from(format!("{} after {after}", one.object)),
            false => Cell::toned(Tone::Warning, format!("{} not within {after}: {}", one.object, one.reason)),
        });
    }
}

fn steps(report: &RestoreReport, view: &View) -> String {
    let mut table = Table::new([Column::new("STEP"), Column::new("BEGAN"), Column::new("TOOK")]);
    let mut steps: Vec<_> = report.steps.iter().collect();
    steps.sort_by_key(|step| step.start_millis);
    for step in steps {
        let at = |millis| span(Duration::from_millis(millis));
        table.row([
            (&step.name).into(),
            format!("+{}", at(step.start_millis)).into(),
            at(step.millis).into(),
        ]);
    }
    table.render(view)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_restore_ends_with_a_report() {
        let resource = |group: &str, plural: &str| json!({"group": group, "version": "v1", "kind": "X", "plural": plural, "namespaced": true});
        let with = |mut base: serde_json::Value, more: serde_json::Value| {
            base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            base
        };
        let object =
            |plural: &str, name: &str| with(resource("", plural), json!({"namespace": "shop", "name": name}));
        let full: RestoreReport = serde_json::from_value(json!({
            "run": "20261122t120000-aabbcc", "point": "20261122t101500-3fa9c1", "application": "a1",
            "applicationName": "shop", "cluster": "osaka", "outcome": "Partial",
            "started": "2026-11-22T12:00:00Z", "finished": "2026-11-22T12:00:41Z", "readyMillis": 39_500,
            "mapping": {"namespaces": {}, "storageClasses": {"fast": "slow"}},
            "kinds": [
                with(resource("", "secrets"), json!({"verdicts": {"created": 31_000, "skipped": 2, "differs": 1}})),
                with(resource("apps", "deployments"), json!({"verdicts": {"created": 3, "failed": 1}})),
            ],
            "objects": [
                {"object": object("secrets", "token"), "verdict": "skipped", "reason": "made by the token controller"},
                {"object": object("secrets", "db"), "verdict": "differs", "reason": "it was there already",
                 "changes": [{"path": "data.password", "kind": "changed"}]},
                {"object": object("configmaps", "web"), "verdict": "differs", "reason": "it was there already",
                 "changes": [{"path": "data.size", "kind": "changed", "before": "1", "after": "2"},
                             {"path": "data.colour", "kind": "added", "after": "red"}]},
            ],
            "volumes": [{"namespace": "shop", "claim": "data-db-0", "snapshot": "1f2e3d4c5b6a", "verdict": "created",
                         "volume": "pv9", "entries": 1200, "bytes": 900_000_000, "bytesWritten": 850_000_000, "changed": 1200, "deleted": 3,
                         "verified": {"entries": 1200, "bytes": 900_000_000, "different": 0}}],
            "readiness": [
                {"object": object("deployments", "web"), "ready": true, "millis": 39_500},
                {"object": object("deployments", "worker"), "ready": false, "millis": 300_000, "reason": "ImagePullBackOff"},
            ],
            "notes": ["ingresses.networking.k8s.io were written as v1"],
            "problems": [{"code": "restore.differs", "subject": "secrets shop/db", "message": "it differs",
                          "hint": "restore again with --existing replace"}],
            "steps": [{"name": "objects", "startMillis": 900, "millis": 30_000}, {"name": "read", "startMillis": 0, "millis": 880}],
        }))
        .unwrap();
        insta::assert_snapshot!(report(&full, &View::plain(false)));
    }
}
