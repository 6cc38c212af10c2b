//! The `ip` program, by which interfaces, namespaces and routes are made.

use crate::error::Result;
use crate::tool;

/// Runs `ip` with `words`, which single spaces part.
pub(super) fn ip(words: &str) -> Result<String> {
    tool::run("ip", &words.split(' ').collect::<Vec<_>>())
}
