//! The `config` file: version, id and chunker polynomial of a repository.

use serde::{Deserialize, Serialize};

use super::polynomial;
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::store::{Claim, Store};

pub(super) const PATH: &str = "config";
/// The repository version written, and the newest one read (restic 0.14 and later).
const VERSION: u64 = 2;

/// What a repository's `config` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) version: u64,
    pub(crate) id: String,
    /// An irreducible polynomial over GF(2) of degree 53, in hexadecimal. Stock restic cuts chunks
    /// with it; ours are cut with a table derived from it.
    #[serde(with = "hex_number")]
    pub(crate) chunker_polynomial: u64,
}

impl Config {
    pub(super) fn generate() -> Self {
        let id: [u8; 32] = rand::random();
        Self { version: VERSION, id: hex::encode(id), chunker_polynomial: polynomial::random() }
    }

    pub(super) async fn save(&self, store: &Store, key: &Key) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?;
        match store.create_claim(PATH, key.seal(&json).into()).await {
            Ok(Claim::Won) => Ok(()),
            Ok(Claim::Lost(_)) => Err(Error::AlreadyExists { what: "a repository", path: store.address() }),
            // A store without conditional create: the caller has looked before.
            Err(Error::Unsupported { .. }) => store.put_unique(PATH, key.seal(&json).into()).await,
            Err(error) => Err(error),
        }
    }

    pub(super) async fn load(store: &Store, key: &Key) -> Result<Self> {
        let path = store.locate(PATH);
        let not_found = || Error::NotFound { what: "repository", path: store.address() };
        let mut sealed = store.find(PATH).await?.ok_or_else(not_found)?.to_vec();
        let json = key.open_in_place(&mut sealed).map_err(|error| Error::damaged(&path, error))?;
        let config = Self::parse(json).map_err(|error| Error::damaged(&path, error))?;
        if config.version > VERSION {
            let what = format!("repository `{}`", store.address());
            return Err(Error::NewerFormat { what, found: config.version, supported: VERSION });
        }
        Ok(config)
    }

    /// Reads the version first: what a newer one adds or changes must not hide it.
    pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_slice(json)?;
        if version > VERSION {
            return Ok(Self { version, id: String::new(), chunker_polynomial: 0 });
        }
        serde_json::from_slice(json)
    }
}

mod hex_number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_repository_is_refused_by_version_whatever_else_it_holds() {
        let (store, key) = (Store::in_memory(), Key::random());
        let sealed = key.seal(br#"{"version":3,"id":7,"chunker":{"kind":"new"}}"#);
        store.put_unique(PATH, sealed.into()).await.unwrap();
        let error = Config::load(&store, &key).await.unwrap_err();
        assert_eq!(error.code(), "vault.newer_format");
        assert!(error.to_string().contains("use a newer holdfast"));
    }

    #[tokio::test]
    async fn a_second_config_is_refused_and_the_first_stays() {
        let (store, key) = (Store::in_memory(), Key::random());
        let first = Config::generate();
        first.save(&store, &key).await.unwrap();
        let error = Config::generate().save(&store, &key).await.unwrap_err();
        assert_eq!(error.code(), "vault.already_exists");
        assert_eq!(Config::load(&store, &key).await.unwrap(), first);
    }
}
