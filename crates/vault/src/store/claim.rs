//! Conditional creation: of many who create one name at once, exactly one wins and knows it.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode};

use super::Store;
use crate::error::{Error, Result};

/// Outcome of [`Store::create_claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The object is ours.
    Won,
    /// Someone else created it before; this is what they wrote.
    Lost(Bytes),
}

impl Store {
    /// Creates `path` with `content` unless it exists (`If-None-Match: *`, RFC 9110 §13.1.2).
    ///
    /// `content` must hold something random: a create whose reply was lost sees its own success as
    /// "exists already", so the object is read back then and compared.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the store has no conditional create; [`Error::Storage`]
    pub async fn create_claim(&self, path: &str, content: Bytes) -> Result<Claim> {
        let location = self.path(path);
        let attempt = || async {
            match self.put_once(&location, &content, PutMode::Create).await {
                Ok(()) => Ok(Claim::Won),
                Err(StoreError::AlreadyExists { .. }) => self.read_back(&location, &content).await,
                Err(error) => Err(error),
            }
        };
        match self.retried("claim", &location, attempt).await {
            Err(Error::Storage {
                source: StoreError::NotImplemented { .. } | StoreError::NotSupported { .. },
                ..
            }) => {
                let reason =
                    "it has no conditional create (If-None-Match), so two writers cannot be told apart";
                Err(Error::Unsupported { reason: reason.to_owned() })
            }
            // The outcome is unknown: the store may have created it and failed to say so.
            Err(error) => match self.find(path).await {
                Ok(Some(stored)) if stored == content => Ok(Claim::Won),
                _ => Err(error),
            },
            outcome => outcome,
        }
    }

    /// Who created it? Nobody yet, if the answer was 409 because another create is in flight.
    async fn read_back(&self, location: &Path, content: &Bytes) -> object_store::Result<Claim> {
        match self.inner.objects.get(location).await {
            Ok(found) => {
                let stored = found.bytes().await?;
                Ok(if stored == content { Claim::Won } else { Claim::Lost(stored) })
            }
            Err(StoreError::NotFound { .. }) => {
                Err(StoreError::Generic { store: "vault", source: "409: another create is in flight".into() })
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_wins_and_repeating_is_harmless() {
        let store = Store::in_memory();
        let (ours, theirs) = (Bytes::from_static(b"ours"), Bytes::from_static(b"theirs"));
        assert_eq!(store.create_claim("x", ours.clone()).await.unwrap(), Claim::Won);
        assert_eq!(store.create_claim("x", ours.clone()).await.unwrap(), Claim::Won);
        assert_eq!(store.create_claim("x", theirs).await.unwrap(), Claim::Lost(ours));
    }
}
