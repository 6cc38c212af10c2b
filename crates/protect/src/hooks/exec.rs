//! Commands run to their end: pre and post hooks.

use std::time::Duration;

use holdfast_cluster::{Cluster, Exec, ExecResult};
use holdfast_model::Problem;
use holdfast_model::hook::ExecHook;
use holdfast_model::point::HookRun;
use tokio::time::Instant;

use super::place::{self, NoPlace, Place};
use crate::error::{Error, Result};
use crate::progress::{OwedHook, millis};

/// How much of a hook's output is kept, in bytes.
const OUTPUT: usize = 4096;

/// Runs the pre hooks in their order; the first that fails ends it.
///
/// # Errors
/// [`Error::Hook`], [`Error::Cluster`]
pub async fn run_pre(cluster: &Cluster, hooks: &[ExecHook], namespaces: &[&str]) -> Result<Vec<HookRun>> {
    let mut runs = Vec::new();
    for hook in hooks {
        let place = place::find_soon(cluster, &hook.target, namespaces)
            .await?
            .map_err(|why| no_place("pre", hook, &why))?;
        runs.push(run(cluster, "pre", hook, &place).await?);
    }
    Ok(runs)
}

/// Runs a hook after a restore; if it fails, says where and why.
///
/// # Errors
/// [`Error::Cluster`]
pub(crate) async fn run_restored(
    cluster: &Cluster,
    hook: &ExecHook,
    namespaces: &[&str],
) -> Result<std::result::Result<HookRun, (String, String)>> {
    Ok(match place::find_soon(cluster, &hook.target, namespaces).await? {
        Ok(place) => {
            attempt(cluster, "restored", hook, &place).await.map_err(|reason| (place.to_string(), reason))
        }
        Err(why) => Err((place::describe(&hook.target), why.to_string())),
    })
}

/// Runs the owed post hooks, all of them, whatever becomes of each. Gives the runs and those hooks
/// that failed and are still owed.
pub async fn release(cluster: &Cluster, owed: &[OwedHook]) -> Released {
    let mut released = Released::default();
    for debt in owed {
        match settle(cluster, debt).await {
            Ok(run) => released.runs.extend(run),
            Err(error) => {
                let subject = format!("post hook {}", debt.hook.name);
                released.problems.push(
                    Problem::new("hook.post_failed", subject, error.to_string())
                        .hint("the application may still be held: look at it; the next backup or `holdfast sweep` tries again"),
                );
                released.owed.push(debt.clone());
            }
        }
    }
    released
}

/// What became of owed hooks.
#[derive(Debug, Default)]
pub struct Released {
    /// Those that ran.
    pub runs: Vec<HookRun>,
    /// Those that failed.
    pub problems: Vec<Problem>,
    /// Those that failed, to be tried again.
    pub owed: Vec<OwedHook>,
}

async fn settle(cluster: &Cluster, debt: &OwedHook) -> Result<Option<HookRun>> {
    let hook = &debt.hook;
    match place::find_owed(cluster, debt).await? {
        Ok(place) => run(cluster, "post", hook, &place).await.map(Some),
        // Where no pod runs there is nothing that could still be held.
        Err(NoPlace::NoPod) => Ok(None),
        Err(why) => Err(no_place("post", hook, &why)),
    }
}

async fn run(cluster: &Cluster, phase: &'static str, hook: &ExecHook, place: &Place) -> Result<HookRun> {
    let fail = |reason| Error::Hook { phase, hook: hook.name.clone(), place: place.to_string(), reason };
    attempt(cluster, phase, hook, place).await.map_err(fail)
}

/// Runs a command to its end; the error says why it failed.
async fn attempt(
    cluster: &Cluster,
    phase: &'static str,
    hook: &ExecHook,
    place: &Place,
) -> std::result::Result<HookRun, String> {
    let exec = Exec {
        namespace: place.namespace.clone(),
        pod: place.pod.clone(),
        container: Some(place.container.clone()),
        command: hook.command.clone(),
        stdin: false,
    };
    let began = Instant::now();
    let limit = Duration::from_secs(hook.timeout_seconds.into());
    let result = tokio::time::timeout(limit, cluster.run(exec, None, OUTPUT))
        .await
        .map_err(|_| format!("it did not end within {} s and may still be running", limit.as_secs()))?
        .map_err(|error| error.to_string())?;
    if result.code != 0 {
        return Err(describe(&result));
    }
    Ok(HookRun {
        name: hook.name.clone(),
        phase: phase.to_owned(),
        pod: place.to_string(),
        millis: millis(began.elapsed()),
        error: String::new(),
    })
}

fn no_place(phase: &'static str, hook: &ExecHook, why: &NoPlace) -> Error {
    let place = place::describe(&hook.target);
    Error::Hook { phase, hook: hook.name.clone(), place, reason: why.to_string() }
}

fn describe(result: &ExecResult) -> String {
    let output = if result.stderr.is_empty() { &result.stdout } else { &result.stderr };
    format!("exit code {}{}", result.code, tail(output))
}

/// The end of an output for an error message.
pub(super) fn tail(output: &[u8]) -> String {
    const SHOWN: usize = 400;
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    if text.is_empty() {
        return ", without a word".to_owned();
    }
    let from = text.ceil_char_boundary(text.len().saturating_sub(SHOWN));
    format!(": {}{}", if from > 0 { "…" } else { "" }, &text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_code_and_the_end_of_what_it_said() {
        let result = |stdout: &[u8], stderr: &[u8]| ExecResult {
            code: 3,
            stdout: stdout.to_vec(),
            stderr: stderr.to_vec(),
            truncated: false,
        };
        assert_eq!(describe(&result(b"out", b"FATAL: no\n")), "exit code 3: FATAL: no");
        assert_eq!(describe(&result(b"out", b"")), "exit code 3: out");
        assert_eq!(describe(&result(b"", b" \n")), "exit code 3, without a word");
        let long = describe(&result(b"", "ü".repeat(1000).as_bytes()));
        assert!(long.starts_with("exit code 3: …ü") && long.len() < 450, "{long}");
    }
}
