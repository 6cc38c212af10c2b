//! Extents that are fetched together.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_vault::{BlobId, Reader};
use tokio::runtime::Handle;

use super::Session;
use crate::error::{Error, Result};

/// Some extents that the target lacks.
#[derive(Default)]
pub(super) struct Batch {
    /// In the order of the device.
    wanted: Vec<(BlobId, u64)>,
}

/// The same in the order of names: one blob may belong to many places.
struct Places(Vec<(BlobId, u64)>);

impl Batch {
    pub(super) fn add(&mut self, id: BlobId, extent: u64) {
        self.wanted.push((id, extent));
    }

    /// Fetches and writes them.
    pub(super) fn run(self, reader: &Reader, runtime: &Handle, session: &Arc<Session>) -> Result<()> {
        // Packs are read in the order in which they are first needed, so the device is written
        // from its beginning to its end, more or less.
        let ids: Vec<BlobId> = self.wanted.iter().map(|(id, _)| *id).collect();
        let places = Arc::new(Places::new(self.wanted));
        let fatal = Arc::new(Mutex::new(None));
        let sink = {
            let (places, session, fatal) = (Arc::clone(&places), Arc::clone(session), Arc::clone(&fatal));
            move |id: &BlobId, bytes: &[u8]| {
                places.put(&session, id, bytes).map_err(|error| {
                    fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    io::Error::other("the restore cannot go on")
                })
            }
        };
        let fetched = runtime.block_on(reader.fetch_all(ids, sink));
        if let Some(error) = fatal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        for (id, error) in fetched?.failed {
            for extent in places.of(&id) {
                session.lose(extent..extent + 1, &error.to_string())?;
            }
        }
        Ok(())
    }
}

impl Places {
    fn new(mut wanted: Vec<(BlobId, u64)>) -> Self {
        wanted.sort_unstable();
        Self(wanted)
    }

    fn of(&self, id: &BlobId) -> impl Iterator<Item = u64> {
        let start = self.0.partition_point(|(at, _)| at < id);
        self.0[start..].iter().take_while(move |(at, _)| at == id).map(|(_, extent)| *extent)
    }

    fn put(&self, session: &Session, id: &BlobId, bytes: &[u8]) -> Result<()> {
        if session.stopped() {
            return Err(Error::Stopped);
        }
        for extent in self.of(id) {
            let wanted = session.geometry.extent_length(extent);
            if bytes.len() == wanted {
                session.write(extent, bytes)?;
            } else {
                let length = bytes.len();
                session.lose(extent..extent + 1, &format!("it has {length} bytes instead of {wanted}"))?;
            }
        }
        Ok(())
    }
}
