//! The command line: options that all commands share, and the commands.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

use crate::command;
use crate::logging::Log;
use crate::output::Format;

const EXIT_CODES: &str = "\
Exit codes:
  0  Completed: all that was asked for was done
  1  Failed: nothing usable came of it
  2  The command line was wrong
  3  Partial: done, but something was left out or is damaged; each such thing is named";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Business continuity for applications on Kubernetes: protect, replicate, fail over, come back, prove it.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, styles = STYLES, after_help = EXIT_CODES, max_term_width = 110)]
#[command(disable_help_subcommand = true, propagate_version = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Form of the result
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_possible_values = true,
        help = "Form of the result: table, wide, json or yaml"
    )]
    pub(crate) output: Format,

    /// Vault to use, where the home knows several
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) vault: Option<String>,

    /// Context of the kubeconfig (or name of a declared cluster) to work on
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Kubeconfig file [default: $KUBECONFIG or ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Directory of manifests, keys and journals [default: $XDG_CONFIG_HOME/holdfast]
    #[arg(long, global = true, value_name = "DIR", env = "HOLDFAST_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,

    /// What to log on standard error: off, error, warn, info, debug or trace, and `,json` for JSON
    #[arg(
        long,
        global = true,
        value_name = "LEVEL[,json]",
        env = "HOLDFAST_LOG",
        default_value = "warn",
        hide_env_values = true
    )]
    pub(crate) log: Log,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, add and check vaults: the places that keep recovery points
    #[command(subcommand)]
    Vault(command::vault::Command),
    /// Declare applications: what is protected as one
    #[command(subcommand)]
    App(command::app::Command),
    /// Declare what the manifests of a file say: sites, clusters, vaults, applications, policies
    Apply(command::apply::Apply),
    /// Capture an application: objects and volumes become a recovery point
    Backup(command::backup::Backup),
    /// List the recovery points of an application
    Points(command::points::Points),
    /// Look into a recovery point
    #[command(subcommand)]
    Point(command::point::Command),
    /// Make an application run again from a recovery point, on any cluster
    Restore(command::restore::Restore),
    /// Release and remove what dead runs left in a cluster
    Sweep(command::sweep::Sweep),
    /// Print the least rights that a backup or a restore needs, as manifests
    Rbac(command::rbac::Rbac),
    /// Print the JSON Schema of a kind of manifest
    Schema(command::schema::Schema),
    /// Print the completion script of a shell
    Completion(command::completion::Completion),
    /// Print the version of this program and of the formats it writes
    Version,
}
