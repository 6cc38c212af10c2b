//! The reasons for which a backup stops before its end.

use holdfast_model::AppId;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::hooks::Sessions;

/// Watched by all work of a backup.
pub(super) struct Stop {
    application: AppId,
    cancel: CancellationToken,
    lost: CancellationToken,
    failed: CancellationToken,
}

impl Stop {
    /// `cancel` is the caller's, `lost` the lease's.
    pub(super) fn new(application: &AppId, cancel: &CancellationToken, lost: &CancellationToken) -> Self {
        let (application, cancel, lost) = (application.clone(), cancel.clone(), lost.clone());
        Self { application, cancel, lost, failed: CancellationToken::new() }
    }

    /// Waits for a reason to stop.
    pub(super) async fn reason(&self) -> Error {
        tokio::select! {
            () = self.cancel.cancelled() => Error::Cancelled,
            () = self.lost.cancelled() => Error::LeaseLost {
                application: self.application.clone(),
                reason: "its lease could not be renewed in time, or somebody else took it".to_owned(),
            },
            // What failed gives its own error; this one is never shown.
            () = self.failed.cancelled() => Error::Cancelled,
        }
    }

    /// The same, or the end of a session that should have lasted.
    pub(super) async fn reason_or_broken(&self, sessions: &mut Sessions) -> Error {
        tokio::select! {
            error = self.reason() => error,
            error = sessions.watch() => error,
        }
    }

    /// Work that is given up when there is a reason to stop.
    pub(super) async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            error = self.reason() => Err(error),
        }
    }

    /// Runs two works side by side, to the end of both: when one fails, the other is told to stop.
    pub(super) async fn both<A, B>(
        &self,
        one: impl Future<Output = Result<A>>,
        other: impl Future<Output = Result<B>>,
    ) -> Result<(A, B)> {
        let first_error = std::sync::Mutex::new(None);
        let one = async { self.note(one.await, &first_error) };
        let other = async { self.note(other.await, &first_error) };
        let (one, other) = futures::join!(one, other);
        match (one, other, first_error.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            (Some(one), Some(other), _) => Ok((one, other)),
            (_, _, error) => Err(error.unwrap_or(Error::Cancelled)),
        }
    }

    fn note<T>(&self, result: Result<T>, first_error: &std::sync::Mutex<Option<Error>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.cancel();
                first_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop() -> Stop {
        Stop::new(&"a1".parse().unwrap(), &CancellationToken::new(), &CancellationToken::new())
    }

    #[tokio::test]
    async fn the_first_failure_stops_the_other_side_and_is_the_one_that_is_told() {
        let stop = stop();
        let fails = async { Err::<(), _>(Error::NoSuchPoint { id: "x".into() }) };
        let never = stop.guard(std::future::pending::<Result<()>>());
        let error = stop.both(never, fails).await.unwrap_err();
        assert_eq!(error.code(), "protect.no_such_point");
    }

    #[tokio::test]
    async fn a_cancelled_backup_says_so_and_a_lost_lease_too() {
        let stop = stop();
        assert_eq!(stop.guard(async { Ok(3) }).await.unwrap(), 3);
        stop.lost.cancel();
        let error = stop.guard(std::future::pending::<Result<()>>()).await.unwrap_err();
        assert_eq!(error.code(), "protect.lease_lost");
    }
}
