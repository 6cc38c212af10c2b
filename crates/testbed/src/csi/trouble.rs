//! What drivers do badly on purpose: a test writes it beside their pool, and they look before every call.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tonic::Status;

use super::driver::Driver;
use crate::error::{At, Error, Result};

/// The trouble that a site's storage is in. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// RPCs that fail, by their names in the specification: `NodeUnpublishVolume`, say.
    pub refused: Vec<String>,
    /// How many of the next streams of snapshot metadata break off behind their first range.
    pub broken_streams: u32,
}

impl Trouble {
    /// Tells the drivers of the pool in directory `dir`: they heed it from their next call on.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn tell(&self, dir: &Path) -> Result<()> {
        let (path, draft) = (file(dir), dir.join(".trouble.json"));
        let content = serde_json::to_vec(self).at("write", &draft)?;
        std::fs::write(&draft, content).at("write", &draft)?;
        std::fs::rename(&draft, path).at("rename", draft)
    }

    fn told(dir: &Path) -> Result<Self> {
        let path = file(dir);
        match std::fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content)
                .map_err(|error| Error::Record { path, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).at("read", path),
        }
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("trouble.json")
}

impl Driver {
    /// Fails if calls of this RPC are to fail now.
    pub(super) fn check_not_refused(&self, method: &str) -> Result<(), Status> {
        let told = Trouble::told(self.pool.dir())?;
        if told.refused.iter().any(|refused| refused == method) {
            return Err(Status::internal(format!("the storage refuses {method} for now")));
        }
        Ok(())
    }

    /// Whether the next stream is to break off; each that is asked for counts.
    pub(super) fn next_stream_breaks(&self) -> Result<bool> {
        let _held = self.pool.lock()?;
        let told = Trouble::told(self.pool.dir())?;
        let Some(left) = told.broken_streams.checked_sub(1) else { return Ok(false) };
        Trouble { broken_streams: left, ..told }.tell(self.pool.dir())?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csi::trial::Trial;

    #[test]
    fn a_driver_refuses_what_it_is_told_to_and_counts_streams() {
        let trial = Trial::start("trouble");
        let driver = &trial.driver;
        assert!(driver.check_not_refused("DeleteVolume").is_ok() && !driver.next_stream_breaks().unwrap());
        let trouble = Trouble { refused: vec!["DeleteVolume".into()], broken_streams: 1 };
        trouble.tell(driver.pool.dir()).unwrap();
        assert!(driver.check_not_refused("DeleteVolume").is_err());
        assert!(driver.check_not_refused("CreateVolume").is_ok());
        assert!(driver.next_stream_breaks().unwrap() && !driver.next_stream_breaks().unwrap());
        assert!(driver.check_not_refused("DeleteVolume").is_err(), "a broken stream changes nothing else");
        Trouble::default().tell(driver.pool.dir()).unwrap();
        assert!(driver.check_not_refused("DeleteVolume").is_ok());
    }
}
