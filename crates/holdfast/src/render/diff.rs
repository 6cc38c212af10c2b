//! How two points differ, object by object.

use holdfast_model::ObjectRef;
use holdfast_protect::diff::PointDiff;

use super::{change, problems};
use crate::output::amount::{count, size};
use crate::output::{Cell, Column, Details, Table, Tone, View};

/// All differences.
pub(crate) fn diff(diff: &PointDiff, view: &View) -> String {
    let mut details = Details::new();
    details
        .field("Before", &diff.before)
        .field("After", &diff.after)
        .field("Same", format!("{} objects", count(diff.same)))
        .field("Touched", format!("{} objects, in what belongs to the cluster alone", count(diff.touched)));
    objects("Added", "+", Tone::Good, &diff.added, &mut details);
    objects("Removed", "-", Tone::Bad, &diff.removed, &mut details);
    if !diff.changed.is_empty() {
        details.section(format!("Changed ({})", diff.changed.len()));
        for object in &diff.changed {
            details.item(Cell::toned(Tone::Warning, format!("~ {}", object.object)));
            for one in &object.changes {
                details.item(format!("    {}", change(one)));
            }
        }
    }
    volumes(diff, view, &mut details);
    problems(&diff.problems, &mut details);
    details.render(view)
}

fn objects(heading: &str, sign: &str, tone: Tone, objects: &[ObjectRef], details: &mut Details) {
    if objects.is_empty() {
        return;
    }
    details.section(format!("{heading} ({})", objects.len()));
    for object in objects {
        details.item(Cell::toned(tone, format!("{sign} {object}")));
    }
}

fn volumes(diff: &PointDiff, view: &View, details: &mut Details) {
    if diff.volumes.is_empty() {
        return;
    }
    let mut table = Table::new([
        Column::new("CLAIM"),
        Column::new("BEFORE"),
        Column::new("AFTER"),
        Column::new("CHANGED FILES"),
    ]);
    let amount = |bytes: Option<u64>| bytes.map_or("-".to_owned(), size);
    for volume in &diff.volumes {
        table.row([
            format!("{}/{}", volume.namespace, volume.claim).into(),
            amount(volume.before).into(),
            amount(volume.after).into(),
            size(volume.bytes_read).into(),
        ]);
    }
    details.section(format!("Volumes ({})", diff.volumes.len())).text(&table.render(view));
}

#[cfg(test)]
mod tests {
    use holdfast_model::ResourceType;
    use holdfast_model::restore::{Change, ChangeKind};
    use holdfast_protect::diff::{ObjectDiff, VolumeDiff};
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_listed_place_by_place() {
        let object = |plural: &str, name: &str| ObjectRef {
            resource: ResourceType {
                group: String::new(),
                version: "v1".into(),
                kind: "X".into(),
                plural: plural.into(),
                namespaced: true,
            },
            namespace: Some("shop".into()),
            name: name.into(),
        };
        let place = |path: &str, kind, before, after| Change { path: path.into(), kind, before, after };
        let changes = vec![
            place("data.size", ChangeKind::Changed, Some(json!("1")), Some(json!("2"))),
            place("data.colour", ChangeKind::Added, None, Some(json!("x".repeat(90)))),
            place("data.shape", ChangeKind::Removed, Some(json!(1)), None),
        ];
        let secret = vec![place("data.password", ChangeKind::Changed, None, None)];
        let all = PointDiff {
            before: "20261122t101500-000000".parse().unwrap(),
            after: "20261122t111500-000000".parse().unwrap(),
            added: vec![object("services", "web")],
            removed: vec![object("pods", "web-1")],
            changed: vec![
                ObjectDiff { object: object("configmaps", "web"), changes },
                ObjectDiff { object: object("secrets", "db"), changes: secret },
            ],
            touched: 12,
            same: 31_000,
            volumes: vec![VolumeDiff {
                namespace: "shop".into(),
                claim: "data".into(),
                before: None,
                after: Some(1 << 30),
                bytes_read: 4096,
            }],
            problems: Vec::new(),
        };
        insta::assert_snapshot!(diff(&all, &View::plain(false)));
    }
}
