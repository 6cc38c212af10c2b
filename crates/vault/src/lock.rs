//! restic's locks.

/// Whether writers leave a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockPolicy {
    /// A non-exclusive lock while writing, as stock restic does.
    #[default]
    Lock,
    /// None: for stores that refuse to delete. Stock `prune`, `forget --prune` and
    /// `repair` are then unsafe while a writer runs.
    NoLock,
}
