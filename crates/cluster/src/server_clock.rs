//! The API server's clock, read from the `Date` of its replies.
//!
//! Leases, and the question whether an object was made before or after a request of ours, need one
//! clock that all who ask agree on; the clocks of the machines that run Holdfast may differ.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::time::Instant;

/// A reading younger than this is not replaced: parsing every reply's date gains nothing.
const FRESH: Duration = Duration::from_secs(2);

/// The newest reading, if there was a reply yet.
#[derive(Debug, Default)]
pub(crate) struct ServerClock(Mutex<Option<Reading>>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    date: Timestamp,
    taken: Instant,
}

impl ServerClock {
    /// Takes the date of a reply.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.is_some_and(|reading| reading.taken.elapsed() < FRESH) {
            return;
        }
        if let Some(date) = headers.get(header::DATE).and_then(|date| parse(date.to_str().ok()?)) {
            *reading = Some(Reading { date, taken: Instant::now() });
        }
    }

    /// The time at the API server, to within a second and a round trip.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let reading = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        reading.date.checked_add(reading.taken.elapsed()).ok()
    }
}

/// An HTTP date (RFC 9110, section 5.6.7), which is a form of RFC 2822's.
fn parse(date: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_reply_is_the_time() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, header::HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        clock.note(&headers);
        let now = clock.now().unwrap();
        let date: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        assert!(now >= date && now.duration_since(date).as_secs() < 60, "{now}");
    }
}
