//! Whether a failed request is sent again, and when.

use std::time::Duration;

use tokio::time::Instant;

use crate::refusal::{Reason, Refusal};

/// Shortest wait before a second attempt.
const BASE: Duration = Duration::from_millis(100);
/// Longest wait between attempts, whatever `Retry-After` says.
const CAP: Duration = Duration::from_secs(15);

/// Why one attempt did not bring a usable reply.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server answered with a failure.
    Refused { refusal: Box<Refusal>, retry_after: Option<Duration> },
    /// No connection: nothing was sent. Permanent if it can only fail again (a wrong certificate).
    NotSent { reason: String, permanent: bool },
    /// The request may have been carried out; the reply, or part of it, did not arrive.
    Lost { reason: String },
    /// No credential to send the request with.
    Credential { reason: String },
}

impl Failure {
    /// How many attempts this failure is worth. Overload and restarts pass, so they are bounded
    /// by the caller's patience alone; a webhook that is down rarely comes back within seconds.
    fn worth(&self, repeatable: bool) -> u32 {
        match self {
            Failure::NotSent { permanent: false, .. } => u32::MAX,
            Failure::NotSent { permanent: true, .. } | Failure::Credential { .. } => 1,
            Failure::Lost { .. } if repeatable => 6,
            Failure::Lost { .. } => 1,
            Failure::Refused { refusal, .. } => match refusal.reason {
                // Turned away at the door, before anything was done.
                Reason::Busy => u32::MAX,
                _ if !repeatable => 1,
                Reason::Unavailable | Reason::Timeout => 8,
                Reason::Internal => 6,
                Reason::WebhookDown(_) => 3,
                _ => 1,
            },
        }
    }

    /// The server does not accept the credential.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Failure::Refused { refusal, .. } if refusal.reason == Reason::Unauthorized)
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The attempts of one request so far.
#[derive(Debug)]
pub(crate) struct Attempts {
    made: u32,
    give_up: Instant,
    reply_lost: bool,
}

impl Attempts {
    /// Attempts may begin until `patience` from now.
    pub(crate) fn within(patience: Duration) -> Self {
        Self { made: 1, give_up: Instant::now() + patience, reply_lost: false }
    }

    /// How many there were, the one under way included.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Whether an earlier attempt may have been carried out although we saw it fail.
    pub(crate) fn reply_lost(&self) -> bool {
        self.reply_lost
    }

    /// How long to wait before the next attempt; `None` to give up. `unit` is random in 0..1.
    pub(crate) fn next(&mut self, failure: &Failure, repeatable: bool, unit: f64) -> Option<Duration> {
        self.reply_lost |= failure.may_have_worked();
        if self.made >= failure.worth(repeatable) {
            return None;
        }
        let wait = delay(self.made, failure.retry_after(), unit);
        if Instant::now() + wait > self.give_up {
            return None;
        }
        self.made += 1;
        Some(wait)
    }
}

impl Failure {
    fn may_have_worked(&self) -> bool {
        match self {
            Failure::Lost { .. } => true,
            Failure::Refused { refusal, .. } => {
                matches!(refusal.reason, Reason::Timeout | Reason::Internal | Reason::Unavailable)
            }
            _ => false,
        }
    }
}

/// Exponential with jitter; `Retry-After` is a lower bound, spread so that all who were refused
/// together do not come back together.
fn delay(attempt: u32, retry_after: Option<Duration>, unit: f64) -> Duration {
    let doubled = BASE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(CAP);
    let jittered = doubled.mul_f64(0.5 + unit / 2.0);
    match retry_after {
        Some(asked) => asked.min(CAP).mul_f64(1.0 + unit / 4.0).max(jittered),
        None => jittered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Call;

    fn refused(status: u16, retry_after: Option<u64>) -> Failure {
        let refusal = Refusal::parse("c", &Call::path("get", "/"), status, b"", 1);
        Failure::Refused { refusal: Box::new(refusal), retry_after: retry_after.map(Duration::from_secs) }
    }

    fn attempts_until_given_up(failure: &Failure, repeatable: bool) -> u32 {
        let mut attempts = Attempts::within(Duration::from_secs(3600));
        while attempts.made() < 100 && attempts.next(failure, repeatable, 0.5).is_some() {}
        attempts.made()
    }

    #[test]
    fn what_may_have_been_carried_out_is_not_repeated_unless_it_may_be() {
        let lost = Failure::Lost { reason: "reset".into() };
        assert_eq!(attempts_until_given_up(&lost, true), 6);
        assert_eq!(attempts_until_given_up(&lost, false), 1);
        assert_eq!(attempts_until_given_up(&refused(500, None), false), 1);
        assert_eq!(attempts_until_given_up(&refused(429, None), false), 100);
        assert_eq!(attempts_until_given_up(&refused(404, None), true), 1);
    }

    #[test]
    fn retry_after_is_kept_and_spread() {
        assert_eq!(delay(1, Some(Duration::from_secs(2)), 0.0), Duration::from_secs(2));
        assert_eq!(delay(1, Some(Duration::from_secs(2)), 1.0), Duration::from_millis(2500));
        assert_eq!(delay(1, None, 1.0), BASE);
        assert_eq!(delay(30, None, 1.0), CAP);
        assert_eq!(delay(1, Some(Duration::from_secs(86_400)), 0.0), CAP);
    }

    #[test]
    fn patience_ends_it() {
        let mut attempts = Attempts::within(Duration::from_secs(5));
        assert!(attempts.next(&refused(429, Some(4)), true, 0.0).is_some());
        assert!(attempts.next(&refused(429, Some(10)), true, 0.0).is_none());
    }
}
