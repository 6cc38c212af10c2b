//! Sessions held open while volumes are captured.
//!
//! A session is one program in a container that reads our text. Whether it has carried the text
//! out is learned by having it print a token on a line of its own. From `begin` to `end` the
//! session must live: its end, a broken stream or its deadline releases the application, because
//! the program's input ends with the stream, and makes the backup fail.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::select_all;
use holdfast_cluster::{Cluster, Exec, ExecInput, ExecOutput, ExecSession};
use holdfast_model::hook::HoldHook;
use holdfast_model::id::RunId;
use holdfast_model::point::HookRun;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::exec::tail;
use super::place::{self, Place};
use crate::error::{Error, Result};
use crate::progress::millis;

/// How much of a session's error output is kept, in bytes.
const STDERR: usize = 4096;
/// How much a session may print between two markers, in lines.
const LINES: usize = 100_000;
/// How long a session that is given up may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// The open sessions of one backup. Dropping them closes their streams, which releases the application.
#[derive(Default)]
pub struct Sessions {
    open: Vec<Session>,
}

struct Session {
    hook: HoldHook,
    place: Place,
    session: ExecSession,
    input: ExecInput,
    output: Lines<BufReader<ExecOutput>>,
    stderr: Stderr,
    began: Instant,
}

impl Sessions {
    /// Opens a session per hook, in order, and waits until each has carried out its `begin`.
    ///
    /// # Errors
    /// [`Error::Hook`], [`Error::Cluster`]; the sessions that were opened before are still here.
    pub async fn begin(
        &mut self,
        cluster: &Cluster,
        hooks: &[HoldHook],
        namespaces: &[&str],
        run: &RunId,
    ) -> Result<()> {
        for (number, hook) in hooks.iter().enumerate() {
            let place =
                place::find_soon(cluster, &hook.target, namespaces).await?.map_err(|why| Error::Hook {
                    phase: "hold",
                    hook: hook.name.clone(),
                    place: place::describe(&hook.target),
                    reason: why.to_string(),
                })?;
            let session = Session::open(cluster, hook, place).await?;
            self.open.push(session);
            if let Some(session) = self.open.last_mut() {
                session.say(&hook.begin, &format!("holdfast-{run}-begin-{number}")).await?;
            }
        }
        Ok(())
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Waits until a session ends, breaks or exceeds its time, and says which; never returns while
    /// all is well. May be dropped and called again.
    pub async fn watch(&mut self) -> Error {
        if self.open.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.open.iter_mut().map(|session| Box::pin(session.watch()))).await.0
    }

    /// Has every session carry out its `beforeLate`.
    ///
    /// # Errors
    /// [`Error::Hook`]
    pub async fn before_late(&mut self, run: &RunId) -> Result<()> {
        for (number, session) in self.open.iter_mut().enumerate() {
            let text = session.hook.before_late.clone();
            session.say(&text, &format!("holdfast-{run}-late-{number}")).await?;
        }
        Ok(())
    }

    /// Ends the sessions, the last first; each program must exit with 0.
    ///
    /// # Errors
    /// [`Error::Hook`] of the first that did not; the others are ended all the same.
    pub async fn end(&mut self) -> Result<Vec<HookRun>> {
        let mut runs = Vec::new();
        let mut failed = None;
        while let Some(session) = self.open.pop() {
            match session.end().await {
                Ok(run) => runs.push(run),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(runs),
        }
    }
}

impl Sessions {
    /// Ends what is still open, whatever its programs say to it, and gives them a moment to be gone:
    /// their end is what releases the application. A stream that does not end is closed.
    pub async fn abandon(mut self) {
        while let Some(session) = self.open.pop() {
            let name = session.hook.name.clone();
            match timeout(FAREWELL, session.end()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(hook = name, %error, "a session was given up"),
                Err(_) => tracing::warn!(hook = name, "a session did not end when its input did"),
            }
        }
    }
}

impl Session {
    async fn open(cluster: &Cluster, hook: &HoldHook, place: Place) -> Result<Self> {
        let exec = Exec {
            namespace: place.namespace.clone(),
            pod: place.pod.clone(),
            container: Some(place.container.clone()),
            command: hook.command.clone(),
            stdin: true,
        };
        let mut session = cluster.exec(exec).await?;
        let streams = (session.stdin.take(), session.stdout.take(), session.stderr.take());
        let (Some(input), Some(stdout), Some(stderr)) = streams else {
            return Err(Error::Internal("an exec session without its streams".to_owned()));
        };
        let output = BufReader::new(stdout).lines();
        let stderr = Stderr::collect(stderr);
        Ok(Self { hook: hook.clone(), place, session, input, output, stderr, began: Instant::now() })
    }

    fn fail(&self, reason: impl Into<String>) -> Error {
        fail(&self.hook, &self.place, reason)
    }

    fn deadline(&self) -> Instant {
        self.began + Duration::from_secs(self.hook.max_hold_seconds.into())
    }

    /// Sends text and waits until it has been carried out.
    async fn say(&mut self, text: &str, token: &str) -> Result<()> {
        let limit = Duration::from_secs(self.hook.timeout_seconds.into());
        let until = (Instant::now() + limit).min(self.deadline());
        let marker = self.hook.marker.replace("{token}", token);
        let said = timeout_at(until, async {
            let sent = format!("{text}\n{marker}\n");
            if self.input.write_all(sent.as_bytes()).await.is_err() || self.input.flush().await.is_err() {
                return Said::Ended;
            }
            self.heard(token).await
        });
        match said.await {
            Ok(Said::Done) => Ok(()),
            Ok(Said::Ended) => Err(self.ended().await),
            Ok(Said::TooMuch) => Err(self.fail(format!("it printed more than {LINES} lines"))),
            Err(_) => Err(self.fail(format!(
                "it did not carry out its text within {} s{}",
                limit.as_secs(),
                self.stderr.tail()
            ))),
        }
    }

    async fn heard(&mut self, token: &str) -> Said {
        for _ in 0..LINES {
            match self.output.next_line().await {
                Ok(Some(line)) if line.trim() == token => return Said::Done,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Said::Ended,
            }
        }
        Said::TooMuch
    }

    async fn watch(&mut self) -> Error {
        let deadline = self.deadline();
        loop {
            match timeout_at(deadline, self.output.next_line()).await {
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None) | Err(_)) => return self.ended().await,
                Err(_) => {
                    let limit = self.hook.max_hold_seconds;
                    return self.fail(format!(
                        "the application was held for {limit} s, the longest it may be, and released"
                    ));
                }
            }
        }
    }

    /// What to say of a session that ended by itself.
    async fn ended(&mut self) -> Error {
        self.stderr.settle().await;
        self.fail(format!("its session ended before its time{}", self.stderr.tail()))
    }

    async fn end(mut self) -> Result<HookRun> {
        let limit = Duration::from_secs(self.hook.timeout_seconds.into());
        let _ = self.input.shutdown().await;
        drop(self.input);
        let mut output = self.output.into_inner();
        let ended = timeout(limit, async {
            let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
            self.session.status().await
        });
        let (hook, place) = (&self.hook, &self.place);
        match ended.await {
            Ok(Ok(0)) => Ok(HookRun {
                name: hook.name.clone(),
                phase: "hold".to_owned(),
                pod: place.to_string(),
                millis: millis(self.began.elapsed()),
                error: String::new(),
            }),
            Ok(Ok(code)) => {
                self.stderr.settle().await;
                Err(fail(
                    hook,
                    place,
                    format!("its session ended with exit code {code}{}", self.stderr.tail()),
                ))
            }
            Ok(Err(error)) => Err(fail(hook, place, error.to_string())),
            Err(_) => Err(fail(hook, place, format!("its session did not end within {} s", limit.as_secs()))),
        }
    }
}

fn fail(hook: &HoldHook, place: &Place, reason: impl Into<String>) -> Error {
    Error::Hook { phase: "hold", hook: hook.name.clone(), place: place.to_string(), reason: reason.into() }
}

enum Said {
    Done,
    Ended,
    TooMuch,
}

/// The end of what a session has written to its error output.
struct Stderr {
    kept: Arc<Mutex<Vec<u8>>>,
    task: AbortOnDropHandle<()>,
}

impl Stderr {
    fn collect(mut output: ExecOutput) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let into = kept.clone();
        let task = tokio::spawn(async move {
            let mut piece = [0; 1024];
            while let Ok(length @ 1..) = output.read(&mut piece).await {
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..length]);
                let surplus = kept.len().saturating_sub(STDERR);
                kept.drain(..surplus);
            }
        });
        Self { kept, task: AbortOnDropHandle::new(task) }
    }

    /// Waits a moment for what is still on its way.
    async fn settle(&mut self) {
        // One that was waited for to its end must not be asked again.
        if !self.task.is_finished() {
            let _ = timeout(Duration::from_secs(2), &mut self.task).await;
        }
    }

    fn tail(&self) -> String {
        tail(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
