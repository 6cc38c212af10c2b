//! Waits for one object to reach a state, whatever happens to the connection meanwhile.

use std::time::Duration;

use futures::StreamExt;
use holdfast_model::ResourceType;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::list::{ListEvent, ListOptions};
use crate::state;
use crate::watch::Change;

/// A watch is ended by the server after this many seconds and begun anew, so that a connection
/// that died without a word is noticed.
const WATCH_SECONDS: u32 = 50;
/// Silence after which we end the watch ourselves.
const SILENCE: Duration = Duration::from_secs(60);
/// Pause between attempts while the server cannot be reached.
const PAUSE: Duration = Duration::from_secs(1);

impl Cluster {
    /// Waits until `met` holds of the object, `None` being its absence, and returns it as it is
    /// then. `what` says what is waited for (`deployment shop/web to be ready`). Disconnects,
    /// overload and expired watches are ridden out until the deadline; a right that is missing,
    /// or the like, is an error at once. Needs `list` and `watch`.
    pub async fn wait<F>(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        name: &str,
        what: &str,
        deadline: Duration,
        met: F,
    ) -> Result<Option<Value>>
    where
        F: FnMut(Option<&Value>) -> bool + Send,
    {
        let began = Instant::now();
        let mut vigil = Vigil {
            cluster: self,
            of,
            options: ListOptions {
                namespace: namespace.map(str::to_owned),
                fields: Some(format!("metadata.name={name}")),
                ..ListOptions::default()
            },
            met,
            last_seen: "not seen yet".to_owned(),
        };
        if let Ok(outcome) = timeout_at(began + deadline, vigil.keep()).await {
            return outcome;
        }
        let object = match namespace {
            Some(namespace) => format!("{of} {namespace}/{name}"),
            None => format!("{of} {name}"),
        };
        Err(Error::NotInTime {
            cluster: self.name().to_owned(),
            what: what.to_owned(),
            object,
            waited: deadline,
            last_seen: vigil.last_seen,
        })
    }
}

struct Vigil<'a, F> {
    cluster: &'a Cluster,
    of: &'a ResourceType,
    options: ListOptions,
    met: F,
    last_seen: String,
}

/// The object as it was when the condition held.
struct Met(Option<Value>);

impl<F: FnMut(Option<&Value>) -> bool + Send> Vigil<'_, F> {
    /// Never gives up by itself; the caller's deadline ends it.
    async fn keep(&mut self) -> Result<Option<Value>> {
        loop {
            match self.round().await {
                Ok(Some(Met(object))) => return Ok(object),
                Ok(None) => {}
                Err(error) if error.is_expired() => {}
                Err(error) if error.is_transient() => {
                    self.last_seen = format!("not to be seen: {error}");
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Lists the object, then watches it from there until the watch ends.
    async fn round(&mut self) -> Result<Option<Met>> {
        let (object, resource_version) = self.look().await?;
        if let Some(met) = self.judge(object) {
            return Ok(Some(met));
        }
        let watch = self.cluster.watch(self.of, &self.options, &resource_version, WATCH_SECONDS).await?;
        let mut changes = std::pin::pin!(watch);
        while let Ok(Some(change)) = tokio::time::timeout(SILENCE, changes.next()).await {
            let object = match change? {
                Change::Applied(object) => Some(object.parse().map_err(|error| self.unreadable(&error))?),
                Change::Deleted(_) => None,
                Change::Bookmark(_) => continue,
            };
            if let Some(met) = self.judge(object) {
                return Ok(Some(met));
            }
        }
        Ok(None)
    }

    async fn look(&self) -> Result<(Option<Value>, String)> {
        let mut object = None;
        let mut events = std::pin::pin!(self.cluster.list(self.of, self.options.clone()));
        while let Some(event) = events.next().await {
            match event? {
                ListEvent::Page { items, .. } => {
                    let first = items.first().map(|item| item.parse()).transpose();
                    object = first.map_err(|error| self.unreadable(&error))?;
                }
                ListEvent::Restarted => object = None,
                ListEvent::Done { resource_version } => return Ok((object, resource_version)),
            }
        }
        Ok((object, "0".to_owned()))
    }

    fn judge(&mut self, object: Option<Value>) -> Option<Met> {
        self.last_seen = state::describe(object.as_ref());
        (self.met)(object.as_ref()).then_some(Met(object))
    }

    fn unreadable(&self, error: &serde_json::Error) -> Error {
        let call = crate::call::Call::resource("watch", self.of, self.options.namespace.as_deref(), None);
        self.cluster.malformed(&call, error.to_string())
    }
}
