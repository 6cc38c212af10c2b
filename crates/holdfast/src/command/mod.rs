//! The commands: what each takes, does and prints.

use holdfast_model::Outcome;

use crate::cli::Command;
use crate::session::Session;

pub(crate) mod app;
pub(crate) mod apply;
pub(crate) mod backup;
pub(crate) mod completion;
pub(crate) mod point;
pub(crate) mod points;
pub(crate) mod rbac;
pub(crate) mod restore;
pub(crate) mod schema;
pub(crate) mod sweep;
pub(crate) mod vault;
mod version;

/// Runs a command; its outcome becomes the exit code.
pub(crate) fn run(session: &Session, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Vault(command) => command.run(session),
        Command::App(command) => command.run(session),
        Command::Apply(command) => command.run(session),
        Command::Backup(command) => command.run(session),
        Command::Points(command) => command.run(session),
        Command::Point(command) => command.run(session),
        Command::Restore(command) => command.run(session),
        Command::Rbac(command) => command.run(session),
        Command::Sweep(command) => command.run(session),
        Command::Schema(command) => command.run(session),
        Command::Completion(command) => command.run(session),
        Command::Version => version::run(session),
    }
}
