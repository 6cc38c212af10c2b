//! A comparison of a cluster with a point, as people read it.

use holdfast_model::restore::Verification;
use holdfast_model::restore::verification::{Deviation, DeviationKind};

use super::{SHOWN, change, problems};
use crate::output::amount::{between, count, span};
use crate::output::{Cell, Details, Tone, View};

/// The whole comparison; with `diff`, or wide, values are shown.
pub(crate) fn verification(found: &Verification, diff: bool, view: &View) -> String {
    let mut details = Details::new();
    details
        .field("Point", &found.point)
        .field("Application", &found.application_name)
        .field("Cluster", &found.cluster)
        .field("Outcome", Cell::outcome(found.outcome))
        .field("Took", span(between(found.started, found.finished)))
        .field("Identical", count(found.identical))
        .field("Left out", format!("{} on purpose", count(found.left_out)))
        .field("Deviating", deviating(found));
    for (heading, kind) in [
        ("Not there", DeviationKind::Missing),
        ("There, but not as in the point", DeviationKind::Differs),
        ("There, but not in the point", DeviationKind::Extra),
    ] {
        let all: Vec<&Deviation> = found.deviations.iter().filter(|one| one.kind == kind).collect();
        if all.is_empty() {
            continue;
        }
        details.section(format!("{heading} ({})", count(all.len() as u64)));
        let most = if view.wide { all.len() } else { SHOWN.min(all.len()) };
        all[..most].iter().for_each(|one| deviation(one, diff || view.wide, &mut details));
        if most < all.len() {
            details.item(format!("and {} more: -o wide shows them", count((all.len() - most) as u64)));
        }
    }
    if !found.notes.is_empty() {
        details.section("To know");
        for note in &found.notes {
            details.item(note);
        }
    }
    problems(&found.problems, &mut details);
    details.render(view)
}

fn deviating(found: &Verification) -> Cell {
    let tone = if found.deviating == 0 { Tone::Good } else { Tone::Bad };
    Cell::toned(tone, count(found.deviating))
}

fn deviation(one: &Deviation, values: bool, details: &mut Details) {
    let line = match one.reason.is_empty() {
        true => one.object.to_string(),
        false => format!("{}: {}", one.object, one.reason),
    };
    details.item(Cell::toned(Tone::Bad, line));
    if values {
        for place in &one.difference {
            details.item(format!("    {}", change(place)));
        }
    } else if !one.difference.is_empty() {
        let places: Vec<&str> = one.difference.iter().map(|place| place.path.as_str()).collect();
        details.item(format!("    at {}", places.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_deviates_is_named_with_its_places() {
        let object = |plural: &str, name: &str| {
            json!({"group": "", "version": "v1", "kind": "X", "plural": plural, "namespaced": true,
                "namespace": "shop", "name": name})
        };
        let found = json!({
            "point": "20261122t101500-3fa9c1", "application": "a1", "applicationName": "shop", "cluster": "osaka",
            "outcome": "Partial", "started": "2026-11-22T12:00:00Z", "finished": "2026-11-22T12:00:04Z",
            "mapping": {}, "existing": {}, "identical": 31_000, "leftOut": 4, "deviating": 2,
            "deviations": [
                {"object": object("secrets", "db"), "kind": "missing"},
                {"object": object("configmaps", "web"), "kind": "differs",
                 "difference": [{"path": "data.size", "kind": "changed", "before": "1", "after": "2"}]},
            ],
        });
        let found: Verification = serde_json::from_value(found).unwrap();
        for (name, diff) in [("places", false), ("values", true)] {
            insta::assert_snapshot!(name, verification(&found, diff, &View::plain(false)));
        }
    }
}
