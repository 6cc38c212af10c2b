//! `holdfast files`: single files of the volumes of a recovery point.

use clap::Subcommand;
use holdfast_model::Outcome;

use crate::session::Session;

mod cat;
mod listing;
mod local;
mod ls;
mod restore;
mod wanted;

/// What to do with files.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the volumes of a point, or files of one of them
    Ls(ls::Ls),
    /// Print a file
    Cat(cat::Cat),
    /// Restore files to this machine, or into the volume of a claim
    Restore(Box<restore::Restore>),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self {
            Command::Ls(ls) => ls.run(session),
            Command::Cat(cat) => cat.run(session),
            Command::Restore(restore) => restore.run(session),
        }
    }
}
