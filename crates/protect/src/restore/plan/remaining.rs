//! The objects of one directory of a point for which nothing was found at the target yet, kept compactly.

use std::collections::HashMap;

use holdfast_cluster::kinds;
use holdfast_model::ResourceType;
use holdfast_model::restore::Mapping;
use holdfast_vault::BlobId;

use crate::point::{ObjectEntry, file_name};

/// So few objects are asked for one by one: the target may hold thousands of the type.
const FEW: usize = 8;

/// Objects of one type and namespace, by the name of the file that their like at the target would have.
pub(super) struct Remaining {
    of: ResourceType,
    namespace: Option<String>,
    /// Paths of the directory and its parts, with the slash at their ends.
    parts: Vec<String>,
    objects: HashMap<Box<str>, Lying>,
    /// What cannot be found by name: named twice, or stored as no object is.
    odd: Vec<ObjectEntry>,
}

/// Where an object lies in the point.
struct Lying {
    part: u32,
    blob: BlobId,
    size: u64,
    /// Its file, if that is called otherwise than at the target.
    file: Option<Box<str>>,
}

impl Remaining {
    pub(super) fn new(of: ResourceType, namespace: Option<String>) -> Self {
        Self { of, namespace, parts: Vec::new(), objects: HashMap::new(), odd: Vec::new() }
    }

    /// The type in the point.
    pub(super) fn of(&self) -> &ResourceType {
        &self.of
    }

    /// The namespace in the point.
    pub(super) fn namespace(&self) -> &Option<String> {
        &self.namespace
    }

    /// Adds an object of the point, in the order of its directory.
    pub(super) fn push(&mut self, entry: ObjectEntry, mapping: &Mapping) {
        let file = entry.file();
        let at_target = match (&entry.name, self.of == kinds::namespaces()) {
            (Some(name), true) => file_name(mapping.namespace(name)),
            _ => file.to_owned(),
        };
        let [blob] = *entry.content.as_slice() else {
            self.odd.push(entry);
            return;
        };
        if self.objects.contains_key(at_target.as_str()) {
            self.odd.push(entry);
            return;
        }
        let directory = &entry.path[..entry.path.len() - file.len()];
        if self.parts.last().is_none_or(|part| part != directory) {
            self.parts.push(directory.to_owned());
        }
        let part = self.parts.len() as u32 - 1;
        let file = (at_target != file).then(|| file.into());
        self.objects.insert(at_target.into(), Lying { part, blob, size: entry.size, file });
    }

    /// Takes the object whose like at the target has a file of this name.
    pub(super) fn take(&mut self, file: &str) -> Option<ObjectEntry> {
        let (file, lying) = self.objects.remove_entry(file)?;
        Some(self.entry(file, lying))
    }

    /// The names that they have at the target, if there are but a few and all are known.
    pub(super) fn few(&self) -> Option<Vec<String>> {
        if self.objects.len() > FEW {
            return None;
        }
        let name = |file: &str| {
            let name = file.strip_suffix(".json")?;
            (file_name(name) == file).then(|| name.to_owned())
        };
        self.objects.keys().map(|file| name(file)).collect()
    }

    /// What is left, in the order of the names.
    pub(super) fn into_entries(mut self) -> impl Iterator<Item = ObjectEntry> + Send + 'static {
        let mut left: Vec<(Box<str>, Lying)> = self.objects.drain().collect();
        left.sort_by(|a, b| a.0.cmp(&b.0));
        let odd = std::mem::take(&mut self.odd);
        left.into_iter().map(move |(file, lying)| self.entry(file, lying)).chain(odd)
    }

    fn entry(&self, file: Box<str>, lying: Lying) -> ObjectEntry {
        let path = format!("{}{}", self.parts[lying.part as usize], lying.file.unwrap_or(file));
        ObjectEntry::at(path, self.of.clone(), self.namespace.clone(), vec![lying.blob], lying.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, of: ResourceType, content: usize) -> ObjectEntry {
        let namespace = of.namespaced.then(|| "shop".to_owned());
        let blobs = (0..content).map(|n| BlobId::of(format!("{path}{n}").as_bytes())).collect();
        ObjectEntry::at(path.to_owned(), of, namespace, blobs, 7)
    }

    fn secrets(paths: &[&str]) -> Remaining {
        let mut remaining = Remaining::new(kinds::secrets(), Some("shop".into()));
        for path in paths {
            remaining.push(entry(path, kinds::secrets(), 1), &Mapping::default());
        }
        remaining
    }

    #[test]
    fn what_is_found_is_taken_and_the_rest_comes_in_order() {
        let mut remaining = secrets(&["s/@a/a.json", "s/@a/b.json", "s/@c/c.json", "s/@c/a-b.json"]);
        let taken = remaining.take("c.json").unwrap();
        assert_eq!(taken, entry("s/@c/c.json", kinds::secrets(), 1));
        assert_eq!(remaining.take("c.json"), None);
        let left: Vec<String> = remaining.into_entries().map(|entry| entry.path).collect();
        assert_eq!(left, ["s/@c/a-b.json", "s/@a/a.json", "s/@a/b.json"]);
    }

    #[test]
    fn what_is_named_twice_or_in_pieces_is_not_lost() {
        let mut remaining = secrets(&["s/@a/a.json", "s/@b/a.json"]);
        remaining.push(entry("s/@b/z.json", kinds::secrets(), 2), &Mapping::default());
        assert!(remaining.take("a.json").is_some() && remaining.take("z.json").is_none());
        let left: Vec<String> = remaining.into_entries().map(|entry| entry.path).collect();
        assert_eq!(left, ["s/@b/a.json", "s/@b/z.json"]);
    }

    #[test]
    fn a_namespace_is_looked_for_by_its_new_name() {
        let mapping = Mapping::parse(&["shop=shop-eu"], &[]).unwrap();
        let mut remaining = Remaining::new(kinds::namespaces(), None);
        remaining.push(entry("n/shop.json", kinds::namespaces(), 1), &mapping);
        assert_eq!(remaining.few(), Some(vec!["shop-eu".to_owned()]));
        assert_eq!(remaining.take("shop-eu.json").unwrap().path, "n/shop.json");
    }

    #[test]
    fn only_a_few_are_asked_for_by_name() {
        let paths: Vec<String> = (0..=FEW).map(|n| format!("s/{n}.json")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(secrets(&paths).few(), None);
        assert_eq!(secrets(&paths[..2]).few().map(|names| names.len()), Some(2));
        assert_eq!(secrets(&["s/x~0123456789abcdef.json"]).few(), None, "a shortened name is not the name");
    }
}
