//! `holdfast completion`: the script that makes a shell complete our commands and options.

use clap::Args;
use clap_complete::Shell;
use holdfast_model::Outcome;

use crate::session::Session;

/// Prints a completion script, e.g. `source <(holdfast completion bash)`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self, session: &Session, mut program: clap::Command) -> anyhow::Result<Outcome> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "holdfast", &mut script);
        session.output.raw(&script)?;
        Ok(Outcome::Completed)
    }
}
