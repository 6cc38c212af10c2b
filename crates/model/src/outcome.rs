//! How a run ended, and everything it has to own up to.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of a run. `Partial` always comes with at least one [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// All that was asked for was done.
    Completed,
    /// Something was left out; each such thing is named in the problems.
    Partial,
    /// Nothing usable came of it.
    Failed,
}

impl Outcome {
    /// `Partial` if there is any problem, else `Completed`.
    pub fn of(problems: &[Problem]) -> Self {
        if problems.is_empty() { Outcome::Completed } else { Outcome::Partial }
    }

    /// The exit code of the command line: 0, 3 or 1 (2 is a usage error).
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Completed => 0,
            Outcome::Failed => 1,
            Outcome::Partial => 3,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Completed => "Completed",
            Outcome::Partial => "Partial",
            Outcome::Failed => "Failed",
        })
    }
}

/// One thing that was not captured, restored or verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable code, e.g. `object.unreadable`; documented in docs/failure-modes.md.
    pub code: String,
    /// What it is about: an object, a claim, a file, as the user knows it.
    pub subject: String,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do about it; empty if there is nothing to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(code: &str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), subject: subject.into(), message: message.into(), hint: String::new() }
    }

    /// The same with what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_never_leaves_a_run_completed() {
        assert_eq!(Outcome::of(&[]), Outcome::Completed);
        let problem = Problem::new("object.unreadable", "secrets shop/a", "forbidden").hint("grant list");
        assert_eq!(problem.to_string(), "secrets shop/a: forbidden (grant list)");
        assert_eq!(Outcome::of(&[problem]), Outcome::Partial);
    }
}
