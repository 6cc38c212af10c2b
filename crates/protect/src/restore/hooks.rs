//! Hooks after a restore: commands in the containers of what was restored, once it is ready.

use std::collections::BTreeSet;

use holdfast_cluster::Cluster;
use holdfast_model::hook::{OnFailure, RestoredHook};
use holdfast_model::point::{HookRun, Point};
use holdfast_model::restore::{Readiness, Terms};
use holdfast_model::{Problem, hook::HookTarget};

use crate::error::Result;
use crate::hooks::run_restored;

const HINT: &str =
    "see to what it found and run the restore again: what is there stays, and the hooks run again";

/// What became of the hooks.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) runs: Vec<HookRun>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
}

/// The hooks that a restore runs, in their order.
pub(super) fn wanted<'a>(point: &'a Point, terms: &Terms) -> &'a [RestoredHook] {
    if terms.no_hooks { &[] } else { &point.spec.hooks.restored }
}

/// Runs the hooks of the namespaces whose workloads were restored, one after the other.
///
/// # Errors
/// Of the cluster, if it cannot be asked for the pods.
pub(super) async fn run(
    cluster: &Cluster,
    hooks: &[RestoredHook],
    terms: &Terms,
    readiness: &[Readiness],
) -> Result<Ran> {
    let restored: BTreeSet<&str> =
        readiness.iter().filter_map(|one| one.object.namespace.as_deref()).collect();
    let restored: Vec<&str> = restored.into_iter().collect();
    let mut ran = Ran::default();
    for (at, hook) in hooks.iter().enumerate() {
        let target = at_target(&hook.target, terms);
        let is_here = |namespace: &str| restored.contains(&namespace);
        if !target.namespace.as_deref().map_or(!restored.is_empty(), is_here) {
            let why = "nothing that becomes ready was restored in its namespace";
            match terms.selection.is_everything() {
                // A part need not have to do with it; of the whole, its namespace is missing or wrong.
                false => ran.notes.push(format!("restored hook {} was not run: {why}", hook.name)),
                true => ran.problems.push(left_out(hook, why)),
            }
            continue;
        }
        match run_restored(cluster, &hook.exec(target), &restored).await? {
            Ok(run) => ran.runs.push(run),
            Err((place, reason)) => {
                let subject = format!("restored hook {}", hook.name);
                let message = format!("failed in {place}: {reason}");
                ran.problems.push(Problem::new("restore.hook", subject, message).hint(HINT));
                if hook.on_failure == OnFailure::Stop {
                    let left = hooks[at + 1..].iter();
                    ran.problems
                        .extend(left.map(|left| left_out(left, &format!("hook {} failed", hook.name))));
                    break;
                }
            }
        }
    }
    Ok(ran)
}

/// That nobody waited until the application was ready, so that none of the hooks ran.
pub(super) fn not_waited(hooks: &[RestoredHook]) -> Vec<Problem> {
    hooks.iter().map(|hook| left_out(hook, "nobody waited until the application was ready")).collect()
}

fn left_out(hook: &RestoredHook, why: &str) -> Problem {
    let subject = format!("restored hook {}", hook.name);
    Problem::new("restore.hook", subject, format!("was not run, because {why}")).hint(HINT)
}

fn at_target(target: &HookTarget, terms: &Terms) -> HookTarget {
    let namespace = target.namespace.as_ref().map(|name| terms.mapping.namespace(name).to_owned());
    HookTarget { namespace, ..target.clone() }
}
