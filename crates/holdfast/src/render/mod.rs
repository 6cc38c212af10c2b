//! The model's words as people read them: points, restores, problems.

use holdfast_model::Consistency;
use holdfast_model::Problem;
use holdfast_model::point::{CaptureMethod, VolumeCapture};
use holdfast_model::restore::{Change, ChangeKind};
use holdfast_model::volume::CaptureForm;
use serde_json::Value;

use crate::output::amount::{count, size};
use crate::output::{Cell, Details, Tone};

pub(crate) mod diff;
pub(crate) mod plan;
pub(crate) mod point;
pub(crate) mod restore;
pub(crate) mod verification;

/// How many lines of one sort a summary shows before it says how many more there are.
pub(crate) const SHOWN: usize = 20;

/// A consistency as manifests write it.
pub(crate) fn consistency(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Live => "live",
        Consistency::Crash => "crash",
        Consistency::Group => "group",
        Consistency::Application => "application",
    }
}

/// How a volume was read.
pub(crate) fn method(volume: &VolumeCapture) -> &'static str {
    match (volume.method, volume.form) {
        (CaptureMethod::LiveFiles, _) => "live",
        (CaptureMethod::HeldFiles, _) => "holder pod",
        (CaptureMethod::HostPath, _) => "host path",
        (CaptureMethod::Snapshot, CaptureForm::Files) => "snapshot",
        (CaptureMethod::Snapshot, CaptureForm::Blocks) => "snapshot, as blocks",
    }
}

/// What reading back what was restored has come to.
pub(crate) fn verified(bytes: u64, different: u64) -> Cell {
    match different {
        0 => Cell::toned(Tone::Good, size(bytes)),
        different => Cell::toned(Tone::Bad, format!("{} differ", count(different))),
    }
}

/// Every problem by name, each with what to do about it. Never shortened: nothing is silently missing.
pub(crate) fn problems(problems: &[Problem], details: &mut Details) {
    if problems.is_empty() {
        return;
    }
    details.section(format!("Problems ({})", problems.len()));
    for problem in problems {
        details.item(Cell::toned(Tone::Warning, format!("{}: {}", problem.subject, problem.message)));
        if !problem.hint.is_empty() {
            details.item(format!("  {}", problem.hint));
        }
    }
}

/// One place at which two states differ: `+ data.colour: "red"`. Values that must not be shown are
/// not in it.
pub(crate) fn change(change: &Change) -> String {
    let value =
        |value: &Option<Value>| value.as_ref().map(|value| format!(": {}", short(value))).unwrap_or_default();
    match (change.kind, &change.before, &change.after) {
        (ChangeKind::Added, _, after) => format!("+ {}{}", change.path, value(after)),
        (ChangeKind::Removed, before, _) => format!("- {}{}", change.path, value(before)),
        (ChangeKind::Changed, Some(before), Some(after)) => {
            format!("~ {}: {} → {}", change.path, short(before), short(after))
        }
        (ChangeKind::Changed, _, _) => format!("~ {}", change.path),
    }
}

/// A value on one line, cut where it is too long to be read.
fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
