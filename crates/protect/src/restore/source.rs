//! Objects out of the vault: fetched by the batch, pack by pack, a bounded number of bytes ahead
//! of whoever applies them.
//!
//! Some thousand objects are taken from the point at a time and fetched in the order of the packs,
//! so that memory does not follow their number. While the next ones are looked up, those of the last
//! batch are still being applied.
//!
//! A batch is complete before any of it is handed on. Handing objects on from the vault's own
//! threads could wait for a consumer that itself waits for the vault.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use holdfast_model::Problem;
use holdfast_model::restore::read::MOST_BYTES;
use holdfast_vault::{BlobId, BlobKind, Reader};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::queue::Queue;
use crate::point::ObjectEntry;

/// An object of a point, or why it cannot be had.
pub(super) type Fetched = Result<(ObjectEntry, Bytes), Box<Lost>>;

/// Something of a point that cannot be had.
#[derive(Debug)]
pub(super) struct Lost {
    /// The object; `None` if not even that is known.
    pub(super) entry: Option<ObjectEntry>,
    /// What is wrong.
    pub(super) problem: Problem,
}

/// Plain bytes of one batch. Three may be in memory: one that is applied, one that waits, and one
/// that is being fetched.
const BATCH_BYTES: u64 = 4 << 20;
/// Objects of one batch.
const BATCH_OBJECTS: usize = 2_000;

/// Fetches the JSON of these objects. Their order is nearly that of the entries.
pub(super) fn fetch(
    reader: &Reader,
    entries: impl Stream<Item = Result<ObjectEntry, Problem>> + Send + 'static,
) -> impl Stream<Item = Fetched> + Send + 'static {
    let (sender, receiver) = mpsc::channel(1);
    let fetcher = Fetcher { reader: reader.clone(), sender };
    let task = AbortOnDropHandle::new(tokio::spawn(fetcher.run(entries)));
    let batches = futures::stream::unfold(Some((receiver, task)), |running| async move {
        let (mut receiver, task) = running?;
        if let Some(batch) = receiver.recv().await {
            return Some((futures::stream::iter(batch), Some((receiver, task))));
        }
        // A channel that is closed is the end of the point only if who wrote to it came to its end.
        let batch = task.await.err().map(|end| vec![Err(died(&end))])?;
        Some((futures::stream::iter(batch), None))
    });
    batches.flatten()
}

struct Fetcher {
    reader: Reader,
    sender: mpsc::Sender<Vec<Fetched>>,
}

impl Fetcher {
    async fn run(self, entries: impl Stream<Item = Result<ObjectEntry, Problem>> + Send) {
        // Whether there are more is asked again after the last ones were fetched.
        let mut entries = std::pin::pin!(entries.fuse());
        loop {
            let mut queue = Queue::default();
            while !queue.is_full()
                && let Some(entry) = entries.next().await
            {
                if let Err(lost) = self.enqueue(entry, &mut queue)
                    && self.sender.send(vec![Err(lost)]).await.is_err()
                {
                    return;
                }
            }
            if queue.is_empty() {
                return;
            }
            for batch in queue.batches(BATCH_BYTES, BATCH_OBJECTS) {
                let fetched = self.fetch(batch).await;
                if self.sender.send(fetched).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Queues an object, with the size that the vault, not the point, says it has.
    fn enqueue(&self, entry: Result<ObjectEntry, Problem>, queue: &mut Queue) -> Result<(), Box<Lost>> {
        let entry = entry.map_err(|problem| Box::new(Lost { entry: None, problem }))?;
        let [id] = *entry.content.as_slice() else {
            let reason = format!("it is stored in {} pieces, an object has one", entry.content.len());
            return Err(lost(entry, reason));
        };
        let size = self.reader.size_of(BlobKind::Data, &id);
        let position = self.reader.position_of(BlobKind::Data, &id);
        let (Some(size), Some(position)) = (size, position) else {
            let reason = format!("its blob {id} is in no index of the vault");
            return Err(lost(entry, reason));
        };
        match u32::try_from(size) {
            Ok(size) if size as usize <= MOST_BYTES => queue.push(entry, id, position, size),
            _ => {
                let reason = format!("it has {size} bytes, no object has more than {MOST_BYTES}");
                return Err(lost(entry, reason));
            }
        }
        Ok(())
    }

    async fn fetch(&self, batch: Vec<ObjectEntry>) -> Vec<Fetched> {
        let bytes = batch.iter().map(|entry| entry.size).sum();
        let mut wanted: HashMap<BlobId, Vec<ObjectEntry>> = HashMap::with_capacity(batch.len());
        for entry in batch {
            let Some(id) = entry.content.first().copied() else { continue };
            wanted.entry(id).or_default().push(entry);
        }
        let mut done = Vec::with_capacity(wanted.len());
        let ids: Vec<BlobId> = wanted.keys().copied().collect();
        let received = Arc::new(Mutex::new(Received::with_room(bytes)));
        let sink = received.clone();
        let fetched = self.reader.fetch_all(ids, move |id, bytes| {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(*id, bytes);
            Ok(())
        });
        let mut failure = "the vault did not deliver it".to_owned();
        match fetched.await {
            Ok(report) => {
                for (id, error) in report.failed {
                    let entries = wanted.remove(&id).unwrap_or_default();
                    done.extend(entries.into_iter().map(|entry| Err(lost(entry, error.to_string()))));
                }
            }
            Err(error) => failure = error.to_string(),
        }
        for (id, bytes) in received.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let entries = wanted.remove(&id).unwrap_or_default();
            done.extend(entries.into_iter().map(|entry| Ok((entry, bytes.clone()))));
        }
        done.extend(wanted.into_values().flatten().map(|entry| Err(lost(entry, failure.clone()))));
        done
    }
}

/// The bytes of one batch, in one piece of memory that is given back as a whole: in pieces of their own the objects
/// would leave holes in the heaps of all threads that had to do with them.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    places: Vec<(BlobId, Range<usize>)>,
}

impl Received {
    fn with_room(bytes: u64) -> Self {
        Self { bytes: Vec::with_capacity(bytes as usize), places: Vec::new() }
    }

    fn push(&mut self, id: BlobId, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.places.push((id, start..self.bytes.len()));
    }

    fn take(&mut self) -> impl Iterator<Item = (BlobId, Bytes)> + use<> {
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        std::mem::take(&mut self.places).into_iter().map(move |(id, place)| (id, bytes.slice(place)))
    }
}

fn lost(entry: ObjectEntry, reason: String) -> Box<Lost> {
    let problem = unusable(&entry, reason);
    Box::new(Lost { entry: Some(entry), problem })
}

/// The rest of a point that nobody reads any more.
fn died(end: &JoinError) -> Box<Lost> {
    let problem = Problem::new(
        "restore.reading_ended",
        "the objects of the point",
        format!("reading them ended before their last one: {end}"),
    )
    .hint("run the restore again: it goes on with what is missing; report this with the log, it is a defect");
    Box::new(Lost { entry: None, problem })
}

/// An object of the point that cannot be used, named by where it lies.
pub(super) fn unusable(entry: &ObjectEntry, reason: String) -> Problem {
    let subject = match entry.object_ref() {
        Some(object) => object.to_string(),
        None => entry.path.clone(),
    };
    Problem::new(
        "restore.unusable_object",
        subject,
        format!("it cannot be restored from the point: {reason}"),
    )
    .hint("run `holdfast vault check --read-data`; use another point or another copy")
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::kinds;
    use holdfast_vault::{CreateOptions, Repository, RepositoryPassword, Store, WriterOptions};

    use super::super::queue::FULL;
    use super::*;

    fn entry(number: usize, content: Vec<BlobId>) -> ObjectEntry {
        let path = format!("resources/core/v1/secrets/shop/s-{number:06}.json");
        ObjectEntry::at(path, kinds::secrets(), Some("shop".to_owned()), content, 8)
    }

    /// A stream that has ended and, as the walk of a point, must not be asked again.
    fn once<T: Send + 'static>(items: Vec<T>) -> impl Stream<Item = T> + Send + 'static {
        futures::stream::unfold(items.into_iter(), |mut items| async move { Some((items.next()?, items)) })
    }

    async fn empty_vault() -> Repository {
        let password = RepositoryPassword::new("source");
        Repository::create(Store::in_memory(), &password, CreateOptions::default()).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_dies_is_not_the_end_of_the_point() {
        let reader = empty_vault().await.reader().await.unwrap();
        let entries = once(vec![0])
            .map(|number| -> Result<ObjectEntry, Problem> { panic!("on purpose, at object {number}") });
        let fetched: Vec<Fetched> = fetch(&reader, entries).collect().await;
        let [Err(lost)] = &fetched[..] else { panic!("{fetched:?}") };
        assert_eq!(lost.problem.code, "restore.reading_ended");
        assert!(lost.problem.message.contains("on purpose, at object 0"), "{}", lost.problem.message);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_than_a_queue_holds_comes_once_in_stretches_and_what_is_lost_is_named() {
        let count = FULL + 700;
        let repository = empty_vault().await;
        let writer = repository.writer(WriterOptions::default()).await.unwrap();
        let storing = writer.clone();
        // Against the order of the names: only within a queue is the order that of the packs.
        let store = move || {
            let numbers = (0..count).rev();
            numbers.map(|number| storing.data(&number.to_le_bytes()).unwrap()).collect::<Vec<_>>()
        };
        let mut blobs = tokio::task::spawn_blocking(store).await.unwrap();
        writer.close().await.unwrap();
        blobs.reverse();
        let mut entries: Vec<Result<ObjectEntry, Problem>> =
            blobs.iter().enumerate().map(|(number, blob)| Ok(entry(number, vec![*blob]))).collect();
        entries.insert(5, Ok(entry(count, vec![BlobId::of(b"nowhere")])));
        entries.insert(9, Err(Problem::new("x", "y", "z")));
        let reader = repository.reader().await.unwrap();
        let fetched: Vec<Fetched> = fetch(&reader, once(entries)).collect().await;

        let (mut numbers, mut lost) = (Vec::new(), Vec::new());
        for object in fetched {
            match object {
                Ok((entry, json)) => {
                    let number = usize::from_le_bytes(json[..].try_into().unwrap());
                    assert!(entry.path.ends_with(&format!("s-{number:06}.json")), "{}", entry.path);
                    numbers.push(number);
                }
                Err(what) => lost.push((what.entry.is_some(), what.problem.code)),
            }
        }
        assert_eq!(lost, [(true, "restore.unusable_object".into()), (false, "x".into())]);
        let first: Vec<usize> = numbers.drain(..FULL).collect();
        assert!(first.iter().all(|number| *number < FULL), "the first queue is fetched first");
        numbers.extend(first);
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..count));
    }
}
