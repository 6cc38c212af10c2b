//! Claims that would be made, until it is known whether there is room for all of them.

use std::sync::{Mutex, PoisonError};

use super::findings::Weighed;

/// Claims that wait to be judged together.
#[derive(Default)]
pub(super) struct HeldClaims(Mutex<Vec<Weighed>>);

impl HeldClaims {
    pub(super) fn push(&self, claim: Weighed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    }

    pub(super) fn take(&self) -> Vec<Weighed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
