//! What a storage can do, found out by trying.

use bytes::Bytes;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::{Claim, Store};

/// How many creates of one key race each other.
const RACERS: usize = 16;

/// What a vault's storage was found to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Of 16 racing creates of one key exactly one won.
    pub conditional_create: bool,
    /// Objects can be deleted (locks need it).
    pub delete: bool,
    /// Overwritten and deleted objects stay as old versions; `None` if the storage cannot be asked.
    pub versioning: Option<bool>,
    /// Objects can be locked against deletion; `None` if the storage cannot be asked.
    pub object_lock: Option<bool>,
}

impl Features {
    /// What this means, a sentence for each feature.
    pub fn verdict(&self) -> Vec<String> {
        let sentences = [
            if self.conditional_create {
                "Conditional create works: failover epochs can be claimed here."
            } else {
                "Conditional create does not work: failover epochs are refused on this vault; keep a plan's epochs on others."
            },
            if self.delete {
                "Objects can be deleted: writers leave restic locks."
            } else {
                "Objects cannot be deleted: writers leave no locks, so do not run stock restic's prune, rewrite or repair beside a backup."
            },
            match self.versioning {
                Some(true) => "Old versions are kept: deleting does not free space until they expire.",
                Some(false) => "Old versions are not kept: who may delete here can destroy recovery points.",
                None => "Whether old versions are kept is unknown.",
            },
            match self.object_lock {
                Some(true) => "Objects can be locked against deletion.",
                Some(false) => {
                    "Objects cannot be locked against deletion: keep a copy in a vault where they can."
                }
                None => "Whether objects can be locked against deletion is unknown.",
            },
        ];
        sentences.map(str::to_owned).to_vec()
    }
}

/// Tries what the storage does with objects under `probe/`.
pub(super) async fn probe(store: &Store, vault: &str) -> Result<Features> {
    let run: [u8; 8] = rand::random();
    let path = format!("probe/{vault}-{}", hex::encode(run));
    let conditional_create = race(store, &path).await?;
    let versioning = store.keeps_versions(&path).await?;
    let object_lock = store.has_object_lock().await?;
    let delete = match store.delete(&path).await {
        Ok(()) => store.find(&path).await?.is_none(),
        Err(error) if error.is_refusal() => false,
        Err(error) => return Err(error),
    };
    Ok(Features { conditional_create, delete, versioning, object_lock })
}

/// Whether of many creates at once exactly one wins, and all agree which.
async fn race(store: &Store, path: &str) -> Result<bool> {
    let content = |racer| Bytes::from(format!("{racer} {}", hex::encode(rand::random::<[u8; 8]>())));
    let racers = (0..RACERS).map(|racer| store.create_claim(path, content(racer)));
    let (mut won, mut lost) = (0, Vec::new());
    for claim in join_all(racers).await {
        match claim {
            Ok(Claim::Won) => won += 1,
            Ok(Claim::Lost(winner)) => lost.push(winner),
            Err(Error::Unsupported { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if store.find(path).await?.is_none() {
        store.put_unique(path, content(RACERS)).await?;
    }
    Ok(won == 1 && lost.len() == RACERS - 1 && lost.windows(2).all(|pair| pair[0] == pair[1]))
}
