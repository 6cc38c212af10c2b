//! The options that all commands share.

use std::path::PathBuf;

use clap::Args;

use crate::logging::Log;
use crate::output::Format;

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
