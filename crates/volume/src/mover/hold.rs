//! Keeps a pod alive, and with it the mount of its volumes.

use std::sync::Arc;

use super::gate::{Stop, stop_on_signal};
use crate::error::{Error, Result};

/// Returns when the pod is told to end.
pub(super) fn hold() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the holder's runtime", error))?;
    runtime.block_on(async {
        stop_on_signal(Arc::new(Stop::default()))?.await;
        Ok(())
    })
}
