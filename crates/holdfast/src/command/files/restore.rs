//! `holdfast files restore`: single files or directories, to this machine or into a claim's volume.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use holdfast_model::Outcome;
use holdfast_model::restore::RestoreReport;
use holdfast_protect::restore::VolumeOrder;
use holdfast_volume::mover::{FileRestore, Wanted};
use tokio_util::sync::CancellationToken;

use super::local::{self, Local};
use super::wanted::PathArg;
use crate::in_place::{How, There};
use crate::points::PointRef;
use crate::session::Session;
use crate::volumes::{ClaimRef, OpenVolume};
use crate::{interrupt, render};

/// Restores files.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["target", "to"]))]
pub(crate) struct Restore {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// The volume
    #[arg(value_name = "NAMESPACE/CLAIM")]
    claim: ClaimRef,

    /// Files and directories of the volume, or patterns: *, ? and [..] within a name, ** for any
    /// directories; without, everything
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Directory of this machine to restore below; no cluster is needed
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,

    /// Context (or name of a declared cluster) that has the claim to restore into
    #[arg(long, value_name = "CONTEXT")]
    to: Option<String>,

    /// Restore into this claim instead of the volume's own
    #[arg(long, value_name = "NAMESPACE/CLAIM", requires = "to")]
    into: Option<ClaimRef>,

    /// Directory of the claim's volume to restore below, instead of to the files' own places
    #[arg(long, value_name = "PATH", requires = "to", conflicts_with = "delete")]
    at: Option<String>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    there: There,
}

/// What came of it, where.
enum Restored {
    Here(Local),
    There(Box<RestoreReport>),
}

impl Restore {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match interrupt::run(async |cancel| self.restore(session, cancel).await)? {
            Restored::Here(report) => {
                session.output.show(&report, |view| local::render(&report, view))?;
                Ok(report.outcome)
            }
            Restored::There(report) => {
                session.output.show(&report, |view| render::restore::report(&report, view))?;
                Ok(report.outcome)
            }
        }
    }

    async fn restore(&self, session: &Session, cancel: CancellationToken) -> anyhow::Result<Restored> {
        let volume = session.open_volume(&self.point, &self.claim).await?;
        let mut select = Vec::new();
        for path in &self.paths {
            select.push(PathArg::from(&**path).resolve(&volume).await?);
        }
        match (&self.target, &self.to) {
            (Some(target), _) => {
                let restored = local::restore(session, &volume, target, &select, &self.how, cancel);
                Ok(Restored::Here(restored.await?))
            }
            (None, to) => {
                let to = to.as_deref().unwrap_or_default();
                let report = self.restore_there(session, volume, to, select, cancel);
                Ok(Restored::There(Box::new(report.await?)))
            }
        }
    }

    async fn restore_there(
        &self,
        session: &Session,
        volume: OpenVolume,
        to: &str,
        select: Vec<Wanted>,
        cancel: CancellationToken,
    ) -> anyhow::Result<RestoreReport> {
        let from = (volume.capture.namespace.clone(), volume.capture.claim.clone());
        let into = self.into.as_ref().map(ClaimRef::full).transpose()?.unwrap_or_else(|| from.clone());
        let at = self.at.clone().unwrap_or_default();
        let files = FileRestore { select, at, ..self.how.files() };
        let order = VolumeOrder { from, into, files, live: self.there.live };
        session.restore_in_place(volume.chosen, to, vec![order], (&self.how, &self.there), cancel).await
    }
}
