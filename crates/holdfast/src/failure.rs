//! From any room's error to what the user reads: a message, a next step and a stable code.

use std::fmt;

use holdfast_model::manifest::InvalidManifest;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Stable code, documented in docs/failure-modes.md.
    pub(crate) code: String,
    /// What is wrong, with the name of the thing.
    pub(crate) message: String,
    /// What to do about it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) hint: String,
    #[serde(skip)]
    usage: bool,
}

impl Failure {
    /// Reads an error chain: contexts come first, and the first error that a room knows ends it,
    /// because a room's message tells its own causes.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let mut contexts = Vec::new();
        for cause in error.chain() {
            if let Some(known) = known(cause) {
                contexts.push(known.message);
                return Self { message: contexts.join(": "), ..known };
            }
            contexts.push(cause.to_string());
        }
        Self { code: "cli.other".to_owned(), message: contexts.join(": "), hint: String::new(), usage: false }
    }

    /// 2 if the command line was wrong, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn known(cause: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    if let Some(error) = cause.downcast_ref::<Error>() {
        let (code, hint) = (error.code().to_owned(), error.hint());
        return Some(Failure { code, message: error.to_string(), hint, usage: error.is_usage() });
    }
    if let Some(invalid) = cause.downcast_ref::<InvalidManifest>() {
        return Some(with_hint_inside("model.invalid_manifest", &invalid.to_string()));
    }
    let code = cause
        .downcast_ref()
        .map(holdfast_protect::Error::code)
        .or_else(|| cause.downcast_ref().map(holdfast_volume::Error::code))
        .or_else(|| cause.downcast_ref().map(holdfast_cluster::Error::code))
        .or_else(|| cause.downcast_ref().map(holdfast_vault::Error::code));
    Some(with_hint_inside(code?, &cause.to_string()))
}

/// The rooms write what to do behind the last semicolon of their message.
fn with_hint_inside(code: &str, text: &str) -> Failure {
    let (message, hint) = text.rsplit_once("; ").unwrap_or((text, ""));
    Failure { code: code.to_owned(), message: message.to_owned(), hint: hint.to_owned(), usage: false }
}

/// Whether the error is only that nobody reads our output any more.
pub(crate) fn is_closed_output(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_error_is_split_into_message_and_hint() {
        let error = holdfast_vault::Error::WrongKey { what: "vault `tokyo`".into() };
        let failure = Failure::of(&anyhow::Error::new(error).context("vault `tokyo`"));
        assert_eq!(failure.code, "vault.wrong_key");
        assert!(failure.message.starts_with("vault `tokyo`: the key does not open vault `tokyo`"));
        assert!(failure.hint.starts_with("look for the recovery key"), "{}", failure.hint);
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_wrong_command_line_exits_with_2() {
        let error = Error::Usage { what: "two of one".into(), hint: "choose" };
        let failure = Failure::of(&error.into());
        assert_eq!((failure.exit_code(), failure.hint.as_str()), (2, "choose"));
    }

    #[test]
    fn an_unknown_error_tells_its_whole_chain() {
        let error = anyhow::anyhow!("disk on fire").context("cannot sync");
        assert_eq!(Failure::of(&error).to_string(), "cannot sync: disk on fire");
    }
}
