//! `holdfast standby`: volumes that follow the points of an application at another cluster.

use clap::Subcommand;
use holdfast_model::Outcome;

use crate::session::Session;

mod end;
mod promote;
mod status;
mod sync;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the volumes at a standby to the newest point, once or as points come
    Sync(sync::Sync),
    /// Say what stands by and how far it is behind
    Status(status::Status),
    /// Take over at the standby: its volumes are handed to the application, whatever their size
    Promote(promote::Promote),
    /// Remove what stands by
    End(end::End),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self {
            Command::Sync(command) => command.run(session),
            Command::Status(command) => command.run(session),
            Command::Promote(command) => command.run(session),
            Command::End(command) => command.run(session),
        }
    }
}
