//! Objects out of the vault: fetched by the batch, pack by pack, a bounded number of bytes ahead
//! of whoever applies them.
//!
//! A batch is complete before any of it is handed on. Handing objects on from the vault's own
//! threads could wait for a consumer that itself waits for the vault.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use holdfast_model::Problem;
use holdfast_model::restore::read::MOST_BYTES;
use holdfast_vault::{BlobId, BlobKind};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::point::{ObjectEntry, OpenPoint};

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

/// Plain bytes of one batch; two batches may be in memory.
const BATCH_BYTES: u64 = 12 << 20;
/// Objects of one batch.
const BATCH_OBJECTS: usize = 12_000;

/// Fetches the JSON of these objects. The order is that of the vault, not of the entries.
pub(super) fn fetch(
    point: &OpenPoint,
    entries: impl Stream<Item = Result<ObjectEntry, Problem>> + Send + 'static,
) -> impl Stream<Item = Fetched> + Send + 'static {
    let (sender, receiver) = mpsc::channel(1);
    let fetcher = Fetcher { point: point.clone(), sender };
    let task = AbortOnDropHandle::new(tokio::spawn(fetcher.run(entries)));
    let batches = futures::stream::unfold((receiver, task), |(mut receiver, task)| async move {
        let batch: Vec<Fetched> = receiver.recv().await?;
        Some((futures::stream::iter(batch), (receiver, task)))
    });
    batches.flatten()
}

struct Fetcher {
    point: OpenPoint,
    sender: mpsc::Sender<Vec<Fetched>>,
}

#[derive(Default)]
struct Batch {
    entries: Vec<ObjectEntry>,
    bytes: u64,
    unusable: Vec<Fetched>,
}

impl Fetcher {
    async fn run(self, entries: impl Stream<Item = Result<ObjectEntry, Problem>> + Send) {
        let mut entries = std::pin::pin!(entries);
        let mut batch = Batch::default();
        while let Some(entry) = entries.next().await {
            match entry
                .map_err(|problem| Box::new(Lost { entry: None, problem }))
                .and_then(|entry| self.sized(entry))
            {
                Ok((entry, size)) => {
                    batch.bytes += size;
                    batch.entries.push(entry);
                }
                Err(lost) => batch.unusable.push(Err(lost)),
            }
            let full = batch.bytes >= BATCH_BYTES || batch.entries.len() >= BATCH_OBJECTS;
            if full && !self.hand_on(std::mem::take(&mut batch)).await {
                return;
            }
        }
        self.hand_on(batch).await;
    }

    /// The entry with the size that the vault, not the point, says it has.
    fn sized(&self, entry: ObjectEntry) -> Result<(ObjectEntry, u64), Box<Lost>> {
        let [id] = entry.content.as_slice() else {
            let reason = format!("it is stored in {} pieces, an object has one", entry.content.len());
            return Err(lost(entry, reason));
        };
        let Some(size) = self.point.reader.size_of(BlobKind::Data, id) else {
            let reason = format!("its blob {id} is in no index of the vault");
            return Err(lost(entry, reason));
        };
        if size > MOST_BYTES as u64 {
            let reason = format!("it has {size} bytes, no object has more than {MOST_BYTES}");
            return Err(lost(entry, reason));
        }
        Ok((entry, size))
    }

    /// Fetches a batch and sends it; `false` when nobody wants more.
    async fn hand_on(&self, batch: Batch) -> bool {
        let mut wanted: HashMap<BlobId, Vec<ObjectEntry>> = HashMap::new();
        for entry in batch.entries {
            let Some(id) = entry.content.first().copied() else { continue };
            wanted.entry(id).or_default().push(entry);
        }
        let mut done = batch.unusable;
        let ids: Vec<BlobId> = wanted.keys().copied().collect();
        let received: Arc<Mutex<Vec<(BlobId, Bytes)>>> = Arc::default();
        let sink = received.clone();
        let fetched = self.point.reader.fetch_all(ids, move |id, bytes| {
            let piece = (*id, Bytes::copy_from_slice(bytes));
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
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
        for (id, bytes) in received.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let entries = wanted.remove(&id).unwrap_or_default();
            done.extend(entries.into_iter().map(|entry| Ok((entry, bytes.clone()))));
        }
        done.extend(wanted.into_values().flatten().map(|entry| Err(lost(entry, failure.clone()))));
        self.sender.send(done).await.is_ok()
    }
}

fn lost(entry: ObjectEntry, reason: String) -> Box<Lost> {
    let problem = unusable(&entry, reason);
    Box::new(Lost { entry: Some(entry), problem })
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
