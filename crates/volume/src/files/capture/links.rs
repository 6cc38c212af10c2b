//! Hard links: the content behind several names is read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_vault::BlobId;
use rustix::fs::Stat;

/// What was stored for an inode: blobs and size.
pub(super) type Content = (Vec<BlobId>, u64);

/// Contents of inodes with more than one name, while not all of the names have been met.
#[derive(Default)]
pub(super) struct HardLinks(Mutex<HashMap<(u64, u64), Known>>);

struct Known {
    content: Arc<Content>,
    names_left: u64,
}

impl HardLinks {
    /// The content that another name of the same inode has got already.
    pub(super) fn find(&self, stat: &Stat) -> Option<Arc<Content>> {
        if stat.st_nlink < 2 {
            return None;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stat.st_dev, stat.st_ino);
        let entry = known.get_mut(&key)?;
        let content = Arc::clone(&entry.content);
        entry.names_left = entry.names_left.saturating_sub(1);
        if entry.names_left == 0 {
            known.remove(&key);
        }
        Some(content)
    }

    /// Remembers the content for the names still to come.
    pub(super) fn remember(&self, stat: &Stat, content: &Content) {
        if stat.st_nlink >= 2 {
            let known = Known { content: Arc::new(content.clone()), names_left: stat.st_nlink - 1 };
            let key = (stat.st_dev, stat.st_ino);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known);
        }
    }
}
