//! Follows a mover by its log until its container has ended.

use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_cluster::{Cluster, LogOptions, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::time::{Instant, timeout};

use super::Launch;
use super::source::is_ready;
use crate::error::Result;
use crate::manifest::CONTAINER;
use crate::mover::Event;

/// A mover says something every second; after this long without a word its log is opened anew.
const SILENCE: Duration = Duration::from_secs(30);
/// Lines longer than this are no events of ours.
const LONGEST_LINE: usize = 1 << 20;

/// Who is told what a mover says. A log that is opened anew is told again from its beginning.
pub(crate) trait Observed: Send {
    /// One event.
    fn event(&mut self, event: Event) -> BoxFuture<'_, Result<()>>;
    /// The log begins again.
    fn again(&mut self);
}

/// How a mover's container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Followed {
    /// With this exit code and these last words.
    Ended { code: i64, message: String },
    /// The pod is gone.
    Gone,
    /// Its node does not answer: what became of it is not known.
    Lost { node: String },
}

/// Reads the log until the container ends or the pod is gone.
pub(crate) async fn follow(
    cluster: &Cluster,
    launch: &Launch,
    deadline: Duration,
    observed: &mut impl Observed,
) -> Result<Followed> {
    let options = LogOptions { container: Some(CONTAINER.to_owned()), follow: true, ..LogOptions::default() };
    let end = Instant::now() + deadline;
    loop {
        observed.again();
        match cluster.logs(SYSTEM_NAMESPACE, &launch.pod, &options).await {
            Ok(log) => read(log, observed).await?,
            Err(error) if error.is_not_found() => return Ok(Followed::Gone),
            // What the log would say is looked for in the pod's state.
            Err(_) => {}
        }
        let left = end.saturating_duration_since(Instant::now());
        if let Some(followed) = ended(cluster, launch, left.min(SILENCE)).await? {
            return Ok(followed);
        }
        if let Some(node) = dead_node(cluster, launch).await? {
            return Ok(Followed::Lost { node });
        }
        if left.is_zero() {
            return Ok(Followed::Ended { code: -1, message: "it did not end in time".to_owned() });
        }
    }
}

/// The node of a pod that says nothing, if that does not answer either.
fn dead_node<'a>(cluster: &'a Cluster, launch: &'a Launch) -> BoxFuture<'a, Result<Option<String>>> {
    Box::pin(async move {
        let pod = cluster.get(&kinds::pods(), Some(SYSTEM_NAMESPACE), &launch.pod).await?;
        let name = pod.as_ref().and_then(|pod| pod["spec"]["nodeName"].as_str());
        let Some(name) = name else { return Ok(None) };
        let node = cluster.get(&kinds::nodes(), None, name).await?;
        Ok((!node.as_ref().is_some_and(is_ready)).then(|| name.to_owned()))
    })
}

/// Reads lines until the log ends, breaks or is silent for too long.
async fn read(log: impl AsyncBufRead + Unpin, observed: &mut impl Observed) -> Result<()> {
    let mut log = log;
    let mut line = Vec::new();
    while let Ok(Ok(true)) = timeout(SILENCE, next_line(&mut log, &mut line)).await {
        if let Some(event) = std::str::from_utf8(&line).ok().and_then(Event::parse) {
            observed.event(event).await?;
        }
        line.clear();
    }
    Ok(())
}

/// Reads up to the end of a line; what is too long for one is dropped. `false` at the end.
async fn next_line(log: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let piece = log.fill_buf().await?;
        if piece.is_empty() {
            return Ok(false);
        }
        let end = piece.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(piece.len(), |at| at + 1);
        if line.len() + taken <= LONGEST_LINE {
            line.extend_from_slice(&piece[..end.unwrap_or(taken)]);
        }
        log.consume(taken);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Waits a little for the container to have ended; `None` if it has not.
fn ended<'a>(
    cluster: &'a Cluster,
    launch: &'a Launch,
    patience: Duration,
) -> BoxFuture<'a, Result<Option<Followed>>> {
    Box::pin(async move {
        let what = format!("pod {} to end", launch.pod);
        let pods = kinds::pods();
        let seen = cluster
            .wait(&pods, Some(SYSTEM_NAMESPACE), &launch.pod, &what, patience, |pod| {
                pod.is_none_or(|pod| end_of(pod).is_some())
            })
            .await;
        match seen {
            Ok(None) => Ok(Some(Followed::Gone)),
            Ok(Some(pod)) => Ok(end_of(&pod)),
            Err(holdfast_cluster::Error::NotInTime { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
}

fn end_of(pod: &serde_json::Value) -> Option<Followed> {
    let status = &pod["status"];
    let terminated = |statuses: &serde_json::Value, all: bool| {
        statuses.as_array()?.iter().find_map(|status| {
            let ended = &status["state"]["terminated"];
            let code = ended["exitCode"].as_i64()?;
            let message =
                ended["message"].as_str().or(ended["reason"].as_str()).unwrap_or_default().to_owned();
            (all || code != 0).then_some(Followed::Ended { code, message })
        })
    };
    terminated(&status["containerStatuses"], true)
        // The hand-off failed, so the mover never runs.
        .or_else(|| {
            terminated(&status["initContainerStatuses"], false).filter(|_| status["phase"] == "Failed")
        })
        .or_else(|| {
            (status["phase"] == "Failed").then(|| Followed::Ended {
                code: -1,
                message: status["message"]
                    .as_str()
                    .or(status["reason"].as_str())
                    .unwrap_or_default()
                    .to_owned(),
            })
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn lines_are_cut_and_giants_dropped() {
        let mut text = b"one\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', LONGEST_LINE + 10));
        text.extend_from_slice(b"\nthree\n");
        let mut log = tokio::io::BufReader::new(&text[..]);
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while next_line(&mut log, &mut line).await.unwrap() {
            lines.push(std::mem::take(&mut line));
        }
        assert_eq!((lines.len(), lines[0].as_slice(), lines[2].as_slice()), (3, &b"one"[..], &b"three"[..]));
        assert!(lines[1].len() <= LONGEST_LINE);
    }

    #[test]
    fn the_end_of_a_pod_is_that_of_its_mover() {
        let pod = |status| json!({"status": status});
        let done = pod(
            json!({"containerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}),
        );
        assert_eq!(end_of(&done), Some(Followed::Ended { code: 0, message: "Completed".into() }));
        let running = pod(
            json!({"phase": "Running", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [{"state": {"running": {}}}]}),
        );
        assert_eq!(end_of(&running), None);
        let evicted = pod(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}));
        assert_eq!(end_of(&evicted), Some(Followed::Ended { code: -1, message: "low on memory".into() }));
    }
}
