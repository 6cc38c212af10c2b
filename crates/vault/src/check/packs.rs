//! Packs against the index, and their content.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::Semaphore;

use super::report::CheckProgress;
use super::{Check, pack_path, reason};
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind, PackId};
use crate::index;
use crate::pack::{self, Header, PackedBlob};
use crate::read::{Decoded, decode};
use crate::repository::Inner;

/// Memory for packs being verified, in MiB; a larger pack is verified alone.
const BUDGET: u32 = 96;
const READS_IN_FLIGHT: usize = 8;

/// What reading a pack brought to light.
#[derive(Default)]
struct Verdict {
    problems: Vec<String>,
    bad: Vec<(BlobKind, BlobId)>,
}

impl Check<'_> {
    /// Compares the packs that exist with the index, and returns how many of them no index names.
    /// If an index file is damaged, the headers of those packs take its place.
    pub(super) async fn list_packs(&mut self, index_is_whole: bool) -> Result<u64> {
        let listed = self.repository.store.list("data").await?;
        let sizes: HashMap<PackId, u64> = listed
            .iter()
            .filter_map(|file| Some((file.name.rsplit('/').next()?.parse().ok()?, file.size)))
            .collect();
        let known: Vec<PackId> = self.index.packs();
        let unknown: Vec<PackId> = {
            let known: std::collections::HashSet<&PackId> = known.iter().collect();
            sizes.keys().filter(|id| !known.contains(id)).copied().collect()
        };
        if !index_is_whole {
            self.use_headers(&unknown, &sizes).await?;
        }
        for (id, blobs) in self.blobs_by_pack() {
            let expected = pack::size_of(&blobs);
            let problem = match sizes.get(&id) {
                Some(&size) if size == expected => continue,
                Some(size) => format!("it has {size} bytes instead of {expected}"),
                None => "it is gone".to_owned(),
            };
            // A damaged pack may still hold some of its blobs; reading it tells which.
            let readable = sizes.get(&id).copied().unwrap_or(0);
            let lost = blobs.iter().filter(|blob| u64::from(blob.offset) + u64::from(blob.length) > readable);
            let finding = self.findings.add(pack_path(&id), problem);
            for blob in lost {
                self.note_bad(blob.kind, blob.id, &id, finding);
            }
        }
        Ok(unknown.len() as u64)
    }

    async fn use_headers(&mut self, packs: &[PackId], sizes: &HashMap<PackId, u64>) -> Result<()> {
        for id in packs {
            match index::read_pack_header(&self.repository, id, sizes.get(id).copied().unwrap_or(0)).await {
                Ok(blobs) => self.index.add([(*id, &blobs[..])]),
                Err(error) => {
                    self.findings.add(pack_path(id), reason(error)?);
                }
            }
        }
        Ok(())
    }

    /// A blob is bad if it does not lie, undamaged, in another pack as well.
    fn note_bad(&mut self, kind: BlobKind, id: BlobId, pack: &PackId, finding: usize) {
        if self.index.locate(kind, &id).iter().all(|location| location.pack == *pack) {
            self.findings.blob_is_bad(kind, id, finding);
        }
    }

    fn blobs_by_pack(&self) -> Vec<(PackId, Vec<PackedBlob>)> {
        let mut packs: Vec<_> = self.index.packs().into_iter().map(|id| (id, Vec::new())).collect();
        self.index.for_each(|pack, blob| packs[pack].1.push(*blob));
        for (_, blobs) in &mut packs {
            blobs.sort_unstable_by_key(|blob| blob.offset);
        }
        packs
    }

    /// Reads every pack, and verifies it and every blob in it.
    pub(super) async fn read_packs(&mut self) -> Result<()> {
        let packs = self.blobs_by_pack();
        let bytes_total = packs.iter().map(|(_, blobs)| pack::size_of(blobs)).sum();
        let mut progress =
            CheckProgress { packs_total: packs.len() as u64, bytes_total, ..CheckProgress::default() };
        let (repository, permits) = (Arc::clone(&self.repository), Arc::new(Semaphore::new(BUDGET as usize)));
        let reads = futures::stream::iter(packs).map(|(id, blobs)| {
            let (repository, permits) = (Arc::clone(&repository), Arc::clone(&permits));
            async move {
                let size = pack::size_of(&blobs);
                (id, size, verify(&repository, &permits, id, blobs).await)
            }
        });
        let mut reads = reads.buffer_unordered(READS_IN_FLIGHT);
        while let Some((id, size, verdict)) = reads.next().await {
            progress.packs_done += 1;
            progress.bytes_done += size;
            (self.progress)(progress);
            let verdict = verdict?;
            if !verdict.problems.is_empty() {
                let finding = self.findings.add(pack_path(&id), verdict.problems.join("; "));
                for (kind, blob) in verdict.bad {
                    self.note_bad(kind, blob, &id, finding);
                }
            }
        }
        Ok(())
    }
}

async fn verify(
    repository: &Arc<Inner>,
    permits: &Semaphore,
    id: PackId,
    blobs: Vec<PackedBlob>,
) -> Result<Verdict> {
    let mebibytes = (pack::size_of(&blobs) >> 20) as u32 + 1;
    let permit = permits.acquire_many(mebibytes.min(BUDGET)).await;
    let _permit = permit.map_err(|error| Error::Internal(error.to_string()))?;
    let content = match repository.store.get(&pack::path(&id)).await {
        Ok(content) => content,
        // Named already, by its absence from the listing.
        Err(error) if error.is_not_found() => return Ok(Verdict::default()),
        Err(error) => return Err(error),
    };
    let key = repository.key.clone();
    let verified = tokio::task::spawn_blocking(move || verify_content(&key, &id, &content, &blobs)).await;
    verified.map_err(|error| Error::Internal(error.to_string()))
}

fn verify_content(key: &Key, id: &PackId, content: &[u8], blobs: &[PackedBlob]) -> Verdict {
    let mut verdict = Verdict::default();
    if PackId::of(content) != *id {
        verdict.problems.push("its content does not match its name".to_owned());
    }
    match pack::read_header(content, content.len() as u64, key) {
        Ok(Header::Blobs(header)) if header == blobs => {}
        Ok(_) => verdict.problems.push("its header and the index differ".to_owned()),
        Err(problem) => verdict.problems.push(problem),
    }
    let mut buffers = Decoded::default();
    for blob in blobs {
        let start = content.len().min(blob.offset as usize);
        let end = content.len().min(start + blob.length as usize);
        if let Err(problem) = decode(key, blob, &content[start..end], &mut buffers) {
            verdict.problems.push(format!("{} blob {}: {problem}", blob.kind, blob.id));
            verdict.bad.push((blob.kind, blob.id));
        }
    }
    verdict
}
