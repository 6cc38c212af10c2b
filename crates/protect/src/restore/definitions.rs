//! CustomResourceDefinitions: restored is not yet served.

use std::time::Duration;

use futures::{StreamExt, stream};
use holdfast_cluster::{describe, kinds};
use holdfast_model::{ObjectRef, Problem};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::session::Session;
use crate::error::Result;

/// How long a definition may take to be established.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);
/// How long the API server may take to list an established definition among what it serves.
const SERVED_WITHIN: Duration = Duration::from_secs(20);
/// How often discovery is asked meanwhile; there is nothing to watch.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Definitions that are watched at once.
const AT_ONCE: usize = 32;

/// Waits until the restored definitions are established, and until the target serves every type
/// of the point that one of them defines.
pub(super) async fn settle(session: &Session) -> Result<()> {
    let names = session.definitions();
    if names.is_empty() {
        return Ok(());
    }
    let waits = names.iter().map(|name| established(session, name)).collect::<Vec<_>>();
    let waits = stream::iter(waits).buffer_unordered(AT_ONCE);
    waits.collect::<Vec<()>>().await;
    let wanted: Vec<_> = session.point.point.kinds.iter().map(|kind| &kind.resource).collect();
    let wanted: Vec<_> = wanted.into_iter().filter(|of| names.contains(&of.plural_group())).collect();
    let give_up = Instant::now() + SERVED_WITHIN;
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        session.discover_again().await?;
        let served = session.served();
        // What is not served in time is named object by object later on.
        if wanted.iter().all(|of| served.place(of).is_ok()) || Instant::now() >= give_up {
            return Ok(());
        }
    }
}

async fn established(session: &Session, name: &str) {
    let of = kinds::custom_resource_definitions();
    let what = format!("definition {name} to be established");
    let met = |object: Option<&Value>| object.is_some_and(|object| is_true(object, "Established"));
    if let Err(error) = session.cluster.wait(&of, None, name, &what, ESTABLISHED_WITHIN, met).await {
        let live = session.cluster.get(&of, None, name).await.ok().flatten();
        let object = ObjectRef { resource: of, namespace: None, name: name.to_owned() };
        let message = format!("{error}; it is {}", describe(live.as_ref()));
        let problem = Problem::new("restore.definition_not_established", object.to_string(), message);
        session.tally.problem(
            problem.hint("see its conditions; its instances cannot be restored until it is established"),
        );
    }
}

fn is_true(object: &Value, name: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == name && condition["status"] == "True")
}
