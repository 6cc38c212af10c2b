//! Objects that are to be fetched next, kept compactly and handed out in the order in which the
//! vault reads them with the fewest requests.
//!
//! A directory of a point is ordered by name, while its objects lie in the packs of many runs.
//! Fetched in the order of the directory, each batch would touch most of these packs.

use std::collections::HashMap;

use holdfast_model::ResourceType;
use holdfast_vault::{BlobId, Position};

use crate::point::ObjectEntry;

/// A queue is full with so many objects: they take about 1 MiB, and spread over the packs of many
/// runs each run still has hundreds of them.
pub(super) const FULL: usize = 8_192;

/// Some objects of a point by where they lie.
#[derive(Default)]
pub(super) struct Queue {
    directories: Vec<Directory>,
    numbers: HashMap<String, u32>,
    /// The names of all files, one after the other.
    names: String,
    waiting: Vec<Waiting>,
}

struct Directory {
    resource: ResourceType,
    namespace: Option<String>,
    /// With the slash at its end.
    path: String,
}

struct Waiting {
    position: Position,
    blob: BlobId,
    /// Plain bytes.
    size: u32,
    directory: u32,
    name_start: u32,
    name_length: u32,
}

impl Queue {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether what is queued should be fetched before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }

    /// Adds an object that lies in one blob of `size` plain bytes at this position.
    pub(super) fn push(&mut self, entry: ObjectEntry, blob: BlobId, position: Position, size: u32) {
        let cut = entry.path.rfind('/').map_or(0, |slash| slash + 1);
        let (path, name) = entry.path.split_at(cut);
        let (name_start, name_length) = (self.names.len() as u32, name.len() as u32);
        self.names.push_str(name);
        let directory = match self.numbers.get(path) {
            Some(number) => *number,
            None => {
                let number = self.directories.len() as u32;
                self.numbers.insert(path.to_owned(), number);
                let path = path.to_owned();
                let (resource, namespace) = (entry.resource, entry.namespace);
                self.directories.push(Directory { resource, namespace, path });
                number
            }
        };
        self.waiting.push(Waiting { position, blob, size, directory, name_start, name_length });
    }

    /// The objects in batches of up to `bytes` plain bytes, unless one object alone has more, and
    /// up to `objects` objects.
    pub(super) fn batches(mut self, bytes: u64, objects: usize) -> impl Iterator<Item = Vec<ObjectEntry>> {
        self.waiting.sort_unstable_by_key(|waiting| waiting.position);
        let mut next = 0;
        std::iter::from_fn(move || {
            let rest = &self.waiting[next..];
            let mut room = bytes;
            let fits = |waiting: &&Waiting| {
                room.checked_sub(u64::from(waiting.size)).map(|left| room = left).is_some()
            };
            let count = rest.iter().take(objects).take_while(fits).count().max(1).min(rest.len());
            next += count;
            (count > 0).then(|| rest[..count].iter().map(|waiting| self.entry(waiting)).collect())
        })
    }

    fn entry(&self, waiting: &Waiting) -> ObjectEntry {
        let Directory { resource, namespace, path } = &self.directories[waiting.directory as usize];
        let start = waiting.name_start as usize;
        let name = &self.names[start..start + waiting.name_length as usize];
        let path = format!("{path}{name}");
        let size = u64::from(waiting.size);
        ObjectEntry::at(path, resource.clone(), namespace.clone(), vec![waiting.blob], size)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::kinds;
    use holdfast_vault::{BlobKind, CreateOptions, Repository, RepositoryPassword, Store, WriterOptions};

    use super::*;

    /// Objects in the order of a hash of theirs, in a repository that stored them in the order of
    /// their numbers.
    async fn scattered(count: u32) -> Vec<(ObjectEntry, BlobId, Position)> {
        let password = RepositoryPassword::new("queue");
        let repository =
            Repository::create(Store::in_memory(), &password, CreateOptions::default()).await.unwrap();
        let writer = repository.writer(WriterOptions::default()).await.unwrap();
        let storing = writer.clone();
        let store = move || (0..count).map(|n| storing.data(&n.to_le_bytes()).unwrap()).collect::<Vec<_>>();
        let blobs = tokio::task::spawn_blocking(store).await.unwrap();
        writer.close().await.unwrap();
        let reader = repository.reader().await.unwrap();
        let mut objects: Vec<_> = blobs
            .into_iter()
            .enumerate()
            .map(|(n, blob)| {
                let path = format!("resources/core/v1/secrets/shop/{:02x}/s{n}.json", blob.as_bytes()[0]);
                let (of, shop) = (kinds::secrets(), Some("shop".to_owned()));
                let entry = ObjectEntry::at(path, of, shop, vec![blob], 4);
                (entry, blob, reader.position_of(BlobKind::Data, &blob).unwrap())
            })
            .collect();
        objects.sort_by_key(|(_, blob, _)| *blob);
        objects
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_comes_out_once_in_the_order_of_the_packs() {
        let objects = scattered(500).await;
        let mut queue = Queue::default();
        objects.iter().for_each(|(entry, blob, at)| queue.push(entry.clone(), *blob, *at, 4));
        let batches: Vec<Vec<ObjectEntry>> = queue.batches(400, 30).collect();
        assert!(batches.iter().all(|batch| batch.len() <= 30));
        let mut wanted = objects;
        wanted.sort_by_key(|(_, _, at)| *at);
        let wanted: Vec<ObjectEntry> = wanted.into_iter().map(|(entry, _, _)| entry).collect();
        assert_eq!(batches.concat(), wanted);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn batches_are_bounded_by_bytes_but_one_object_always_fits() {
        let objects = scattered(4).await;
        let mut queue = Queue::default();
        for ((entry, blob, at), size) in objects.iter().zip([100, 60, 50, 10]) {
            queue.push(entry.clone(), *blob, *at, size);
        }
        let lengths: Vec<Vec<u64>> =
            queue.batches(60, 30).map(|batch| batch.iter().map(|entry| entry.size).collect()).collect();
        assert_eq!(lengths.concat().len(), 4);
        assert!(lengths.iter().all(|sizes| sizes.len() == 1 || sizes.iter().sum::<u64>() <= 60));
    }
}
