//! The capture itself: objects and volumes side by side, and the release of the application as
//! soon as its volumes are read.

use holdfast_model::point::HookRun;
use holdfast_vault::Writer;

use super::run::{Holding, Run};
use super::stop::Stop;
use super::survey::Surroundings;
use crate::capture::{Capture, Captured};
use crate::error::Result;

impl Run<'_> {
    /// Reads objects and volumes; gives the objects and the hold sessions that ended well.
    pub(super) async fn read(
        &self,
        around: &Surroundings,
        writer: &Writer,
        stop: &Stop,
        holding: &mut Holding,
    ) -> Result<(Captured, Vec<HookRun>)> {
        let capture = Capture {
            cluster: self.request.cluster.clone(),
            discovery: around.discovery.clone(),
            selector: self.selector.clone(),
            namespaces: around.namespaces.clone(),
            writer: writer.clone(),
            observer: self.request.observer.clone(),
        };
        let objects = stop.guard(self.steps.run("objects", capture.run()));
        stop.both(objects, self.read_volumes(stop, holding)).await
    }

    /// The volumes' side. The application is released on the way, while objects and snapshots may still
    /// be read.
    async fn read_volumes(&self, stop: &Stop, holding: &mut Holding) -> Result<Vec<HookRun>> {
        let Holding { volumes, sessions, debt, held } = holding;
        if volumes.is_running() {
            tokio::select! {
                () = self.steps.run("volumes", volumes.main()) => {}
                error = stop.reason_or_broken(sessions) => return Err(error),
            }
        }
        if !sessions.is_empty() {
            let said = sessions.before_late(&self.request.run);
            stop.guard(self.steps.run("before late", said)).await?;
        }
        if volumes.is_running() {
            tokio::select! {
                () = self.steps.run("late paths", volumes.late()) => {}
                error = stop.reason_or_broken(sessions) => return Err(error),
            }
        }
        let mut runs = Vec::new();
        if !sessions.is_empty() {
            runs = stop.guard(self.steps.run("end hold", sessions.end())).await?;
        }
        debt.pay(&self.steps).await;
        held.end();
        if volumes.is_running() {
            self.steps.run("snapshots", volumes.finish(stop.reason())).await?;
        }
        Ok(runs)
    }
}
