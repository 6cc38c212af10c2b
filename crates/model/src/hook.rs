//! Hooks: what is run in an application's containers around a capture.
//!
//! `pre` runs before anything is captured and its failure stops the backup; `post` runs after the
//! capture whatever became of it, if any `pre` or `hold` ran. A `hold` keeps one session of a
//! program (a database client) open *during* the capture, because PostgreSQL 15 and later bind a
//! backup to the session that began it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All hooks of an application, in the order in which they are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Hooks {
    /// Run before capture; a failure stops the backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre: Vec<ExecHook>,
    /// Sessions held open during the capture of volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hold: Vec<HoldHook>,
    /// Run after capture, also after a failed, cancelled or killed one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post: Vec<ExecHook>,
    /// Run after a restore, when what was restored is ready; see [`RestoredHook`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<RestoredHook>,
}

impl Hooks {
    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which container a hook runs in: the first ready pod that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookTarget {
    /// Namespace of the pod; may be left out when the application has one namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels the pod must carry.
    pub labels: BTreeMap<String, String>,
    /// Container; the first one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// One command, run to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecHook {
    /// Name in reports.
    pub name: String,
    /// Where it runs.
    pub target: HookTarget,
    /// Program and arguments, executed without a shell.
    pub command: Vec<String>,
    /// Seconds after which the command has failed.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

/// One command that is run after each restore, in the order in which they are listed. A restore that is run
/// again runs it again, also where all was there: it must do no harm then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoredHook {
    /// Name in reports.
    pub name: String,
    /// Where it runs; a namespace is named as at the source.
    pub target: HookTarget,
    /// Program and arguments, executed without a shell.
    pub command: Vec<String>,
    /// Seconds after which the command has failed.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// Whether the hooks after it run if it fails; the restore is Partial either way.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl RestoredHook {
    /// Its command, to be run at `target`.
    pub fn exec(&self, target: HookTarget) -> ExecHook {
        let (name, command) = (self.name.clone(), self.command.clone());
        ExecHook { name, target, command, timeout_seconds: self.timeout_seconds }
    }
}

/// What follows when a hook after a restore fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The hooks after it are not run.
    #[default]
    Stop,
    /// They are.
    Continue,
}

/// One session held open while volumes are captured.
///
/// The program reads `begin` on its standard input; when it has printed the marker, capture starts.
/// After all but the late paths are captured it is sent `beforeLate` and a second marker; then
/// the late paths are captured, its input is closed and it must exit with 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldHook {
    /// Name in reports.
    pub name: String,
    /// Where it runs.
    pub target: HookTarget,
    /// The program that reads the session's text, e.g. `psql` with `ON_ERROR_STOP=1`.
    pub command: Vec<String>,
    /// Sent first.
    pub begin: String,
    /// Sent when all but the late paths has been captured.
    #[serde(default)]
    pub before_late: String,
    /// How the session is made to print a token: `\echo {token}` for psql, `echo {token}` for a shell.
    pub marker: String,
    /// Seconds that `begin` and `beforeLate` may each take.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// Seconds after which the application is released whatever happens.
    #[serde(default = "default_hold")]
    pub max_hold_seconds: u32,
    /// Paths that are captured only after `beforeLate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LatePath>,
}

/// A path within a claim that is captured last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatePath {
    /// Name of the claim, in the hook's namespace.
    pub claim: String,
    /// Path below the root of the volume, without a leading slash.
    pub path: String,
    /// Where the point shall hold it, if elsewhere: PostgreSQL's label is written beside the
    /// running server's files and belongs, in the copy, at `backup_label`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_as: Option<String>,
}

fn default_timeout() -> u32 {
    60
}

fn default_hold() -> u32 {
    3600
}
