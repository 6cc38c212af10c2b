//! What every command is given: the home, the form of output, how to reach vaults and clusters.

use std::io::IsTerminal;
use std::path::PathBuf;

use indicatif::MultiProgress;

use crate::error::Result;
use crate::global::Global;
use crate::home::Home;
use crate::output::paint::printable;
use crate::output::{Output, Paint, Tone};

/// One invocation of the program.
#[derive(Debug)]
pub(crate) struct Session {
    /// Manifests, keys and journals of this user.
    pub(crate) home: Home,
    /// Results, on standard output.
    pub(crate) output: Output,
    /// Progress bars on standard error; logs and notes are written above them.
    pub(crate) bars: MultiProgress,
    /// The vault named on the command line.
    pub(crate) vault: Option<String>,
    /// The context named on the command line.
    pub(crate) context: Option<String>,
    /// The kubeconfig named on the command line.
    pub(crate) kubeconfig: Option<PathBuf>,
    stderr: Paint,
}

impl Session {
    /// The session that the options ask for; logging starts here.
    pub(crate) fn start(global: Global) -> Result<Self> {
        let bars = MultiProgress::new();
        global.log.start(&bars);
        Ok(Self {
            home: Home::locate(global.home)?,
            output: Output::new(global.output),
            bars,
            vault: global.vault,
            context: global.context,
            kubeconfig: global.kubeconfig,
            stderr: Paint::for_stream(std::io::stderr().is_terminal()),
        })
    }

    /// Tells the user something beside the result, on standard error.
    pub(crate) fn note(&self, text: &str) {
        self.bars.suspend(|| eprintln!("{}", printable(text)));
    }

    /// Tells the user what is happening, on standard error.
    pub(crate) fn say(&self, text: &str) {
        self.bars.suspend(|| eprintln!("{}", printable(text)));
    }

    /// Tells the user something that they should look at, on standard error.
    pub(crate) fn warn(&self, text: &str) {
        let word = self.stderr.apply(Tone::Warning, "warning:");
        self.bars.suspend(|| eprintln!("{word} {}", printable(text)));
    }
}
