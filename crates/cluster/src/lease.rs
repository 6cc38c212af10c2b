//! One holder at a time: a `coordination.k8s.io` Lease that keeps two runs off one application.
//!
//! Every change carries the resourceVersion it is based on, so of two takers one wins. Times are
//! the API server's, so that takers whose own clocks differ agree on when a lease has expired.

use std::time::Duration;

use holdfast_model::ResourceType;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::kinds;
use crate::write::{Created, Delete, Write};

/// Which lease, and whose it is to be.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The holder, by a name that no other run has. A lease found under this name is taken over.
    pub holder: String,
    /// How long it lasts without being renewed; whole seconds, at least one. It is renewed after a
    /// third of that.
    pub ttl: Duration,
    /// Holders that are known to have died: a lease of theirs is taken over before it expires.
    pub dead: Vec<String>,
}

/// A lease we hold. Dropping it leaves it to expire; [`Lease::release`] gives it back.
#[derive(Debug)]
pub struct Lease {
    cluster: Cluster,
    request: LeaseRequest,
    uid: String,
    resource_version: String,
    /// When it expires unless renewed, by our monotonic clock, counted from before the request.
    valid_until: Instant,
}

/// How often a lease is tried for when others change it at the same moment.
const TRIES: u32 = 5;

impl Lease {
    /// Takes the lease if it is free, expired, a dead holder's, or ours by name; else [`Error::LeaseHeld`].
    pub async fn acquire(cluster: &Cluster, request: LeaseRequest) -> Result<Lease> {
        let kind = kinds::leases();
        let mut outcome = Err(request.lost(cluster, "others kept changing it".to_owned()));
        for _ in 0..TRIES {
            let asked = Instant::now();
            let found = cluster.get(&kind, Some(&request.namespace), &request.name).await?;
            let written = match found {
                None => request.create(cluster, &kind).await,
                Some(found) => request.take_over(cluster, &kind, &found).await,
            };
            outcome = match written {
                Ok(object) => return Lease::of(cluster, request, &object, asked),
                Err(error) if error.is_conflict() => Err(error),
                Err(error) => return Err(error),
            };
        }
        outcome
    }

    /// The same, waiting for the holder to release it, to die and let it expire, or for `patience`
    /// to end; then [`Error::LeaseHeld`].
    pub async fn acquire_within(
        cluster: &Cluster,
        request: LeaseRequest,
        patience: Duration,
    ) -> Result<Lease> {
        let give_up = Instant::now() + patience;
        loop {
            let held = match Lease::acquire(cluster, request.clone()).await {
                Err(error @ Error::LeaseHeld { .. }) => error,
                other => return other,
            };
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(held);
            }
            request.change_or_expiry(cluster, &held, left).await?;
        }
    }

    /// Extends it by its time to live from now; [`Error::LeaseLost`] if somebody else has it.
    pub async fn renew(&mut self) -> Result<()> {
        let asked = Instant::now();
        let now = self.request.now(&self.cluster)?;
        let patch = json!({
            "metadata": {"uid": self.uid, "resourceVersion": self.resource_version},
            "spec": {"holderIdentity": self.request.holder, "renewTime": micro(now)},
        });
        let kind = kinds::leases();
        let (namespace, name) = (Some(self.request.namespace.as_str()), &self.request.name);
        let renewed = self.cluster.merge_patch(&kind, namespace, name, &patch, &Write::default()).await;
        let object = match renewed {
            Ok(object) => object,
            Err(error) if error.is_conflict() || error.is_not_found() => self.still_ours(error).await?,
            Err(error) => return Err(error),
        };
        self.resource_version = text(&object["metadata"]["resourceVersion"]);
        self.valid_until = asked + self.request.ttl;
        Ok(())
    }

    /// A conflict after a lost reply is our own renewal: the lease is read again.
    async fn still_ours(&self, error: Error) -> Result<Value> {
        let LeaseRequest { namespace, name, holder, .. } = &self.request;
        let found = self.cluster.get(&kinds::leases(), Some(namespace), name).await?;
        match found {
            Some(found) if text(&found["metadata"]["uid"]) == self.uid && holder_of(&found) == *holder => {
                Ok(found)
            }
            _ => Err(self.request.lost(&self.cluster, error.to_string())),
        }
    }

    /// Gives the lease back. If it was lost in the meantime, that is left alone.
    pub async fn release(self) -> Result<()> {
        let delete = Delete {
            uid: Some(self.uid),
            resource_version: Some(self.resource_version),
            ..Delete::default()
        };
        let (namespace, name) = (Some(self.request.namespace.as_str()), &self.request.name);
        match self.cluster.delete(&kinds::leases(), namespace, name, &delete).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// When it expires unless it is renewed.
    pub fn valid_until(&self) -> Instant {
        self.valid_until
    }

    /// Renews it in the background until it is released, dropped or lost.
    pub fn keep(self) -> KeptLease {
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(renew_until(self, stop.clone(), lost.clone()));
        KeptLease { stop, lost, task: AbortOnDropHandle::new(task) }
    }

    fn of(cluster: &Cluster, request: LeaseRequest, object: &Value, asked: Instant) -> Result<Lease> {
        let (uid, resource_version) =
            (text(&object["metadata"]["uid"]), text(&object["metadata"]["resourceVersion"]));
        let valid_until = asked + request.ttl;
        Ok(Lease { cluster: cluster.clone(), request, uid, resource_version, valid_until })
    }
}

/// A lease that renews itself.
#[derive(Debug)]
pub struct KeptLease {
    stop: CancellationToken,
    lost: CancellationToken,
    task: AbortOnDropHandle<(Lease, Option<Error>)>,
}

impl KeptLease {
    /// Cancelled when the lease is lost: whoever works under it must stop then.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Stops renewing and gives it back; the error that lost it, if it was lost.
    pub async fn release(self) -> Result<()> {
        self.stop.cancel();
        match self.task.await {
            Ok((lease, None)) => lease.release().await,
            Ok((_, Some(error))) => Err(error),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down; the lease will expire.
            Err(_) => Ok(()),
        }
    }
}

/// Renews after each third of the time to live; while that fails, until it has expired.
async fn renew_until(
    mut lease: Lease,
    stop: CancellationToken,
    lost: CancellationToken,
) -> (Lease, Option<Error>) {
    let third = lease.request.ttl / 3;
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(third)).await.is_none() {
            return (lease, None);
        }
        let expiry = lease.valid_until;
        let error = match tokio::time::timeout_at(expiry, lease.renew()).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) if error.is_transient() && Instant::now() + third < expiry => continue,
            Ok(Err(error)) => error,
            Err(_) => lease.request.lost(&lease.cluster, "it could not be renewed in time".to_owned()),
        };
        lost.cancel();
        return (lease, Some(error));
    }
}

impl LeaseRequest {
    async fn create(&self, cluster: &Cluster, kind: &ResourceType) -> Result<Value> {
        let now = self.now(cluster)?;
        let mut lease = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind,
            "metadata": {"namespace": self.namespace, "name": self.name},
        });
        lease["spec"] = self.spec(now, 0);
        match cluster.create(kind, &lease, &Write::default()).await? {
            Created::New(stored) => Ok(stored.object),
            Created::AlreadyThere(found) => self.take_over(cluster, kind, &found).await,
        }
    }

    async fn take_over(&self, cluster: &Cluster, kind: &ResourceType, found: &Value) -> Result<Value> {
        let now = self.now(cluster)?;
        if let Some(held) = self.held_by_other(cluster, found, now) {
            return Err(held);
        }
        let transitions = found["spec"]["leaseTransitions"].as_u64().unwrap_or(0) + 1;
        let mut lease = found.clone();
        lease["spec"] = self.spec(now, transitions);
        Ok(cluster.replace(kind, &lease, &Write::default()).await?.object)
    }

    fn held_by_other(&self, cluster: &Cluster, found: &Value, now: Timestamp) -> Option<Error> {
        let spec = &found["spec"];
        let holder = holder_of(found);
        if holder.is_empty() || holder == self.holder || self.dead.contains(&holder) {
            return None;
        }
        let renewed: Timestamp = spec["renewTime"].as_str()?.parse().ok()?;
        let ttl = SignedDuration::from_secs(spec["leaseDurationSeconds"].as_i64()?);
        let expires = renewed.checked_add(ttl).ok()?;
        (now < expires).then(|| Error::LeaseHeld {
            cluster: cluster.name().to_owned(),
            lease: self.place(),
            holder,
            renewed,
            expires,
        })
    }

    /// Waits until the lease that is `held` changes hands or expires, at most `left`.
    async fn change_or_expiry(&self, cluster: &Cluster, held: &Error, left: Duration) -> Result<()> {
        let Error::LeaseHeld { holder, renewed, expires, .. } = held else { return Ok(()) };
        let until_expiry = expires.duration_since(self.now(cluster)?) + SignedDuration::from_millis(200);
        let limit = left.min(until_expiry.max(SignedDuration::ZERO).unsigned_abs());
        let changed = |lease: Option<&Value>| {
            lease.is_none_or(|lease| {
                let since = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse().ok());
                holder_of(lease) != *holder || since != Some(*renewed)
            })
        };
        let waited = cluster
            .wait(&kinds::leases(), Some(&self.namespace), &self.name, "its release", limit, changed)
            .await;
        match waited {
            Ok(_) | Err(Error::NotInTime { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, now: Timestamp, transitions: u64) -> Value {
        json!({
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.ttl.as_secs().max(1),
            "acquireTime": micro(now),
            "renewTime": micro(now),
            "leaseTransitions": transitions,
        })
    }

    fn now(&self, cluster: &Cluster) -> Result<Timestamp> {
        let call = Call::resource("get", &kinds::leases(), Some(&self.namespace), Some(&self.name));
        cluster.server_now().ok_or_else(|| cluster.malformed(&call, "its replies carry no Date".to_owned()))
    }

    fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn lost(&self, cluster: &Cluster, reason: String) -> Error {
        Error::LeaseLost { cluster: cluster.name().to_owned(), lease: self.place(), reason }
    }
}

fn holder_of(lease: &Value) -> String {
    text(&lease["spec"]["holderIdentity"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The form of `MicroTime`: always six decimals.
fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_api_wants_them() {
        let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(micro(time), "2026-01-01T00:00:00.000000Z");
    }
}
