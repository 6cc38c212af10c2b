//! `holdfast point`: what one recovery point holds.

use clap::{Args, Subcommand};
use holdfast_model::Outcome;

use crate::points::PointRef;
use crate::session::Session;

mod cat;
mod diff;
mod ls;
mod show;

/// What to look at.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a point says of itself
    Show(Named),
    /// List the objects of a point
    Ls(ls::Ls),
    /// Print an object of a point
    Cat(cat::Cat),
    /// Compare two points, object by object
    Diff(diff::Diff),
}

/// One point.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self {
            Command::Show(named) => show::run(session, &named.point),
            Command::Ls(ls) => ls.run(session),
            Command::Cat(cat) => cat.run(session),
            Command::Diff(diff) => diff.run(session),
        }
    }
}
