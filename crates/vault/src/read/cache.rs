//! Directories that were read lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::BlobId;
use crate::tree::Tree;

/// Bytes of JSON whose directories are kept; in memory they take about as much again.
const BUDGET: usize = 8 << 20;

/// A bounded cache of directories. When it is full the half not used for longest goes.
#[derive(Default)]
pub(super) struct TreeCache(Mutex<State>);

#[derive(Default)]
struct State {
    kept: HashMap<BlobId, Kept>,
    cost: usize,
    uses: u64,
}

struct Kept {
    tree: Arc<Tree>,
    cost: usize,
    used: u64,
}

impl TreeCache {
    pub(super) fn get(&self, id: &BlobId) -> Option<Arc<Tree>> {
        let state = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let kept = state.kept.get_mut(id)?;
        kept.used = state.uses;
        Some(Arc::clone(&kept.tree))
    }

    pub(super) fn put(&self, id: BlobId, tree: Arc<Tree>, cost: usize) {
        if cost > BUDGET / 4 {
            return;
        }
        let state = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        if state.kept.insert(id, Kept { tree, cost, used: state.uses }).is_none() {
            state.cost += cost;
        }
        if state.cost > BUDGET {
            state.shrink();
        }
    }
}

impl State {
    fn shrink(&mut self) {
        let mut uses: Vec<u64> = self.kept.values().map(|kept| kept.used).collect();
        let middle = uses.len() / 2;
        let (_, median, _) = uses.select_nth_unstable(middle);
        let median = *median;
        self.kept.retain(|_, kept| kept.used > median);
        self.cost = self.kept.values().map(|kept| kept.cost).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_holds_and_what_is_used_stays() {
        let cache = TreeCache::default();
        let id = |n: u32| BlobId::of(&n.to_le_bytes());
        for n in 0..1000 {
            cache.put(id(n), Arc::default(), BUDGET / 100);
            assert!(cache.get(&id(0)).is_some(), "{n}");
            assert!(cache.0.lock().unwrap().cost <= BUDGET);
        }
        assert!(cache.get(&id(1)).is_none());
    }
}
