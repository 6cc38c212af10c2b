//! What has been found so far: directories of stored objects, counts, problems and exclusions.

use std::collections::BTreeMap;

use holdfast_cluster::{Metadata, RawObject};
use holdfast_model::object::CLUSTER_SCOPE;
use holdfast_model::point::{Exclusion, KindCapture};
use holdfast_model::{Problem, ResourceType};
use holdfast_vault::{BlobId, Writer};

use super::Asked;
use super::directories::Directories;
use super::peeked::Peeked;
use crate::error::Result;
use crate::point::{Content, Stored};

/// Objects of one kind that ask to be left out and are named one by one; the rest is counted.
const NAMED: u64 = 100;

/// What was found of one kind.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) of: ResourceType,
    pub(super) directories: Directories,
    pub(super) peeked: Peeked,
    pub(super) problems: Vec<Problem>,
    objects: u64,
    bytes: u64,
    excluded: Vec<Exclusion>,
    excluded_unnamed: u64,
    resource_version: Option<String>,
    asked: Vec<Asked>,
}

impl Found {
    /// Nothing yet of a kind that its server lists by namespace and name. Cluster-scoped objects are
    /// kept, since others that are needed may be added one by one.
    pub(super) fn new(of: &ResourceType) -> Self {
        match of.namespaced {
            true => Self::with(of, Directories::passing()),
            false => Self::in_any_order(of),
        }
    }

    /// Nothing yet of objects that come in any order.
    pub(super) fn in_any_order(of: &ResourceType) -> Self {
        Self::with(of, Directories::kept())
    }

    fn with(of: &ResourceType, directories: Directories) -> Self {
        Self {
            of: of.clone(),
            directories,
            peeked: Peeked::default(),
            problems: Vec::new(),
            objects: 0,
            bytes: 0,
            excluded: Vec::new(),
            excluded_unnamed: 0,
            resource_version: None,
            asked: Vec::new(),
        }
    }

    /// An object that was stored. Blocks when its directory is.
    pub(super) fn push(&mut self, writer: &Writer, object: &RawObject, content: Content) -> Result<()> {
        let metadata = &object.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or(CLUSTER_SCOPE);
        let size = object.json.len() as u64;
        let former = self.directories.push(writer, namespace, &metadata.name, Stored { size, content })?;
        self.objects += 1 - u64::from(former.is_some());
        self.bytes = self.bytes + size - former.map_or(0, |former| former.size);
        Ok(())
    }

    /// An object that asks to be left out.
    pub(super) fn exclude(&mut self, object: &RawObject, how: String) {
        match (self.excluded.len() as u64) < NAMED {
            true => {
                let subject = object.object_ref(&self.of).to_string();
                self.excluded.push(Exclusion { subject, reason: how });
            }
            false => self.excluded_unnamed += 1,
        }
    }

    /// A list is complete.
    pub(super) fn listed(&mut self, asked: Asked, resource_version: &str) {
        self.asked.push(asked);
        self.lower(resource_version);
    }

    /// Objects and bytes stored.
    pub(super) fn counted(&self) -> (u64, u64) {
        (self.objects, self.bytes)
    }

    /// Adds what another list of the same kind found.
    pub(super) fn absorb(&mut self, other: Found) -> Result<()> {
        self.directories.absorb(other.directories)?;
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.peeked.absorb(other.peeked);
        self.problems.extend(other.problems);
        self.excluded.extend(other.excluded);
        self.excluded_unnamed += other.excluded_unnamed;
        self.asked.extend(other.asked);
        if let Some(version) = other.resource_version {
            self.lower(&version);
        }
        Ok(())
    }

    /// Keeps the lowest resourceVersion: what changed after it may or may not be in the point.
    fn lower(&mut self, version: &str) {
        let number = |text: &str| text.parse::<u64>().ok();
        let lower = match &self.resource_version {
            None => true,
            Some(known) => number(version).zip(number(known)).is_some_and(|(new, known)| new < known),
        };
        if lower {
            self.resource_version = Some(version.to_owned());
        }
    }

    fn capture(&self) -> Option<KindCapture> {
        (self.objects > 0).then(|| KindCapture {
            resource: self.of.clone(),
            objects: self.objects,
            bytes: self.bytes,
            resource_version: self.resource_version.clone().unwrap_or_default(),
        })
    }

    fn exclusions(&mut self) -> Vec<Exclusion> {
        let mut all = std::mem::take(&mut self.excluded);
        if self.excluded_unnamed > 0 {
            let subject = format!("{} more {}", self.excluded_unnamed, self.of);
            all.push(Exclusion { subject, reason: "marked to be left out, like those named".to_owned() });
        }
        all
    }
}

/// What was found of all kinds.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kinds: BTreeMap<ResourceType, Found>,
    pub(super) peeked: Peeked,
    pub(super) problems: Vec<Problem>,
    pub(super) excluded: Vec<Exclusion>,
}

impl Findings {
    /// Adds what was found of a kind.
    pub(super) fn add(&mut self, mut found: Found) -> Result<()> {
        self.problems.append(&mut found.problems);
        self.peeked.absorb(std::mem::take(&mut found.peeked));
        match self.kinds.get_mut(&found.of) {
            Some(known) => known.absorb(found)?,
            None => drop(self.kinds.insert(found.of.clone(), found)),
        }
        Ok(())
    }

    /// Types of which at least one object was stored.
    pub(super) fn types(&self) -> impl Iterator<Item = &ResourceType> {
        self.kinds.values().filter(|found| found.objects > 0).map(|found| &found.of)
    }

    /// Whether a cluster-scoped object has been stored.
    pub(super) fn has(&self, of: &ResourceType, name: &str) -> bool {
        self.kinds.get(of).is_some_and(|found| found.directories.keep(name))
    }

    /// The types of which there is at least one object; names what was left out on the way.
    pub(super) fn kind_captures(&mut self) -> Vec<KindCapture> {
        for found in self.kinds.values_mut() {
            self.excluded.extend(found.exclusions());
        }
        self.kinds.values().filter_map(Found::capture).collect()
    }

    /// Milliseconds between the first list and the last.
    pub(super) fn spread(&self) -> u64 {
        Asked::spread(self.kinds.values().flat_map(|found| found.asked.iter().copied()))
    }

    /// The trees of all directories, by type and namespace. Blocks.
    pub(super) fn into_trees(self, writer: &Writer) -> Result<Vec<(ResourceType, BTreeMap<String, BlobId>)>> {
        let kinds = self.kinds.into_values();
        kinds.map(|found| Ok((found.of, found.directories.finish(writer)?))).collect()
    }
}

/// How an object asks for `key`: by label or by annotation; `None` if it does not.
pub(crate) fn marked(metadata: &Metadata, key: &str) -> Option<String> {
    let says = |map: &BTreeMap<String, String>| map.get(key).is_some_and(|value| value == "true");
    if says(&metadata.labels) {
        return Some(format!("its label {key} says so"));
    }
    says(&metadata.annotations).then(|| format!("its annotation {key} says so"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_cluster::kinds;

    fn object(namespace: &str, name: &str) -> RawObject {
        let metadata =
            Metadata { name: name.into(), namespace: Some(namespace.into()), ..Metadata::default() };
        RawObject { json: "{}".into(), metadata }
    }

    #[test]
    fn several_lists_of_one_kind_name_the_lowest_version() {
        let mut all = Found::new(&kinds::secrets());
        for version in ["110", "99", "100"] {
            let mut found = Found::new(&kinds::secrets());
            (found.objects, found.bytes) = (1, 2);
            found.listed(Asked(tokio::time::Instant::now()), version);
            all.absorb(found).unwrap();
        }
        let capture = all.capture().unwrap();
        assert_eq!((capture.objects, capture.bytes, capture.resource_version.as_str()), (3, 6, "99"));
    }

    #[test]
    fn thousands_of_exclusions_are_counted_not_named() {
        let mut found = Found::new(&kinds::secrets());
        for number in 0..1000 {
            found.exclude(&object("a", &number.to_string()), "x".into());
        }
        let mut all = Findings::default();
        all.add(found).unwrap();
        assert!(all.kind_captures().is_empty());
        assert_eq!(all.excluded.len(), 101);
        assert_eq!(all.excluded[100].subject, "900 more secrets");
    }
}
