//! Commands in containers, over WebSocket (`v5.channel.k8s.io`, KEP-4006).
//!
//! A command that ends with an exit code is a result, whatever the code. A stream that breaks
//! before that is an error, and so is reading on from an output that it cut short: a truncated
//! output never passes for a whole one.

use futures::channel::oneshot;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::task::AbortOnDropHandle;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::exec_channels::{self as channels, Ends, Outcome};
use crate::failure;
use crate::kinds;
use crate::path::{self, Query};
use crate::refusal::Refusal;

pub use crate::exec_channels::{ExecInput, ExecOutput};

/// A command to run in a container.
#[derive(Debug, Clone)]
pub struct Exec {
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; may be `None` if the pod has only one.
    pub container: Option<String>,
    /// The command and its arguments; no shell is involved.
    pub command: Vec<String>,
    /// Whether the command gets input from us.
    pub stdin: bool,
}

impl Exec {
    fn place(&self) -> String {
        match &self.container {
            Some(container) => format!("{}/{} ({container})", self.namespace, self.pod),
            None => format!("{}/{}", self.namespace, self.pod),
        }
    }

    fn uri(&self) -> String {
        let pod = path::object(&kinds::pods(), Some(&self.namespace), &self.pod);
        let mut query = Query::of(format!("{pod}/exec"))
            .flag("stdin", self.stdin)
            .flag("stdout", true)
            .flag("stderr", true)
            .add_some("container", self.container.as_deref());
        for argument in &self.command {
            query = query.add("command", argument);
        }
        query.finish()
    }
}

/// A command that is running. Dropping it closes the stream: the command's input ends, and a
/// command that minds neither input nor output runs on.
pub struct ExecSession {
    /// The command's input, if asked for; dropping it ends the input.
    pub stdin: Option<ExecInput>,
    /// The command's output. Take it and read it, or drop it: one that is held but not read stops
    /// the command once the buffers are full.
    pub stdout: Option<ExecOutput>,
    /// The command's error output; likewise.
    pub stderr: Option<ExecOutput>,
    outcome: oneshot::Receiver<Outcome>,
    cluster: String,
    exec: Exec,
    _stream: AbortOnDropHandle<()>,
}

/// All that a short command had to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit code.
    pub code: i32,
    /// Its output, cut off at the limit.
    pub stdout: Vec<u8>,
    /// Its error output, cut off at the limit.
    pub stderr: Vec<u8>,
    /// Whether either was cut off.
    pub truncated: bool,
}

impl Cluster {
    /// Starts a command. Needs `get` and, since Kubernetes 1.35, `create` of `pods/exec`.
    pub async fn exec(&self, exec: Exec) -> Result<ExecSession> {
        let call = Call::resource("create", &kinds::pods(), Some(&exec.namespace), Some(&exec.pod))
            .subresource(Some("exec"));
        let request = Request::get(exec.uri())
            .body(Vec::new())
            .map_err(|error| Error::BadObject { object: exec.place(), reason: error.to_string() })?;
        let limit = self.settings().timeout;
        let session = self.login().session();
        let connection = tokio::time::timeout(limit, session.client.connect(request))
            .await
            .map_err(|_| broken(self.name(), &exec, "no answer from the API server".to_owned()))?
            .map_err(|error| self.not_started(&call, &exec, error))?;
        let can_end_input = connection.supports_stream_close();
        let Ends { stdin, stdout, stderr, outcome, task } =
            channels::serve(connection.into_stream(), can_end_input);
        Ok(ExecSession {
            stdin: exec.stdin.then_some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
            outcome,
            cluster: self.name().to_owned(),
            exec,
            _stream: task,
        })
    }

    /// Runs a command to its end, with all of its input known beforehand, and keeps at most
    /// `limit` bytes of each output.
    pub async fn run(&self, mut exec: Exec, input: Option<&[u8]>, limit: usize) -> Result<ExecResult> {
        exec.stdin = input.is_some();
        let mut session = self.exec(exec).await?;
        let (stdin, stdout, stderr) = (session.stdin.take(), session.stdout.take(), session.stderr.take());
        let feed = async move {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A command may end without reading its input; its exit code tells.
                let _ = stdin.write_all(input).await;
                let _ = stdin.shutdown().await;
            }
        };
        let (_, stdout, stderr, code) =
            futures::join!(feed, keep(stdout, limit), keep(stderr, limit), session.status());
        let truncated = stdout.len() > limit || stderr.len() > limit;
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(limit);
            bytes
        };
        Ok(ExecResult { code: code?, stdout: cut(stdout), stderr: cut(stderr), truncated })
    }

    fn not_started(&self, call: &Call, exec: &Exec, error: kube::Error) -> Error {
        match error {
            kube::Error::Api(status) => {
                let body = serde_json::to_vec(&*status).unwrap_or_default();
                Error::Refused(Box::new(Refusal::parse(self.name(), call, status.code, &body, 1)))
            }
            kube::Error::UpgradeConnection(error) => broken(self.name(), exec, error.to_string()),
            other => self.error(call, failure::classify(other)),
        }
    }
}

/// Reads to the end and keeps one byte more than the limit, to tell that there was more. A broken
/// stream is reported by the status.
async fn keep(output: Option<ExecOutput>, limit: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut output) = output {
        let _ = (&mut output).take(limit as u64 + 1).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    }
    kept
}

impl ExecSession {
    /// Waits for the command to end and gives its exit code. Input that was not taken ends now,
    /// outputs that were not taken are thrown away.
    pub async fn status(mut self) -> Result<i32> {
        self.stdin = None;
        self.stdout = None;
        self.stderr = None;
        match (&mut self.outcome).await {
            Ok(Outcome::Exited(code)) => Ok(code),
            Ok(Outcome::NotRun(reason)) => Err(Error::NotRun {
                cluster: self.cluster.clone(),
                container: self.exec.place(),
                command: self.exec.command.join(" "),
                reason,
            }),
            Ok(Outcome::Broken(reason)) => Err(broken(&self.cluster, &self.exec, reason)),
            Err(_) => Err(broken(&self.cluster, &self.exec, "the program is shutting down".to_owned())),
        }
    }
}

fn broken(cluster: &str, exec: &Exec, reason: String) -> Error {
    Error::StreamBroken {
        cluster: cluster.to_owned(),
        container: exec.place(),
        command: exec.command.join(" "),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_passed_one_by_one() {
        let exec = Exec {
            namespace: "shop".into(),
            pod: "db-0".into(),
            container: Some("pg".into()),
            command: vec!["psql".into(), "-c".into(), "select 1 & 2".into()],
            stdin: false,
        };
        assert_eq!(
            exec.uri(),
            "/api/v1/namespaces/shop/pods/db-0/exec?stdout=true&stderr=true&container=pg\
             &command=psql&command=-c&command=select%201%20%26%202"
        );
    }
}
