//! What can be relied on of the volumes of a point.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well the volumes of a point fit together and each is in itself, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// Files read while they may have changed: not crash-consistent.
    Live,
    /// Each volume as a power loss would leave it, but each at a moment of its own.
    Crash,
    /// All volumes as one power loss would leave them.
    Group,
    /// The application took part: hooks held it or it runs its own backup protocol.
    Application,
}
