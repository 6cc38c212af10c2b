//! The command line as a whole: the options that all commands share, then one command.

use clap::Parser;
use clap::builder::styling::{AnsiColor, Styles};

use crate::command::Command;
use crate::global::Global;

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
