//! The commands: what each takes, does and prints.

use holdfast_model::Outcome;

use crate::cli::Command;
use crate::session::Session;

pub(crate) mod app;
pub(crate) mod apply;
pub(crate) mod completion;
pub(crate) mod schema;
pub(crate) mod vault;
mod version;

/// Runs a command; its outcome becomes the exit code.
pub(crate) fn run(session: &Session, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Vault(command) => command.run(session),
        Command::App(command) => command.run(session),
        Command::Apply(command) => command.run(session),
        Command::Schema(command) => command.run(session),
        Command::Completion(command) => command.run(session),
        Command::Version => version::run(session),
    }
}
