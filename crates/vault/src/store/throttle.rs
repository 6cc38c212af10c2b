//! Keeps traffic with a store below a rate, so that it leaves room for others on the line.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A rate that all requests of one store keep together. Each waits until those before it have had
/// their time; one alone goes at once.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: u64,
    /// When the line is free again.
    free: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A rate of at least one byte a second.
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free: Mutex::default() }
    }

    /// Waits for the turn of so many bytes.
    pub(super) async fn pass(&self, bytes: usize) {
        let turn = self.reserve(bytes as u64, Instant::now());
        sleep_until(turn).await;
    }

    /// Takes the line for so many bytes from the moment that is returned.
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = free.unwrap_or(now).max(now);
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        *free = Some(turn + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_take_turns_and_an_idle_line_gathers_no_credit() {
        let (throttle, start) = (Throttle::new(1000), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(throttle.reserve(2000, start), start);
        assert_eq!(throttle.reserve(500, start), start + 2 * second);
        assert_eq!(throttle.reserve(1000, start + 10 * second), start + 10 * second);
        assert_eq!(throttle.reserve(1, start + 10 * second), start + 11 * second);
    }
}
