//! What happens by time: index files while a writer works, refreshed locks, and the end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::core::Core;
use crate::error::Result;
use crate::lock::REFRESH_EVERY;

const TICK: Duration = Duration::from_secs(1);

/// The background task of one writer; ends with it and takes the lock along.
pub(super) struct Keeper {
    task: JoinHandle<()>,
    core: Weak<Core>,
}

impl Keeper {
    pub(super) fn start(core: &Arc<Core>) -> Self {
        let task = tokio::spawn(keep(Arc::downgrade(core)));
        Self { task, core: Arc::downgrade(core) }
    }

    /// Removes the lock, and stops.
    pub(super) async fn finish(&self, core: &Core) -> Result<()> {
        let released = match &core.lock {
            Some(lock) => lock.release().await,
            None => Ok(()),
        };
        // Not before: it may have been replacing the lock.
        self.task.abort();
        released
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
        // Without a runtime the lock is left to go stale.
        if let (Some(core), Ok(runtime)) = (self.core.upgrade(), Handle::try_current()) {
            runtime.spawn(async move {
                if let Some(lock) = &core.lock
                    && let Err(error) = lock.release().await
                {
                    tracing::warn!(%error, "a lock was left behind");
                }
            });
        }
    }
}

async fn keep(core: Weak<Core>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(core) = core.upgrade() else { return };
        if core.uploads.is_index_due() {
            core.write_index().await;
        }
        if let Some(lock) = &core.lock
            && lock.age() >= REFRESH_EVERY
            && let Err(error) = lock.refresh().await
        {
            tracing::warn!(%error, "the lock was not refreshed");
        }
    }
}
