//! Many blobs at once: packs read in long stretches, decoded by threads of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::blob::{Decoded, decode};
use super::segment::{LONGEST, Segment, plan};
use super::{Reader, blob, parse_tree};
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind};
use crate::pack;
use crate::tree::Tree;

/// Stretches that are read at once, or wait for a thread; each has up to 4 MiB.
const READS_IN_FLIGHT: usize = 8;

/// What [`Reader::fetch_all`] did.
#[derive(Debug, Default)]
pub struct FetchReport {
    /// Blobs handed to the sink.
    pub blobs: u64,
    /// Their plain bytes.
    pub bytes: u64,
    /// Blobs that could not be had, each with the reason; the sink never saw them.
    pub failed: Vec<(BlobId, Error)>,
}

/// Takes the blobs.
type Sink = dyn Fn(&BlobId, &[u8]) -> std::io::Result<()> + Send + Sync;

/// What the threads of one fetch share.
struct Fetch {
    key: Key,
    sink: Box<Sink>,
    report: Mutex<FetchReport>,
    /// The sink's error, which ends the fetch.
    refused: Mutex<Option<std::io::Error>>,
    /// Memory of stretches that are done with, for as many as are read at once.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// A stretch that was read, and the right to hold it in memory.
struct Loaded {
    segment: Segment,
    content: Result<Vec<u8>>,
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn all(
    reader: &Reader,
    kind: BlobKind,
    wanted: impl IntoIterator<Item = BlobId>,
    sink: impl Fn(&BlobId, &[u8]) -> std::io::Result<()> + Send + Sync + 'static,
) -> Result<FetchReport> {
    let (segments, missing) = plan(&reader.index, kind, wanted);
    let fetch = Arc::new(Fetch {
        key: reader.repository.key.clone(),
        sink: Box::new(sink),
        report: Mutex::default(),
        refused: Mutex::default(),
        spare: Mutex::default(),
    });
    run(reader, &fetch, segments).await?;
    let again = fetch.report().failed.split_off(0);
    for (id, error) in again {
        fetch.retry(reader, kind, id, error).await;
    }
    if let Some(error) = fetch.refused().take() {
        return Err(Error::io("restoring", error));
    }
    let mut report = std::mem::take(&mut *fetch.report());
    report.failed.extend(missing.into_iter().map(|id| (id, Error::MissingBlob { kind, id })));
    Ok(report)
}

/// Reads all segments and has them decoded; ends early if the sink refuses.
async fn run(reader: &Reader, fetch: &Arc<Fetch>, segments: Vec<Segment>) -> Result<()> {
    let permits = Arc::new(Semaphore::new(READS_IN_FLIGHT));
    let (queue, waiting) = crossbeam_channel::bounded(READS_IN_FLIGHT);
    let threads = start_threads(fetch, &waiting)?;
    drop(waiting);
    let reads = futures::stream::iter(segments).map(|segment| load(reader, fetch, &permits, &queue, segment));
    let mut reads = reads.buffer_unordered(READS_IN_FLIGHT);
    while reads.next().await.is_some() {
        if fetch.refused().is_some() {
            break;
        }
    }
    drop(reads);
    drop(queue);
    let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
    match joined.await {
        Ok(true) => Ok(()),
        _ => Err(Error::Internal("a thread that restores has panicked".to_owned())),
    }
}

/// Reads one segment and queues it. There are as many places as permits, so queueing never waits.
async fn load(
    reader: &Reader,
    fetch: &Fetch,
    permits: &Arc<Semaphore>,
    queue: &Sender<Loaded>,
    segment: Segment,
) {
    // The semaphore is never closed.
    let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return };
    let path = pack::path(&segment.pack);
    let memory = fetch.spare().pop().unwrap_or_else(|| Vec::with_capacity(LONGEST as usize));
    let content = reader.repository.store.get_range_into(&path, segment.range.clone(), memory).await;
    // Nobody takes it any more once the sink has refused.
    let _ = queue.try_send(Loaded { segment, content, _permit: permit });
}

fn start_threads(fetch: &Arc<Fetch>, waiting: &Receiver<Loaded>) -> Result<Vec<std::thread::JoinHandle<()>>> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let start = |number| {
        let (fetch, waiting) = (Arc::clone(fetch), waiting.clone());
        std::thread::Builder::new().name(format!("vault-fetch-{number}")).spawn(move || {
            let mut buffers = Decoded::default();
            for loaded in waiting {
                fetch.deliver(loaded, &mut buffers);
            }
        })
    };
    (0..threads)
        .map(start)
        .collect::<std::io::Result<_>>()
        .map_err(|error| Error::io("starting threads", error))
}

impl Fetch {
    fn deliver(&self, loaded: Loaded, buffers: &mut Decoded) {
        let Loaded { segment, content, _permit } = loaded;
        let (mut blobs, mut bytes) = (0, 0);
        for blob in &segment.blobs {
            if self.refused().is_some() {
                return;
            }
            let start = (u64::from(blob.offset) - segment.range.start) as usize;
            let opened = match &content {
                Ok(content) => {
                    let end = content.len().min(start + blob.length as usize);
                    decode(&self.key, blob, content.get(start..end).unwrap_or_default(), buffers)
                }
                Err(error) => Err(error.to_string()),
            };
            match opened {
                Ok(plain) => {
                    self.hand_over(&blob.id, plain);
                    blobs += 1;
                    bytes += plain.len() as u64;
                }
                Err(reason) => {
                    let error = Error::damaged_blob(blob.kind, &blob.id, &segment.pack, reason);
                    self.report().failed.push((blob.id, error));
                }
            }
        }
        // Before the permit is given back: whoever gets that finds it.
        self.spare().extend(content.ok().filter(|memory| memory.capacity() as u64 <= LONGEST));
        let mut report = self.report();
        report.blobs += blobs;
        report.bytes += bytes;
    }

    fn hand_over(&self, id: &BlobId, plain: &[u8]) {
        if let Err(error) = (self.sink)(id, plain) {
            self.refused().get_or_insert(error);
        }
    }

    /// Tries the other places of a blob that could not be had from the first one.
    async fn retry(self: &Arc<Self>, reader: &Reader, kind: BlobKind, id: BlobId, error: Error) {
        let again = match reader.index.locate(kind, &id).len() {
            0 | 1 => Err(error),
            _ => blob::fetch(&reader.repository, &reader.index, kind, &id).await,
        };
        let plain = match again {
            Ok(plain) => plain,
            Err(error) => return self.report().failed.push((id, error)),
        };
        let fetch = Arc::clone(self);
        let handed = tokio::task::spawn_blocking(move || {
            fetch.hand_over(&id, &plain);
            let mut report = fetch.report();
            report.blobs += 1;
            report.bytes += plain.len() as u64;
        });
        if let Err(error) = handed.await {
            self.report().failed.push((id, Error::Internal(error.to_string())));
        }
    }

    fn report(&self) -> MutexGuard<'_, FetchReport> {
        lock(&self.report)
    }

    fn refused(&self) -> MutexGuard<'_, Option<std::io::Error>> {
        lock(&self.refused)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        lock(&self.spare)
    }
}

/// Directories by their names, in the order asked for.
pub(super) async fn trees(reader: &Reader, ids: &[BlobId]) -> Vec<Result<Arc<Tree>>> {
    let found: Arc<Mutex<HashMap<BlobId, Result<Arc<Tree>>>>> = Arc::default();
    let cached = ids.iter().filter_map(|id| Some((*id, Ok(reader.trees.get(id)?))));
    lock(&found).extend(cached);
    let wanted: Vec<BlobId> = ids.iter().filter(|id| !lock(&found).contains_key(id)).copied().collect();
    let parsed = Arc::clone(&found);
    // Not kept in the cache: who asks for many at once walks, and comes by each of them once.
    let sink = move |id: &BlobId, json: &[u8]| {
        lock(&parsed).insert(*id, parse_tree(id, json).map(Arc::new));
        Ok(())
    };
    let outcome = all(reader, BlobKind::Tree, wanted, sink).await;
    let mut found = std::mem::take(&mut *lock(&found));
    let failed = match outcome {
        Ok(report) => report.failed,
        Err(error) => return ids.iter().map(|_| Err(Error::Internal(error.to_string()))).collect(),
    };
    found.extend(failed.into_iter().map(|(id, error)| (id, Err(error))));
    ids.iter().map(|id| take(&mut found, id)).collect()
}

/// What was found for `id`; it may be asked for again.
fn take(found: &mut HashMap<BlobId, Result<Arc<Tree>>>, id: &BlobId) -> Result<Arc<Tree>> {
    match found.get(id) {
        Some(Ok(tree)) => Ok(Arc::clone(tree)),
        _ => found.remove(id).unwrap_or(Err(Error::MissingBlob { kind: BlobKind::Tree, id: *id })),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
