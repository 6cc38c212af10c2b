//! The commands: what each takes, does and prints.

use clap::Subcommand;
use holdfast_model::Outcome;

use crate::session::Session;

pub(crate) mod app;
pub(crate) mod apply;
pub(crate) mod backup;
pub(crate) mod completion;
pub(crate) mod files;
mod mapping;
mod order;
mod plan;
mod planned;
pub(crate) mod point;
pub(crate) mod points;
pub(crate) mod rbac;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod snapshots;
pub(crate) mod standby;
pub(crate) mod sweep;
mod terms;
pub(crate) mod vault;
pub(crate) mod verify;
mod version;
pub(crate) mod volume;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, add and check vaults: the places that keep recovery points
    #[command(subcommand)]
    Vault(vault::Command),
    /// Declare applications: what is protected as one
    #[command(subcommand)]
    App(app::Command),
    /// Declare what the manifests of a file say: sites, clusters, vaults, applications, policies
    Apply(apply::Apply),
    /// Capture an application: objects and volumes become a recovery point
    Backup(backup::Backup),
    /// List the recovery points of an application
    Points(points::Points),
    /// Look into a recovery point
    #[command(subcommand)]
    Point(point::Command),
    /// Make an application run again from a recovery point, on any cluster
    Restore(restore::Restore),
    /// Say whether a cluster has what a recovery point holds, object by object
    Verify(verify::Verify),
    /// Show what backups and restores did
    #[command(subcommand)]
    Run(run::Command),
    /// Keep the volumes of an application ready at another cluster, and take over there
    #[command(subcommand)]
    Standby(standby::Command),
    /// List or remove the snapshots that the storage keeps after backups
    Snapshots(snapshots::Snapshots),
    /// Restore the data of claims that exist, without the objects around it
    #[command(subcommand)]
    Volume(volume::Command),
    /// List, print and restore single files of volumes
    #[command(subcommand)]
    Files(files::Command),
    /// Release and remove what dead runs left in a cluster
    Sweep(sweep::Sweep),
    /// Print the least rights that a backup or a restore needs, as manifests
    Rbac(rbac::Rbac),
    /// Print the JSON Schema of a kind of manifest
    Schema(schema::Schema),
    /// Print the completion script of a shell
    Completion(completion::Completion),
    /// Print the version of this program and of the formats it writes
    Version,
}

/// Runs a command; its outcome becomes the exit code. `program` is the whole command line, for its completion.
pub(crate) fn run(session: &Session, command: Command, program: clap::Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Vault(command) => command.run(session),
        Command::App(command) => command.run(session),
        Command::Apply(command) => command.run(session),
        Command::Backup(command) => command.run(session),
        Command::Points(command) => command.run(session),
        Command::Point(command) => command.run(session),
        Command::Restore(command) => command.run(session),
        Command::Verify(command) => command.run(session),
        Command::Run(command) => command.run(session),
        Command::Volume(command) => command.run(session),
        Command::Files(command) => command.run(session),
        Command::Rbac(command) => command.run(session),
        Command::Standby(command) => command.run(session),
        Command::Snapshots(command) => command.run(session),
        Command::Sweep(command) => command.run(session),
        Command::Schema(command) => command.run(session),
        Command::Completion(command) => command.run(session, program),
        Command::Version => version::run(session),
    }
}
