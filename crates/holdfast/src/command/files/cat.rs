//! `holdfast files cat`: the content of one file, to standard output.

use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::Args;
use holdfast_model::Outcome;
use holdfast_vault::NodeKind;

use super::wanted::PathArg;
use crate::error::Error;
use crate::interrupt;
use crate::points::PointRef;
use crate::session::Session;
use crate::volumes::ClaimRef;

/// Prints a file of a volume.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// The volume
    #[arg(value_name = "NAMESPACE/CLAIM")]
    claim: ClaimRef,

    /// Path of the file from the root of the volume
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

impl Cat {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        interrupt::query(async || {
            let volume = session.open_volume(&self.point, &self.claim).await?;
            let path = PathArg::from(&*self.path);
            let Some(node) = volume.entry(path.bytes()).await? else {
                return Err(volume.missing(path.bytes()).await?.into());
            };
            if node.kind == NodeKind::File {
                volume.open.reader.file(&node, &mut stdout()?).await?;
                return Ok(Outcome::Completed);
            }
            let what = match node.kind {
                NodeKind::Symlink => {
                    format!("a symbolic link to `{}`", String::from_utf8_lossy(&node.link_target))
                }
                kind => format!("a {}", kind.as_str()),
            };
            let what = format!("`{path}` is not a file but {what}");
            Err(Error::Usage { what, hint: "`holdfast files ls POINT CLAIM PATH` lists directories" }.into())
        })
    }
}

/// Standard output as a file: its errors are not kept back in a buffer.
fn stdout() -> std::io::Result<tokio::fs::File> {
    let descriptor = std::io::stdout().as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(descriptor.into()))
}
