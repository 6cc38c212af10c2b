//! Finds what is selected, and makes the directories that lead there only if there is any.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use holdfast_vault::{BlobId, Node, NodeKind, Tree};

use super::batch::Leaving;
use super::names::{LOOKAHEAD, Names};
use super::staged;
use super::target::Target;
use super::walk::{Visit, Walk};
use crate::error::{Error, Result};
use crate::files::select::{Chosen, Selection};

/// A directory on the way to something that may be selected.
struct Way {
    above: Option<Rc<Way>>,
    /// What it is in the snapshot; `None` for the one that is restored into.
    node: Option<Node>,
    path: Vec<u8>,
    /// It in the target, once something below it was found.
    target: OnceCell<Option<Arc<Target>>>,
}

impl Way {
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        match self.path.is_empty() {
            true => name.to_vec(),
            false => [&self.path, &b"/"[..], name].concat(),
        }
    }
}

impl Walk {
    /// Restores what is selected of the tree, which goes into `target`.
    pub(super) fn search(&mut self, target: &Arc<Target>, tree: Arc<Tree>) -> Result<()> {
        let Some(selection) = self.session.options.select.clone() else { return Ok(()) };
        let found = OnceCell::from(Some(Arc::clone(target)));
        let way = Way { above: None, node: None, path: Vec::new(), target: found };
        self.search_in(&selection, &Rc::new(way), &tree, 0)
    }

    fn search_in(
        &mut self,
        selection: &Selection,
        way: &Rc<Way>,
        tree: &Arc<Tree>,
        depth: usize,
    ) -> Result<()> {
        let (mut chosen, mut through) = (Vec::new(), Vec::new());
        for (position, node) in tree.nodes.iter().enumerate() {
            if self.session.stopped() {
                return Err(Error::Stopped);
            }
            match selection.of(&way.path_of(&node.name)) {
                Chosen::All => chosen.push(position),
                Chosen::Through if node.kind == NodeKind::Dir => through.push(node),
                Chosen::Through | Chosen::No => {}
            }
        }
        if !chosen.is_empty()
            && let Some(target) = self.realised(way)?
        {
            match self.ground(&target, None) {
                Ok(ground) => {
                    let visit = Visit { names: Names::new(tree), ground, depth };
                    self.entries(&target, &visit, chosen.into_iter())?;
                    for name in visit.ground.extras(&visit.names).filter(|name| staged::is_one(name)) {
                        self.batch.leftover(&target, name.to_vec());
                    }
                }
                Err(error) => self.session.entry_failed(error, || target.to_string())?,
            }
        }
        for group in through.chunks(LOOKAHEAD) {
            let ids: Vec<BlobId> = group.iter().filter_map(|node| node.subtree).collect();
            let mut trees = self.runtime.block_on(self.reader.trees(&ids)).into_iter();
            for node in group {
                let (path, tree) = (way.path_of(&node.name), node.subtree.and_then(|_| trees.next()));
                let shown = || String::from_utf8_lossy(&path).into_owned();
                let Some(tree) = self.readable(tree, shown, depth + 1) else { continue };
                let (above, node) = (Some(Rc::clone(way)), Some((*node).clone()));
                let below = Rc::new(Way { above, node, path, target: OnceCell::new() });
                self.search_in(selection, &below, &tree, depth + 1)?;
                self.leave_way(&below);
            }
        }
        Ok(())
    }

    /// The directory in the target; `None` if it cannot be entered, which is recorded once.
    fn realised(&mut self, way: &Way) -> Result<Option<Arc<Target>>> {
        if let Some(target) = way.target.get() {
            return Ok(target.clone());
        }
        let above = match &way.above {
            Some(above) => self.realised(above)?,
            None => None,
        };
        let (Some(above), Some(node)) = (above, &way.node) else {
            return Ok(way.target.get_or_init(|| None).clone());
        };
        let target = match above.enter(&node.name) {
            Ok(target) => Some(Arc::new(target)),
            Err(error) => {
                self.session.entry_failed(error, || above.show(&node.name))?;
                None
            }
        };
        self.batch.entered();
        Ok(way.target.get_or_init(|| target).clone())
    }

    /// A directory that was made only as a way gets the attributes of the snapshot; one that was there
    /// is not what was asked for.
    fn leave_way(&mut self, way: &Way) {
        if let (Some(Some(target)), Some(node)) = (way.target.get(), &way.node) {
            let node = target.is_fresh().then(|| node.clone());
            self.batch.leave(Leaving { target: Arc::clone(target), node, extras: Vec::new() });
        }
    }
}
