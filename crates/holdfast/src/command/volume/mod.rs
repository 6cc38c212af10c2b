//! `holdfast volume`: the data of claims, without the objects around it.

use clap::Subcommand;
use holdfast_model::Outcome;

use crate::session::Session;

mod restore;

/// What to do with volumes.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Restore the volumes of a point into claims that exist, where they are
    Restore(Box<restore::Restore>),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self {
            Command::Restore(restore) => restore.run(session),
        }
    }
}
