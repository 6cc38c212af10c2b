//! The sealed catalogue: small entries such as an application's name, one object a revision.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tenant::Tenant;
use crate::error::{Error, Result};
use crate::repository::unpacked;

const READS_IN_FLIGHT: usize = 8;

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its id within its kind.
    pub id: String,
    /// 1 for the first, one more for each that replaced it.
    pub revision: u64,
    /// Its content.
    pub value: Value,
}

/// A revision as it is sealed. Kind, id and revision repeat the path, so that a file moved or
/// renamed by someone with access to the storage is noticed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    kind: String,
    id: String,
    revision: u64,
    value: Value,
}

impl Tenant {
    /// Stores a new revision of an entry and returns its number; older ones stay. Of two writers at
    /// once both are kept, and the same one is the newest for everybody.
    ///
    /// # Errors
    /// [`Error::Path`] if kind or id is not made of `a-z`, `0-9` and `-`; [`Error::Storage`]
    pub async fn put_entry(&self, kind: &str, id: &str, value: &Value) -> Result<u64> {
        expect_label(kind)?;
        expect_label(id)?;
        let newest = self.store.list(&format!("catalogue/{kind}/{id}")).await?;
        let newest = newest.iter().filter_map(|file| revision_of(&file.name)).max();
        let revision = newest.map_or(1, |newest| newest + 1);
        let entry = Sealed { kind: kind.to_owned(), id: id.to_owned(), revision, value: value.clone() };
        let json = serde_json::to_vec(&entry).map_err(|error| Error::Internal(error.to_string()))?;
        let sealed = unpacked::encode(&self.seal, &json)?;
        let random = hex::encode(rand::random::<[u8; 8]>());
        let path = format!("catalogue/{kind}/{id}/{revision:010}-{random}");
        self.store.put_unique(&path, sealed.into()).await?;
        Ok(revision)
    }

    /// The newest revision of every entry of a kind, by id.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`]
    pub async fn entries(&self, kind: &str) -> Result<Vec<Entry>> {
        expect_label(kind)?;
        let mut newest: BTreeMap<String, String> = BTreeMap::new();
        for file in self.store.list(&format!("catalogue/{kind}")).await? {
            if let Some((id, name)) = file.name.split_once('/')
                && revision_of(name).is_some()
            {
                let kept = newest.entry(id.to_owned()).or_default();
                if name > kept.as_str() {
                    name.clone_into(kept);
                }
            }
        }
        let reads = newest.iter().map(|(id, name)| self.read_entry(kind, id, name));
        futures::stream::iter(reads).buffered(READS_IN_FLIGHT).try_collect().await
    }

    /// The newest revision of one entry.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`]
    pub async fn entry(&self, kind: &str, id: &str) -> Result<Option<Entry>> {
        expect_label(kind)?;
        expect_label(id)?;
        let listed = self.store.list(&format!("catalogue/{kind}/{id}")).await?;
        let names = listed.into_iter().map(|file| file.name).filter(|name| revision_of(name).is_some());
        match names.max() {
            Some(name) => Ok(Some(self.read_entry(kind, id, &name).await?)),
            None => Ok(None),
        }
    }

    async fn read_entry(&self, kind: &str, id: &str, name: &str) -> Result<Entry> {
        let path = format!("catalogue/{kind}/{id}/{name}");
        let mut sealed = self.store.get(&path).await?.to_vec();
        let path = self.store.locate(&path);
        let json = unpacked::decode(&self.seal, &path, &mut sealed)?;
        let entry: Sealed = unpacked::parse(&path, &json)?;
        if entry.kind != kind || entry.id != id || Some(entry.revision) != revision_of(name) {
            return Err(Error::damaged(path, "it was sealed under another name"));
        }
        Ok(Entry { id: entry.id, revision: entry.revision, value: entry.value })
    }
}

/// The number a revision's file name begins with, ten digits so that names sort by it.
fn revision_of(name: &str) -> Option<u64> {
    let (number, random) = name.split_once('-')?;
    (number.len() == 10 && random.len() == 16).then(|| number.parse().ok())?
}

fn expect_label(name: &str) -> Result<()> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if (1..=63).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let reason = "cannot name a catalogue entry: use 1 to 63 characters a-z, 0-9 and `-`".to_owned();
    Err(Error::Path { path: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use holdfast_model::TenantId;
    use serde_json::json;

    use super::super::{RootKey, Vault, VaultInit};
    use super::*;
    use crate::store::Store;

    async fn tenant() -> Tenant {
        let init = VaultInit { random: [1; 16], now: "2026-11-22T10:00:00Z".parse().unwrap() };
        let (vault, _) = Vault::init(Store::in_memory(), init).await.unwrap();
        vault.create_tenant(&TenantId::default(), RootKey::from_random([1; 32])).await.unwrap()
    }

    #[tokio::test]
    async fn the_newest_revision_of_each_entry_is_read() {
        let tenant = tenant().await;
        for revision in 1..=12 {
            assert_eq!(tenant.put_entry("app", "a", &json!({ "n": revision })).await.unwrap(), revision);
        }
        tenant.put_entry("app", "b", &json!("other")).await.unwrap();
        tenant.put_entry("plan", "a", &json!(null)).await.unwrap();
        let entries = tenant.entries("app").await.unwrap();
        assert_eq!(
            entries.iter().map(|e| (e.id.as_str(), e.revision)).collect::<Vec<_>>(),
            [("a", 12), ("b", 1)]
        );
        assert_eq!(tenant.entry("app", "a").await.unwrap().unwrap().value, json!({ "n": 12 }));
        assert_eq!(tenant.entry("app", "c").await.unwrap(), None);
    }

    #[tokio::test]
    async fn nothing_in_it_can_be_read_or_moved_without_the_key() {
        let tenant = tenant().await;
        tenant.put_entry("app", "a", &json!({ "name": "payroll" })).await.unwrap();
        let path = format!("catalogue/app/a/{}", tenant.store.list("catalogue/app/a").await.unwrap()[0].name);
        let sealed = tenant.store.get(&path).await.unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"payroll"));
        tenant.store.put_unique(&path.replace("app/a", "app/b"), sealed).await.unwrap();
        assert_eq!(tenant.entry("app", "b").await.unwrap_err().code(), "vault.damaged");
    }

    #[tokio::test]
    async fn names_that_would_leave_the_catalogue_are_refused() {
        let tenant = tenant().await;
        for bad in ["", "..", "a/b", "A"] {
            assert_eq!(tenant.put_entry(bad, "a", &json!(1)).await.unwrap_err().code(), "vault.path");
            assert_eq!(tenant.entry("app", bad).await.unwrap_err().code(), "vault.path");
        }
    }
}
