//! What is said of an object that a target takes, but not quite as it was.

use holdfast_model::point::Point;
use holdfast_model::{ObjectRef, Outcome, Problem, ResourceType};

/// A field that the target does not know is lost; `None` if the server's remark is about anything else.
pub(super) fn unknown_field(target: &ObjectRef, warning: &str) -> Option<Problem> {
    let field = warning.strip_prefix("unknown field ")?;
    let message = format!("the target does not know its field {field} and left it out");
    let problem = Problem::new("restore.fields_dropped", target.to_string(), message);
    Some(problem.hint(
        "bring the target, or its CustomResourceDefinition, to the version of the source and restore again",
    ))
}

/// Fields that the version at the target has no place for.
pub(super) fn no_place_for(target: &ObjectRef, of: &ResourceType, lost: &[String]) -> Problem {
    let message = format!("version {} at the target has no place for {}", of.version, lost.join(", "));
    Problem::new("restore.fields_dropped", target.to_string(), message)
        .hint("have the target serve the captured version, or set these fields there by hand")
}

/// A node port that somebody else has.
pub(super) fn node_port_taken(target: &ObjectRef) -> Problem {
    let message = "a node port that it had is taken at the target; it got another";
    Problem::new("restore.node_port_taken", target.to_string(), message)
        .hint("free the port there and set it, or tell its clients")
}

/// Code and hint of what is not written because it gives power.
pub(super) const POWERFUL: (&str, &str) =
    ("restore.privileged", "look at it, and allow for it with --allow-privileged");

/// What an object would do that nobody allowed for.
pub(super) fn powerful(powers: &[String]) -> String {
    format!("it was not written, because it {}", powers.join(", and "))
}

/// The same before anything is written.
pub(super) fn would_be_powerful(powers: &[String]) -> String {
    format!("it would not be written, because it {}", powers.join(", and "))
}

/// Anything else that the server remarked.
pub(super) fn remarked(target: &ObjectRef, warning: &str) -> String {
    format!("{target}: the target's API server remarks: {warning}")
}

/// A place that was not mapped although it seems to mean a namespace that is.
pub(super) fn not_mapped(target: &ObjectRef, place: &str) -> String {
    format!("{target}: {place} seems to name a namespace that is mapped; it was not changed")
}

/// A point that is not whole itself; `None` if it is.
pub(super) fn partial(point: &Point) -> Option<String> {
    (point.outcome == Outcome::Partial).then(|| {
        format!(
            "point {} is itself Partial: {} things are not in it (`holdfast point show`)",
            point.id,
            point.problems.len()
        )
    })
}
