//! The volumes' side of a backup.

use holdfast_model::Problem;
use holdfast_model::point::{Exclusion, VolumeCapture};

use super::BackupRequest;
use crate::capture::Claims;
use crate::error::Result;

/// What became of the volumes.
#[derive(Debug, Default)]
pub(super) struct Captures {
    pub(super) captured: Vec<VolumeCapture>,
    pub(super) problems: Vec<Problem>,
    pub(super) excluded: Vec<Exclusion>,
}

/// The volumes being captured.
pub(super) struct Volumes {
    done: Captures,
}

impl Volumes {
    pub(super) fn new(_request: &BackupRequest, claims: &Claims) -> Self {
        let mut done = Captures::default();
        for claim in &claims.capture {
            let subject = format!("data of claim {}/{}", claim.namespace, claim.name);
            done.problems.push(
                Problem::new("volume.no_mover", subject, "this backup was made without movers")
                    .hint("name an image that holds holdfast"),
            );
        }
        Self { done }
    }

    pub(super) fn needs_movers(&self) -> bool {
        false
    }

    pub(super) async fn ready(&mut self) -> Result<()> {
        Ok(())
    }

    pub(super) async fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    pub(super) async fn main_done(&mut self) -> Result<()> {
        Ok(())
    }

    pub(super) async fn late(&mut self) -> Result<()> {
        Ok(())
    }

    pub(super) async fn collect(&mut self) -> Result<Captures> {
        Ok(std::mem::take(&mut self.done))
    }

    pub(super) async fn abandon(&mut self) {}
}
