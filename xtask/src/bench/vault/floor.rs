//! What cannot be beaten: copying without keeping anything, and looking at every file.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::place::Place;
use super::program::{Job, Program, output};

/// `cp -a` for copies both ways, `find` for a tree in which nothing has changed.
pub struct Floor;

/// Removes the copy of a place, to make room.
pub fn forget(place: &Place) -> Result<()> {
    let copy = place.state().join("copy");
    std::fs::remove_dir_all(&copy).with_context(|| format!("cannot remove {}", copy.display()))
}

impl Program for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn version(&self) -> Result<String> {
        let said = output(Command::new("cp").arg("--version"))?;
        Ok(format!("{}; cp -a, and find for trees already copied", said.lines().next().unwrap_or("cp")))
    }

    fn create(&self, _: &Place) -> Result<()> {
        Ok(())
    }

    fn backup(&self, place: &Place, source: &Path) -> Result<Job> {
        let copy = place.state().join("copy");
        if copy.exists() {
            let mut command = Command::new("find");
            command.arg(source).args(["-type", "f", "-size", "+1000G", "-newerct", "2000-01-01"]);
            return Ok(command.into());
        }
        let mut command = Command::new("cp");
        command.arg("-a").arg(source).arg(copy);
        Ok(command.into())
    }

    fn restore(&self, place: &Place, _: &Path) -> Result<Job> {
        let mut command = Command::new("cp");
        command.arg("-a").arg(place.state().join("copy")).arg(place.restored());
        Ok(command.into())
    }
}
