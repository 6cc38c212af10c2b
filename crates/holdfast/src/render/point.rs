//! A recovery point: the summary at the end of a backup, and all that it says of itself.

use std::time::Duration;

use holdfast_model::Consistency;
use holdfast_model::point::{HookRun, Point};

use super::{SHOWN, consistency, method, problems};
use crate::output::amount::{between, count, counted, size, span};
use crate::output::{Cell, Column, Details, Table, Tone, View};

/// What a backup made, in a screenful.
pub(crate) fn summary(point: &Point, view: &View) -> String {
    let mut details = head(point);
    details.field("Objects", objects(point));
    volumes(point, view, &mut details);
    hooks(&point.hooks, &mut details);
    excluded(point, Some(SHOWN), &mut details);
    problems(&point.problems, &mut details);
    details.render(view)
}

/// All that a point says of itself.
pub(crate) fn details(point: &Point, view: &View) -> String {
    let mut details = head(point);
    let cluster = &point.cluster;
    details
        .field("Started", point.started)
        .field("Finished", point.finished)
        .field_if("Parent", point.parent.as_ref().map(ToString::to_string).unwrap_or_default())
        .field("Epoch", point.epoch)
        .field("Run", &point.run)
        .field("Application id", &point.application)
        .field("Program", &point.program)
        .field("Cluster uid", &cluster.uid)
        .field("Kubernetes", &cluster.version)
        .field("Nodes", nodes(point))
        .field("Storage classes", storage_classes(point))
        .field("Lists spread", span(Duration::from_millis(point.list_spread_millis)));
    details.section(format!("Objects ({})", count(total(point)))).text(&kinds(point, view));
    volumes(point, view, &mut details);
    hooks(&point.hooks, &mut details);
    if !cluster.images.is_empty() {
        details.section("Images");
        for (reference, digest) in &cluster.images {
            details.item(format!("{reference}  {digest}"));
        }
    }
    excluded(point, None, &mut details);
    problems(&point.problems, &mut details);
    details.render(view)
}

fn head(point: &Point) -> Details {
    let mut details = Details::new();
    let took = between(point.started, point.finished);
    let stored = &point.stored;
    details
        .field("Point", &point.id)
        .field("Outcome", Cell::outcome(point.outcome))
        .field("Application", &point.application_name)
        .field("Cluster", &point.cluster.name)
        .field("Consistency", consistency_of(point))
        .field("Took", span(took))
        .field("Stored", format!("{} of {} seen", size(stored.bytes_stored), size(stored.bytes_seen)));
    if let Some(held) = held(point) {
        details.field("Held", format!("the application for {}", span(held)));
    }
    details
}

/// `crash, per volume, snapshots 12 ms apart`.
fn consistency_of(point: &Point) -> String {
    let mut text = consistency(point.consistency).to_owned();
    if let Some(spread) = point.cut_spread_millis {
        text.push_str(match (point.consistency, spread) {
            (Consistency::Crash, _) => ", per volume",
            _ => "",
        });
        text.push_str(&format!(", snapshots {spread} ms apart"));
    }
    if point.consistency == Consistency::Live {
        text.push_str(", not crash-consistent");
    }
    text
}

/// How long the application was held; in points of older programs, the longest hold.
fn held(point: &Point) -> Option<Duration> {
    if let Some(held) = point.held_millis {
        return Some(Duration::from_millis(held));
    }
    let holds = point.hooks.iter().filter(|hook| hook.phase == "hold");
    holds.map(|hook| Duration::from_millis(hook.millis)).max()
}

fn total(point: &Point) -> u64 {
    point.kinds.iter().map(|kind| kind.objects).sum()
}

/// `152 of 31 kinds: 40 secrets, 30 configmaps, 12 deployments.apps and 28 more kinds`.
fn objects(point: &Point) -> String {
    const NAMED: usize = 5;
    let mut kinds: Vec<_> = point.kinds.iter().filter(|kind| kind.objects > 0).collect();
    kinds.sort_by(|a, b| b.objects.cmp(&a.objects).then_with(|| a.resource.cmp(&b.resource)));
    let named: Vec<_> =
        kinds.iter().take(NAMED).map(|kind| format!("{} {}", count(kind.objects), kind.resource)).collect();
    let mut text = format!("{} of {}", count(total(point)), counted(kinds.len() as u64, "kind"));
    if !named.is_empty() {
        text.push_str(&format!(": {}", named.join(", ")));
    }
    if let Some(more) = kinds.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn kinds(point: &Point, view: &View) -> String {
    let mut table = Table::new([
        Column::new("KIND"),
        Column::new("VERSION"),
        Column::new("OBJECTS"),
        Column::new("SIZE"),
        Column::wide("RESOURCE VERSION"),
    ]);
    for kind in &point.kinds {
        table.row([
            (&kind.resource).into(),
            (&kind.resource.version).into(),
            count(kind.objects).into(),
            size(kind.bytes).into(),
            (&kind.resource_version).into(),
        ]);
    }
    table.render(view)
}

fn volumes(point: &Point, view: &View, details: &mut Details) {
    if point.volumes.is_empty() {
        return;
    }
    let mut table = Table::new([
        Column::new("CLAIM"),
        Column::new("SIZE"),
        Column::new("READ"),
        Column::new("STORED"),
        Column::new("ENTRIES"),
        Column::new("FROM"),
        Column::new("TOOK"),
        Column::wide("CHANGED"),
        Column::wide("CLASS"),
        Column::wide("ACCESS"),
        Column::wide("NODE"),
        Column::wide("SNAPSHOT"),
    ]);
    for volume in &point.volumes {
        table.row([
            format!("{}/{}", volume.namespace, volume.claim).into(),
            size(volume.bytes).into(),
            size(volume.bytes_read).into(),
            size(volume.bytes_stored).into(),
            count(volume.entries).into(),
            method(volume).into(),
            span(between(volume.started, volume.finished)).into(),
            count(volume.changed_while_read).into(),
            if volume.storage_class.is_empty() { "-" } else { &volume.storage_class }.into(),
            access(&volume.access_modes).into(),
            volume.node.as_deref().unwrap_or("-").into(),
            volume.snapshot.chars().take(8).collect::<String>().into(),
        ]);
    }
    details.section(format!("Volumes ({})", point.volumes.len())).text(&table.render(view));
}

/// Access modes as kubectl shows them: `RWO,ROX`.
fn access(modes: &[String]) -> String {
    let short = |mode: &String| match mode.as_str() {
        "ReadWriteOnce" => "RWO".to_owned(),
        "ReadOnlyMany" => "ROX".to_owned(),
        "ReadWriteMany" => "RWX".to_owned(),
        "ReadWriteOncePod" => "RWOP".to_owned(),
        other => other.to_owned(),
    };
    if modes.is_empty() { "-".to_owned() } else { modes.iter().map(short).collect::<Vec<_>>().join(",") }
}

pub(super) fn hooks(hooks: &[HookRun], details: &mut Details) {
    if hooks.is_empty() {
        return;
    }
    details.section("Hooks");
    for hook in hooks {
        let took = span(Duration::from_millis(hook.millis));
        let line = format!("{} {} in {}: {took}", hook.phase, hook.name, hook.pod);
        details.item(match hook.error.as_str() {
            "" => Cell::from(line),
            error => Cell::toned(Tone::Warning, format!("{line}: {error}")),
        });
    }
}

fn excluded(point: &Point, most: Option<usize>, details: &mut Details) {
    if point.excluded.is_empty() {
        return;
    }
    let all = point.excluded.len();
    let shown = most.unwrap_or(all).min(all);
    details.section(format!("Left out on purpose ({all})"));
    for exclusion in &point.excluded[..shown] {
        details.item(format!("{}: {}", exclusion.subject, exclusion.reason));
    }
    if shown < all {
        details.item(format!("and {} more: holdfast point show {}", all - shown, point.id));
    }
}

fn nodes(point: &Point) -> String {
    let nodes = &point.cluster.nodes;
    let mut kinds: Vec<_> = nodes.iter().map(|node| node.architecture.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    match kinds.is_empty() {
        true => "none".to_owned(),
        false => format!("{} ({})", nodes.len(), kinds.join(", ")),
    }
}

fn storage_classes(point: &Point) -> String {
    let name = |class: &holdfast_model::point::StorageClassFacts| match class.default {
        true => format!("{} (default)", class.name),
        false => class.name.clone(),
    };
    let names: Vec<_> = point.cluster.storage_classes.iter().map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A point with one of everything.
    fn point() -> Point {
        let resource = |group: &str, plural: &str, objects: u64| {
            json!({"group": group, "version": "v1", "kind": "X", "plural": plural, "namespaced": true,
                   "objects": objects, "bytes": objects * 900, "resourceVersion": "4711"})
        };
        serde_json::from_value(json!({
            "format": 1, "program": "holdfast 0.1.0", "id": "20261122t101500-3fa9c1",
            "run": "20261122t101459-aabbcc", "tenant": "default", "application": "a0123456789abcdef",
            "applicationName": "shop", "spec": {"scope": {"namespaces": ["shop"]}}, "epoch": 1,
            "started": "2026-11-22T10:15:00Z", "finished": "2026-11-22T10:15:07.3Z", "outcome": "Partial",
            "consistency": "application", "parent": "20261121t101500-000000",
            "cluster": {
                "name": "tokyo", "uid": "0b5d", "version": "v1.36.3", "apiVersions": ["v1"],
                "nodes": [{"name": "n1", "architecture": "amd64", "kubelet": "v1.36.3", "allocatable": {}}],
                "storageClasses": [{"name": "fast", "provisioner": "x", "default": true}],
                "images": {"postgres:15": "sha256:abcd"},
            },
            "kinds": [resource("", "secrets", 40), resource("", "configmaps", 30), resource("apps", "deployments", 3),
                      resource("batch", "jobs", 2), resource("", "services", 2), resource("", "pods", 9),
                      resource("apps", "daemonsets", 0)],
            "listSpreadMillis": 412,
            "volumes": [{
                "namespace": "shop", "claim": "data-db-0", "volume": "pv1", "storageClass": "fast",
                "capacity": 1073741824, "accessModes": ["ReadWriteMany"], "method": "live-files", "node": "n1",
                "snapshot": "1f2e3d4c5b6a", "started": "2026-11-22T10:15:01Z", "finished": "2026-11-22T10:15:05Z",
                "entries": 1200, "bytes": 900000000, "bytesRead": 20000000, "bytesStored": 9000000, "changedWhileRead": 3,
            }],
            "hooks": [{"name": "postgres", "phase": "hold", "pod": "shop/db-0", "millis": 4100},
                      {"name": "thaw", "phase": "post", "pod": "shop/db-0", "millis": 80, "error": "exit code 1"}],
            "problems": [{"code": "object.unreadable", "subject": "widgets.example.com", "message": "webhook is down",
                          "hint": "start it and back up again"}],
            "excluded": [{"subject": "pod shop/web: emptyDir cache", "reason": "emptyDir volumes are not captured"}],
            "stored": {"bytesSeen": 920000000, "bytesNew": 21000000, "bytesStored": 9500000},
        }))
        .unwrap()
    }

    #[test]
    fn a_backup_ends_with_a_summary() {
        insta::assert_snapshot!(summary(&point(), &View::plain(false)));
    }

    #[test]
    fn a_point_shows_all_it_says_of_itself() {
        insta::assert_snapshot!(details(&point(), &View::plain(true)));
    }

    #[test]
    fn a_long_list_of_exclusions_is_cut_in_the_summary_alone() {
        let mut point = point();
        point.excluded = vec![point.excluded[0].clone(); SHOWN + 7];
        let short = summary(&point, &View::plain(false));
        assert!(short.contains("and 7 more: holdfast point show 20261122t101500-3fa9c1"), "{short}");
        assert!(!details(&point, &View::plain(false)).contains("and 7 more"));
    }
}
