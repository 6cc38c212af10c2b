//! How many requests may be under way at once: additive increase, multiplicative decrease.
//!
//! The API server's priority and fairness answers 429 when a flow has no seats left. Each such
//! answer halves the number of requests in flight, each success adds a fraction of one, so the
//! number settles just below what the server has room for (Chiu and Jain, 1989). Watches, exec and
//! log streams take no permit, as they take no seat after their start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out permits; cheap to clone.
#[derive(Clone)]
pub(crate) struct Limiter(Arc<Shared>);

struct Shared {
    permits: Arc<Semaphore>,
    state: Mutex<State>,
    max: usize,
}

struct State {
    /// Requests that may be in flight; its whole part is what counts.
    limit: f64,
    /// Permits to be withheld when they come back.
    debt: usize,
    /// Number of decreases so far.
    decreases: u64,
}

impl Limiter {
    /// Starts out with `max` permits, at least one.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        let state = State { limit: max as f64, debt: 0, decreases: 0 };
        Self(Arc::new(Shared { permits: Arc::new(Semaphore::new(max)), state: Mutex::new(state), max }))
    }

    /// Waits, first come first served, until one more request may go out.
    pub(crate) async fn acquire(&self) -> Permit {
        // The semaphore is never closed; were it, there would be no limit to keep.
        let permit = self.0.permits.clone().acquire_owned().await.ok();
        let decreases = self.0.state().decreases;
        Permit { shared: self.0.clone(), permit, decreases }
    }

    /// Requests that may be in flight now.
    pub(crate) fn limit(&self) -> usize {
        self.0.state().whole()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn whole(&self) -> usize {
        self.limit as usize
    }
}

/// Leave for one request; told how the request went, and given back when dropped.
pub(crate) struct Permit {
    shared: Arc<Shared>,
    permit: Option<OwnedSemaphorePermit>,
    decreases: u64,
}

impl Permit {
    /// The server had room.
    pub(crate) fn served(&self) {
        let mut state = self.shared.state();
        let before = state.whole();
        state.limit = (state.limit + 1.0 / state.limit).min(self.shared.max as f64);
        if state.whole() > before {
            match state.debt.checked_sub(1) {
                Some(rest) => state.debt = rest,
                None => self.shared.permits.add_permits(1),
            }
        }
    }

    /// The server had no room. Of the many requests that one overload refuses, only the first
    /// halves the limit: the others went out before the limit was lowered.
    pub(crate) fn refused(&self) {
        let mut state = self.shared.state();
        if state.decreases != self.decreases {
            return;
        }
        let before = state.whole();
        state.limit = (state.limit / 2.0).max(1.0);
        state.decreases += 1;
        state.debt += before - state.whole();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut state = self.shared.state();
        if let Some(rest) = state.debt.checked_sub(1) {
            state.debt = rest;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(limiter: &Limiter) -> usize {
        limiter.0.permits.available_permits()
    }

    #[tokio::test]
    async fn one_overload_halves_once_and_successes_win_it_back() {
        let limiter = Limiter::new(8);
        let mut flight = Vec::new();
        for _ in 0..8 {
            flight.push(limiter.acquire().await);
        }
        flight.iter().for_each(Permit::refused);
        assert_eq!(limiter.limit(), 4);
        drop(flight);
        assert_eq!(free(&limiter), 4);

        for _ in 0..100 {
            limiter.acquire().await.served();
        }
        assert_eq!((limiter.limit(), free(&limiter)), (8, 8));
    }

    #[tokio::test]
    async fn one_request_is_always_let_through() {
        let limiter = Limiter::new(2);
        for _ in 0..5 {
            limiter.acquire().await.refused();
        }
        assert_eq!((limiter.limit(), free(&limiter)), (1, 1));
        limiter.acquire().await.served();
        assert_eq!((limiter.limit(), free(&limiter)), (2, 2));
    }

    #[tokio::test]
    async fn a_growing_limit_pays_its_debt_before_it_adds_permits() {
        let limiter = Limiter::new(2);
        let (first, second) = (limiter.acquire().await, limiter.acquire().await);
        first.refused();
        assert_eq!(limiter.limit(), 1);
        second.served();
        drop((first, second));
        assert_eq!((limiter.limit(), free(&limiter)), (2, 2));
    }
}
