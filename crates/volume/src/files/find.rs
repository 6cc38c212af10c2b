//! Finds what is selected of a stored volume, in the order of a walk.

use std::collections::VecDeque;
use std::sync::Arc;

use holdfast_vault::{BlobId, Error as VaultError, Node, NodeKind, Reader, Tree};

use super::MAX_DEPTH;
use super::select::{Chosen, Selection};

/// Trees are asked for so many at a time.
const LOOKAHEAD: usize = 64;

/// What a walk comes by.
#[derive(Debug)]
pub enum Found<'w> {
    /// An entry that is selected.
    Entry {
        /// Its path from the volume's root, without a slash before it.
        path: &'w [u8],
        /// The entry.
        node: &'w Node,
    },
    /// A directory that something selected may be in, whose entries cannot be had.
    Unreadable {
        /// Its path.
        path: &'w [u8],
        /// Why.
        reason: String,
    },
}

/// Walks the tree and tells `found` what is selected, with everything below it if `deep`. It goes on
/// as long as `found` returns `Ok`.
///
/// # Errors
/// That of `found`, and a root that cannot be read.
pub async fn find<E: From<VaultError>>(
    reader: &Reader,
    root: &BlobId,
    selection: &Selection,
    deep: bool,
    mut found: impl FnMut(Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut way = vec![Level::new(Vec::new(), reader.tree(root).await?, false)];
    while let Some(level) = way.last_mut() {
        let tree = Arc::clone(&level.tree);
        let Some(node) = tree.nodes.get(level.next) else {
            way.pop();
            continue;
        };
        level.next += 1;
        let (path, chosen) = level.looked_up(node, selection);
        if chosen == Chosen::All {
            found(Found::Entry { path: &path, node })?;
        }
        if node.kind != NodeKind::Dir || !level.leads_on(chosen, deep) {
            continue;
        }
        match level.below(reader, selection, deep).await {
            Some(Ok(_)) if way.len() > MAX_DEPTH => {
                let reason = format!("nested deeper than {MAX_DEPTH} directories");
                found(Found::Unreadable { path: &path, reason })?;
            }
            Some(Ok(tree)) => way.push(Level::new(path, tree, chosen == Chosen::All)),
            Some(Err(error)) => found(Found::Unreadable { path: &path, reason: error.to_string() })?,
            None => {
                let reason = "a directory without entries, not even none".to_owned();
                found(Found::Unreadable { path: &path, reason })?;
            }
        }
    }
    Ok(())
}

/// A directory that is being walked.
struct Level {
    path: Vec<u8>,
    tree: Arc<Tree>,
    /// Everything in it is selected.
    is_chosen: bool,
    next: usize,
    /// Trees of the next directories below, fetched ahead.
    ahead: VecDeque<Result<Arc<Tree>, VaultError>>,
}

impl Level {
    fn new(path: Vec<u8>, tree: Arc<Tree>, is_chosen: bool) -> Self {
        Self { path, tree, is_chosen, next: 0, ahead: VecDeque::new() }
    }

    fn looked_up(&self, node: &Node, selection: &Selection) -> (Vec<u8>, Chosen) {
        let path = match self.path.is_empty() {
            true => node.name.clone(),
            false => [&self.path, &b"/"[..], &node.name].concat(),
        };
        let chosen = if self.is_chosen { Chosen::All } else { selection.of(&path) };
        (path, chosen)
    }

    fn leads_on(&self, chosen: Chosen, deep: bool) -> bool {
        chosen == Chosen::Through || (chosen == Chosen::All && deep)
    }

    /// The tree of the directory that was come by last; those of the next ones are fetched with it.
    async fn below(
        &mut self,
        reader: &Reader,
        selection: &Selection,
        deep: bool,
    ) -> Option<Result<Arc<Tree>, VaultError>> {
        self.tree.nodes[self.next - 1].subtree?;
        if self.ahead.is_empty() {
            let next = self.tree.nodes[self.next - 1..].iter().filter(|node| node.kind == NodeKind::Dir);
            let wanted = next.filter(|node| self.leads_on(self.looked_up(node, selection).1, deep));
            let ids: Vec<BlobId> = wanted.filter_map(|node| node.subtree).take(LOOKAHEAD).collect();
            self.ahead = reader.trees(&ids).await.into();
        }
        self.ahead.pop_front()
    }
}
