//! What of a point is restored, and how: what a plan and the restore of it have in common.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mapping::Mapping;
use super::modifier::{InvalidModifier, Modifier};
use super::policy::{InvalidPolicy, Policies};
use super::selection::{InvalidSelection, Selection};

/// Terms that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerms {
    /// The selection does not parse.
    #[error(transparent)]
    Selection(#[from] InvalidSelection),
    /// A policy does not parse.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
    /// A modifier cannot be used.
    #[error(transparent)]
    Modifier(#[from] InvalidModifier),
}

/// What of a point is restored, under which names, and what it may do to what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    /// Which of its objects.
    #[serde(skip_serializing_if = "Selection::is_everything")]
    pub selection: Selection,
    /// What is given other names.
    pub mapping: Mapping,
    /// What else is changed in them, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<Modifier>,
    /// What is done about objects that are there and differ.
    pub existing: Policies,
    /// Objects that give power over the cluster or over nodes are written, too; see [`super::privilege`].
    pub allow_privileged: bool,
    /// The hooks that the application has for restores are not run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_hooks: bool,
}
