//! `holdfast vault`: the places that keep recovery points.

use clap::Subcommand;
use holdfast_model::Outcome;

use crate::session::Session;

mod add;
mod check;
mod init;
mod list;
mod location;
mod restic_env;

/// What to do with vaults.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a vault and its key; the recovery key is written to a file for you to escrow
    Init(init::Init),
    /// Make a vault that exists known to this machine
    Add(add::Add),
    /// List the vaults that this machine knows
    List,
    /// Check that everything in the vaults is there and undamaged
    Check(check::Check),
    /// Print the variables with which stock restic opens an application's repository
    ResticEnv(restic_env::ResticEnv),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self {
            Command::Init(init) => init.run(session),
            Command::Add(add) => add.run(session),
            Command::List => list::run(session),
            Command::Check(check) => check.run(session),
            Command::ResticEnv(restic_env) => restic_env.run(session),
        }
    }
}
