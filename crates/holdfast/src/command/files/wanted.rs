//! Paths and patterns of files as the user gives them, resolved against what a volume has.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdfast_volume::files::{self, Found, Selection};
use holdfast_volume::mover::Wanted;

use crate::error::Error;
use crate::volumes::OpenVolume;

/// A path as it was typed: any bytes that the shell can pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathArg(OsString);

impl From<&Path> for PathArg {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().to_owned())
    }
}

impl fmt::Display for PathArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl PathArg {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What it stands for in a volume: the entry at exactly this path, if there is one, else what it
    /// matches as a pattern.
    ///
    /// # Errors
    /// It stands for nothing there.
    pub(super) async fn resolve(&self, volume: &OpenVolume) -> anyhow::Result<Wanted> {
        if volume.entry(self.bytes()).await?.is_some() {
            return Ok(Wanted::Path(self.bytes().to_vec()));
        }
        let missing = async || anyhow::Ok(volume.missing(self.bytes()).await?.into());
        let Some(text) = self.0.to_str() else { return Err(missing().await?) };
        let mut selection = Selection::default();
        selection.add_pattern(text).map_err(|invalid| Error::Usage {
            what: invalid.to_string(),
            hint: "in patterns, `*` and `?` stand for parts of a name, `**` for any number of directories",
        })?;
        match matches_any(volume, &selection).await? {
            true => Ok(Wanted::Pattern(text.to_owned())),
            false => Err(missing().await?),
        }
    }
}

/// Ends a walk at the first thing that it comes by.
enum Ended {
    Found,
    Failed(holdfast_vault::Error),
}

impl From<holdfast_vault::Error> for Ended {
    fn from(error: holdfast_vault::Error) -> Self {
        Ended::Failed(error)
    }
}

async fn matches_any(volume: &OpenVolume, selection: &Selection) -> anyhow::Result<bool> {
    let first = |found: Found<'_>| match found {
        Found::Entry { .. } => Err(Ended::Found),
        // It is named when it is walked in earnest.
        Found::Unreadable { .. } => Ok(()),
    };
    match files::find(&volume.open.reader, &volume.stored.tree, selection, false, first).await {
        Ok(()) => Ok(false),
        Err(Ended::Found) => Ok(true),
        Err(Ended::Failed(error)) => Err(error.into()),
    }
}
