//! Which failed requests are repeated, how often and after which pause.

use std::time::Duration;

use object_store::Error;

use crate::error::{io_kind, is_full, status};

/// How long failed requests are repeated. The pause doubles from `first_pause` to `longest_pause`,
/// a random part of it taken off so that many clients do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The pause before the second attempt.
    pub first_pause: Duration,
    /// The pause no later one exceeds.
    pub longest_pause: Duration,
    /// No attempt is begun later than this after the first one.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    /// A store that is down for up to ten minutes is waited for.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(20),
            give_up_after: Duration::from_secs(600),
        }
    }
}

impl RetryPolicy {
    /// Every failure is final, as with a local disk.
    pub const fn none() -> Self {
        Self { first_pause: Duration::ZERO, longest_pause: Duration::ZERO, give_up_after: Duration::ZERO }
    }

    /// Runs `attempt` until it succeeds, fails for good, or the time is up.
    pub(super) async fn run<T, F, A>(
        &self,
        attempt: F,
        on_retry: impl Fn(&Error, Duration),
    ) -> Result<T, Error>
    where
        F: Fn() -> A,
        A: Future<Output = Result<T, Error>>,
    {
        let start = tokio::time::Instant::now();
        let mut longest = self.first_pause;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let pause = longest.mul_f64(1.0 - 0.5 * rand::random::<f64>());
            if !is_transient(&error) || start.elapsed() + pause >= self.give_up_after {
                return Err(error);
            }
            on_retry(&error, pause);
            tokio::time::sleep(pause).await;
            longest = (longest * 2).min(self.longest_pause);
        }
    }
}

/// Whether the same request may succeed later.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Generic { .. } => !is_full(error) && !is_final_io(error) && !is_refusal(error),
        Error::JoinError { .. } => false,
        _ => false,
    }
}

/// Answers of a server that do not change by asking again. Refused listings and removals of many have no variant.
fn is_refusal(error: &Error) -> bool {
    let text = error.to_string();
    match status(error) {
        // S3 answers 400 when a connection was idle for too long.
        Some(400) => !text.contains("RequestTimeout"),
        // A create that another one is in the way of passes; the protection of an object that is to be removed stays.
        Some(409) => text.contains("(code: 409)"),
        Some(408 | 425 | 429) => false,
        Some(status) => (400..500).contains(&status),
        None => false,
    }
}

/// Answers of a file system that do not change by asking again.
fn is_final_io(error: &Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(
        io_kind(error),
        Some(Kind::PermissionDenied | Kind::ReadOnlyFilesystem | Kind::NotADirectory | Kind::IsADirectory)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn failing(
        with: impl Fn() -> Error,
        times: u32,
    ) -> (impl Fn() -> std::future::Ready<Result<u32, Error>>, &'static AtomicU32) {
        let calls: &'static AtomicU32 = Box::leak(Box::default());
        let attempt = move || {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            std::future::ready(if call < times { Err(with()) } else { Ok(call) })
        };
        (attempt, calls)
    }

    fn unavailable() -> Error {
        Error::Generic { store: "test", source: "503 Service Unavailable".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_comes_back_in_time_is_waited_for() {
        let (attempt, _) = failing(unavailable, 20);
        assert_eq!(RetryPolicy::default().run(attempt, |_, _| ()).await.unwrap(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_away_is_given_up() {
        let (attempt, calls) = failing(unavailable, u32::MAX);
        let start = tokio::time::Instant::now();
        RetryPolicy::default().run(attempt, |_, _| ()).await.unwrap_err();
        assert!(start.elapsed() <= RetryPolicy::default().give_up_after);
        assert!((30..120).contains(&calls.load(Ordering::Relaxed)));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_and_full_disks_are_final() {
        let refused = || Error::PermissionDenied { path: "x".into(), source: "403".into() };
        let full = || Error::Generic {
            store: "test",
            source: Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull)),
        };
        let listing = || Error::Generic {
            store: "test",
            source: "Error performing list request - Server returned non-2xx status code: 403 Forbidden: "
                .into(),
        };
        let removal = || Error::Generic {
            store: "test",
            source: "Bulk delete request failed for key x: Conflict (code: 409)".into(),
        };
        for with in [&refused as &dyn Fn() -> Error, &full, &listing, &removal] {
            let (attempt, calls) = failing(with, u32::MAX);
            RetryPolicy::default().run(attempt, |_, _| ()).await.unwrap_err();
            assert_eq!(calls.load(Ordering::Relaxed), 1);
        }
    }
}
