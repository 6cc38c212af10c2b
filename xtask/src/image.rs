//! The OCI archive of the image that holds `holdfast`: what movers run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use holdfast_testbed::images;

use crate::workspace::{self, Profile, build_program};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to write the archive
    #[arg(long, default_value_os_t = default_path())]
    out: PathBuf,
}

/// Where the archive goes unless told otherwise.
pub fn default_path() -> PathBuf {
    workspace::target().join("holdfast-image.tar")
}

/// Name of the image, with the version of this workspace.
pub fn name() -> String {
    format!("holdfast.dev/holdfast:{}", env!("CARGO_PKG_VERSION"))
}

/// Builds the release binary and writes its image.
pub fn run(arguments: &Arguments) -> Result<()> {
    let programs = build_program(Profile::Release)?;
    write(&programs.join("holdfast"), &arguments.out)?;
    eprintln!("wrote {} ({})", arguments.out.display(), name());
    Ok(())
}

/// Writes the image of one build of the program.
pub fn write(binary: &Path, out: &Path) -> Result<PathBuf> {
    images::archive_of_binary(&name(), binary, &[], out)
        .with_context(|| format!("cannot write the image {}", out.display()))?;
    Ok(out.to_owned())
}
