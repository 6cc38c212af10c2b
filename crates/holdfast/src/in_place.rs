//! Restores onto what is there: what the commands that do it have in common.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use holdfast_model::manifest::MoverLimits;
use holdfast_model::restore::RestoreReport;
use holdfast_protect::backup::Movers;
use holdfast_protect::restore::{VolumeOrder, VolumesRequest, restore_volumes};
use holdfast_volume::files::{Compare, Extras, Verify};
use holdfast_volume::mover::{FileMode, FileRestore};
use tokio_util::sync::CancellationToken;

use crate::home::reports::Came;
use crate::interrupt;
use crate::points::Chosen;
use crate::progress::run::observer;
use crate::runs::{self, Begun, Busy, MoverArgs, SystemClock};
use crate::session::Session;

/// How files are restored.
#[derive(Debug, Clone, Args)]
pub(crate) struct How {
    /// Remove what the point does not have, in directories that are restored as a whole
    #[arg(long)]
    delete: bool,

    /// What tells that a file is as in the point: its size and time, or all of its content
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    compare: By,

    /// Read back from storage what was restored, and compare it with the point
    #[arg(long)]
    verify: bool,

    /// Restore device files, which give access to the node's hardware
    #[arg(long)]
    pub(crate) restore_devices: bool,

    /// Restore setuid bits and file capabilities
    #[arg(long)]
    pub(crate) restore_setuid: bool,
}

/// [`Compare`] on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum By {
    #[default]
    Times,
    Content,
}

impl How {
    pub(crate) fn extras(&self) -> Extras {
        if self.delete { Extras::Delete } else { Extras::Keep }
    }

    pub(crate) fn compare(&self) -> Compare {
        match self.compare {
            By::Times => Compare::Times,
            By::Content => Compare::Content,
        }
    }

    pub(crate) fn verify(&self) -> Verify {
        if self.verify { Verify::All } else { Verify::No }
    }

    /// The same for a mover.
    pub(crate) fn files(&self) -> FileRestore {
        FileRestore {
            mode: FileMode::Exact { extras: self.extras(), compare: self.compare() },
            verify: self.verify(),
            ..FileRestore::default()
        }
    }
}

/// How the cluster is gone about.
#[derive(Debug, Clone, Args)]
pub(crate) struct There {
    /// Restore also while pods that may write to the volume have it mounted: what they have open they go
    /// on with, and what they write meanwhile may be overwritten or mixed with what is restored
    #[arg(long)]
    pub(crate) live: bool,

    #[command(flatten)]
    busy: Busy,

    #[command(flatten)]
    movers: MoverArgs,
}

impl Session {
    /// Restores volumes of a point into claims of the cluster `to`.
    pub(crate) async fn restore_in_place(
        &self,
        chosen: Chosen,
        to: &str,
        orders: Vec<VolumeOrder>,
        (how, there): (&How, &There),
        cancel: CancellationToken,
    ) -> anyhow::Result<RestoreReport> {
        let target = self.open_cluster(Some(to)).await?;
        let mut settings = there.movers.settings(&target.spec, &MoverLimits::default());
        settings.restore_devices = how.restore_devices;
        settings.restore_setuid = how.restore_setuid;
        let id = chosen.found.application.id.clone();
        let access = chosen.found.vault.mover_access(&id);
        let begun = Begun::begin(self, format!("restore volumes of {}", chosen.summary.id))?;
        let request = VolumesRequest {
            cluster: target.cluster.clone(),
            repository: chosen.repository,
            point: chosen.summary,
            movers: access.map(|access| Movers { settings, access }),
            run: begun.id.clone(),
            volumes: orders,
            wait_busy: there.busy.wait(),
            dead: begun.dead.clone(),
            clock: Arc::new(SystemClock),
            journal: begun.journal.clone(),
            observer: observer(self),
            cancel,
        };
        let result = interrupt::on_worker(restore_volumes(request)).await.map_err(anyhow::Error::from);
        begun.report(self, &result, |report| (report.outcome, Came::Restore(Box::new(report.clone()))))?;
        let report = result?;
        // It settles first what dead runs of the application left.
        runs::settled(&self.home, target.cluster.name(), Some(&id))?;
        Ok(report)
    }
}
