//! How many movers run at once, in the cluster and beside the pods of one node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for movers.
pub(crate) struct Slots {
    cluster: Arc<Semaphore>,
    per_node: usize,
    nodes: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The room of one mover, given back when it is dropped.
pub(super) struct Slot {
    _cluster: Option<OwnedSemaphorePermit>,
    _node: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// Room for so many, one at least.
    pub(super) fn new(cluster: usize, per_node: usize) -> Self {
        let cluster = Arc::new(Semaphore::new(cluster.max(1)));
        Self { cluster, per_node: per_node.max(1), nodes: Mutex::default() }
    }

    /// Waits for room for a mover on this node, or on whichever it is put. The node's room is waited
    /// for first: whoever waits for a busy node keeps nobody from another.
    pub(super) async fn take(&self, node: Option<&str>) -> Slot {
        let node = match node {
            Some(node) => self.node(node).acquire_owned().await.ok(),
            None => None,
        };
        // A semaphore that is never closed always gives.
        Slot { _cluster: Arc::clone(&self.cluster).acquire_owned().await.ok(), _node: node }
    }

    fn node(&self, name: &str) -> Arc<Semaphore> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = || Arc::new(Semaphore::new(self.per_node));
        Arc::clone(nodes.entry(name.to_owned()).or_insert_with(room))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_busy_node_keeps_nobody_from_another() {
        let slots = Slots::new(3, 1);
        let first = slots.take(Some("a")).await;
        assert!(slots.take(Some("a")).now_or_never().is_none());
        let other = slots.take(Some("b")).now_or_never().expect("there is room on b");
        let any = slots.take(None).now_or_never().expect("there is room for a third");
        assert!(slots.take(None).now_or_never().is_none());
        drop(first);
        assert!(slots.take(Some("a")).now_or_never().is_some());
        drop((other, any));
    }
}
