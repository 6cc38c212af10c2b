//! Which namespaces an application has, and whether they are still the same at the end.

use holdfast_cluster::{Cluster, ListOptions, RawObject, kinds};
use holdfast_model::Problem;
use holdfast_model::label::EXCLUDE;
use holdfast_model::point::Exclusion;
use holdfast_model::scope::{Scope, Selector};

use super::findings::marked;
use crate::error::Result;

/// Namespaces listed one by one up to this number; above it, lists of the whole cluster are read
/// if the namespaces are not a small part of it.
const FEW: usize = 8;

/// The namespaces of an application.
#[derive(Debug, Default)]
pub struct Namespaces {
    /// Those that exist, by name, as the server sent them.
    pub chosen: Vec<RawObject>,
    /// How many there are in the cluster, if they had to be listed.
    pub total: Option<usize>,
    /// Those named in the scope that do not exist, and those that are being deleted.
    pub problems: Vec<Problem>,
    /// Those that ask to be left out.
    pub excluded: Vec<Exclusion>,
}

impl Namespaces {
    /// Finds the namespaces that a scope selects. Names without globs are read one by one, so that
    /// the owner of a namespace needs no right to list them all.
    ///
    /// # Errors
    /// A cluster that cannot be reached, or the right to list namespaces missing for a glob.
    pub async fn select(cluster: &Cluster, scope: &Scope, selector: &Selector) -> Result<Self> {
        let mut found = Self::default();
        let plain =
            scope.namespaces.iter().all(|name| !name.starts_with('!') && !name.contains(['*', '?', '[']));
        let candidates =
            if plain { found.read_named(cluster, scope).await? } else { found.list(cluster).await? };
        for namespace in candidates {
            if selector.takes_namespace(&namespace.metadata.name) {
                found.take(namespace);
            }
        }
        for name in selector.exact_namespaces(scope) {
            if selector.takes_namespace(name) && !found.knows(name) {
                found.problems.push(missing(name));
            }
        }
        found.chosen.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(found)
    }

    async fn read_named(&self, cluster: &Cluster, scope: &Scope) -> Result<Vec<RawObject>> {
        let of = kinds::namespaces();
        let reads = scope.namespaces.iter().map(|name| cluster.get_raw(&of, None, name));
        let read = futures::future::try_join_all(reads).await?;
        let mut found: Vec<RawObject> = read.into_iter().flatten().collect();
        found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        found.dedup_by(|a, b| a.metadata.name == b.metadata.name);
        Ok(found)
    }

    async fn list(&mut self, cluster: &Cluster) -> Result<Vec<RawObject>> {
        let all = cluster.list_all(&kinds::namespaces(), ListOptions::default()).await?;
        self.total = Some(all.len());
        Ok(all)
    }

    fn take(&mut self, namespace: RawObject) {
        let name = &namespace.metadata.name;
        if let Some(how) = marked(&namespace.metadata, EXCLUDE) {
            self.excluded.push(Exclusion { subject: format!("namespace {name}"), reason: how });
            return;
        }
        if namespace.metadata.deletion_timestamp.is_some() {
            self.problems.push(terminating(name));
        }
        self.chosen.push(namespace);
    }

    fn knows(&self, name: &str) -> bool {
        let left_out = format!("namespace {name}");
        self.contains(name) || self.excluded.iter().any(|exclusion| exclusion.subject == left_out)
    }

    /// Names of the chosen ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.chosen.iter().map(|namespace| namespace.metadata.name.as_str())
    }

    /// Whether a namespace of that name is chosen.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Whether none is chosen.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Whether it is better to list whole kinds and pick than to list each namespace: one request
    /// per kind instead of one per kind and namespace, but everybody else's objects are sent too.
    pub(super) fn wide(&self) -> bool {
        match self.total {
            Some(total) => self.chosen.len() > FEW && self.chosen.len() * 4 > total,
            None => self.chosen.len() > 4 * FEW,
        }
    }

    /// Looks again after the capture: a namespace that was deleted meanwhile took objects with it
    /// that no list has shown.
    pub(super) async fn recheck(&self, cluster: &Cluster) -> Result<Vec<Problem>> {
        let of = kinds::namespaces();
        let reads = self.chosen.iter().map(|namespace| cluster.get_raw(&of, None, &namespace.metadata.name));
        let mut problems = Vec::new();
        for (before, now) in self.chosen.iter().zip(futures::future::join_all(reads).await) {
            let name = &before.metadata.name;
            match now? {
                None => problems.push(deleted(name)),
                Some(now) if now.metadata.uid != before.metadata.uid => problems.push(deleted(name)),
                Some(now) if now.metadata.deletion_timestamp.is_some() => problems.push(terminating(name)),
                Some(_) => {}
            }
        }
        Ok(problems)
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(
        "namespace.missing",
        format!("namespace {name}"),
        "the scope names it, but it does not exist",
    )
    .hint("correct the scope, or check that this is the right cluster")
}

fn terminating(name: &str) -> Problem {
    Problem::new(
        "namespace.terminating",
        format!("namespace {name}"),
        "it is being deleted, so objects may be gone already",
    )
    .hint("use an older point for what is missing")
}

fn deleted(name: &str) -> Problem {
    Problem::new("namespace.deleted", format!("namespace {name}"), "it was deleted while it was captured")
        .hint("use an older point for what is missing")
}
