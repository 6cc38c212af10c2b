//! The objects of a benchmark: how many Secrets, in how many namespaces, with which bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use tokio::task::JoinSet;

use super::OwnWork;
use crate::bench::measure::Cost;
use crate::bench::tree::Random;

/// Length of a Secret's value.
pub const BYTES: usize = 1024;

/// Requests under way at the same time in the create loop.
pub const AT_ONCE: usize = 32;

/// Some Secrets in some namespaces.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many Secrets in all.
    pub count: usize,
    /// Over how many namespaces they are spread.
    pub namespaces: usize,
}

impl Shape {
    /// The name of a namespace.
    pub fn namespace(&self, number: usize) -> String {
        format!("bench-{:03}", number % self.namespaces)
    }

    /// The names of all namespaces.
    pub fn all_namespaces(&self) -> Vec<String> {
        (0..self.namespaces).map(|number| self.namespace(number)).collect()
    }

    /// One of the Secrets.
    fn secret(&self, number: usize) -> Secret {
        let mut value = Vec::with_capacity(BYTES);
        Random::new(number as u64).noise(BYTES, &mut value);
        let label = ("app.kubernetes.io/part-of".to_owned(), "bench".to_owned());
        Secret {
            metadata: ObjectMeta {
                name: Some(format!("secret-{number:06}")),
                namespace: Some(self.namespace(number)),
                labels: Some(BTreeMap::from([label])),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".into()),
            data: Some(BTreeMap::from([("value".to_owned(), ByteString(value))])),
            ..Secret::default()
        }
    }

    /// Creates all of them, many at once, as plainly as a client can: the floor of any restore.
    pub async fn fill(&self, client: &Client) -> Result<Cost> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let work = OwnWork::begin();
        for name in self.all_namespaces() {
            let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
            namespaces
                .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
                .await?;
        }
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            workers.spawn(create_from(*self, client.clone(), Arc::clone(&next)));
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        Ok(work.cost())
    }

    /// Gives one in so many another value, many at once.
    pub async fn change(&self, client: &Client, every: usize) -> Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            workers.spawn(change_from(*self, client.clone(), every, Arc::clone(&next)));
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Reads some of them and compares every byte.
    pub async fn verify(&self, client: &Client) -> Result<()> {
        for number in (0..self.count).step_by(self.count.div_ceil(50)) {
            let wanted = self.secret(number);
            let name = wanted.metadata.name.clone().context("a Secret of ours has a name")?;
            let found = Api::<Secret>::namespaced(client.clone(), &self.namespace(number)).get(&name).await?;
            let same = found.data == wanted.data
                && found.metadata.labels == wanted.metadata.labels
                && found.type_ == wanted.type_;
            ensure!(same, "Secret {name} is not what it was");
        }
        Ok(())
    }
}

async fn change_from(shape: Shape, client: Client, every: usize, next: Arc<AtomicUsize>) -> Result<()> {
    loop {
        let number = next.fetch_add(every, Ordering::Relaxed);
        if number >= shape.count {
            return Ok(());
        }
        // The value of a Secret that does not exist.
        let data = shape.secret(number + shape.count).data;
        let name = format!("secret-{number:06}");
        let patch = Patch::Merge(serde_json::json!({ "data": data }));
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &shape.namespace(number));
        secrets.patch(&name, &PatchParams::default(), &patch).await?;
    }
}

async fn create_from(shape: Shape, client: Client, next: Arc<AtomicUsize>) -> Result<()> {
    let params = PostParams::default();
    let apis: Vec<Api<Secret>> =
        shape.all_namespaces().iter().map(|name| Api::namespaced(client.clone(), name)).collect();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= shape.count {
            return Ok(());
        }
        apis[number % shape.namespaces].create(&params, &shape.secret(number)).await?;
    }
}
