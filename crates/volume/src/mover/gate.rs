//! Holds a capture until it is told to go on, and ends it when the pod is told to end.
//!
//! `holdfast mover signal`, run in the pod by exec, speaks to the mover through a socket in the
//! pod's memory: the phase as one line, answered by `ok` when the mover has taken notice.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::event::{self, Event, Phase};
use crate::error::{Error, Result};
use crate::files;

/// Set when the pod is told to end.
#[derive(Default)]
pub(super) struct Stop {
    pub(super) flag: Arc<AtomicBool>,
    changed: Notify,
}

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Returns when it is set.
    pub(super) async fn wait(&self) {
        let changed = self.changed.notified();
        if !self.is_set() {
            changed.await;
        }
    }
}

/// A task that sets `stop` on SIGTERM and SIGINT. A process that is the first of its container is
/// not ended by them otherwise.
pub(super) fn stop_on_signal(stop: Arc<Stop>) -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| Error::io("listen for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.set();
    })
}

/// The gate of one capture.
pub(super) struct Gate {
    opened: watch::Receiver<Phase>,
    stop: Arc<Stop>,
    _listener: AbortOnDropHandle<()>,
}

impl Gate {
    /// Listens at `path`.
    pub(super) fn listen(path: &Path, stop: Arc<Stop>) -> Result<Self> {
        let listener = UnixListener::bind(path)
            .map_err(|error| Error::io(format!("listen at {}", path.display()), error))?;
        let (sender, opened) = watch::channel(Phase::Starting);
        let task = tokio::spawn(async move {
            // One at a time: there is one who signals.
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &sender).await;
            }
        });
        Ok(Self { opened, stop, _listener: AbortOnDropHandle::new(task) })
    }

    /// Waits until `phase` is signalled.
    pub(super) async fn wait(&self, phase: Phase, patience: Duration) -> Result<()> {
        let mut opened = self.opened.clone();
        tokio::select! {
            () = self.stop.wait() => Err(Error::Stopped),
            waited = tokio::time::timeout(patience, opened.wait_for(|open| *open >= phase)) => match waited {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(Error::Stopped),
                Err(_) => Err(Error::NotSignalled { phase: phase.as_str(), waited: patience }),
            },
        }
    }

    pub(super) fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }
}

async fn serve(stream: tokio::net::UnixStream, sender: &watch::Sender<Phase>) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(64));
    let read = tokio::time::timeout(Duration::from_secs(5), reader.read_line(&mut line));
    let Ok(Ok(_)) = read.await else { return };
    let answer = match line.trim().parse::<Phase>() {
        Ok(phase) => {
            sender.send_modify(|open| *open = phase.max(*open));
            "ok\n".to_owned()
        }
        Err(reason) => format!("{reason}\n"),
    };
    // Whoever asked and did not wait for the answer asks again.
    let _ = writer.write_all(answer.as_bytes()).await;
}

/// Opens the gate at `path` for `phase`, from another process.
pub(super) fn signal(path: &Path, phase: Phase) -> Result<()> {
    let failed = |error| Error::io(format!("signal {} at {}", phase.as_str(), path.display()), error);
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
    stream.write_all(format!("{}\n", phase.as_str()).as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.take(256).read_to_string(&mut answer).map_err(failed)?;
    match answer.trim() {
        "ok" => Ok(()),
        other => Err(Error::Spec { reason: format!("the mover answered `{other}`") }),
    }
}

/// The gate as a capture's threads see it.
pub(super) struct CaptureGate {
    pub(super) gate: Gate,
    pub(super) runtime: Handle,
    pub(super) patience: Duration,
}

impl files::Gate for CaptureGate {
    fn late(&self) -> Result<()> {
        event::emit(&Event::Phase { phase: Phase::MainDone });
        self.runtime.block_on(self.gate.wait(Phase::Late, self.patience))
    }

    fn stopped(&self) -> bool {
        self.gate.stop.is_set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_phase_opens_all_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate");
        let gate = Gate::listen(&path, Arc::default()).unwrap();
        let waited = gate.wait(Phase::Begin, Duration::from_millis(10)).await;
        assert_eq!(waited.unwrap_err().code(), "volume.not_signalled");
        let sent = tokio::task::spawn_blocking({
            let path = path.clone();
            move || signal(&path, Phase::Late)
        });
        sent.await.unwrap().unwrap();
        gate.wait(Phase::Begin, Duration::from_secs(5)).await.unwrap();
        gate.wait(Phase::Late, Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ending_the_pod_ends_the_wait() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Arc::new(Stop::default());
        let gate = Gate::listen(&dir.path().join("gate"), Arc::clone(&stop)).unwrap();
        let (waited, ()) = tokio::join!(gate.wait(Phase::Begin, Duration::from_secs(60)), async {
            tokio::task::yield_now().await;
            stop.set();
        });
        assert!(matches!(waited, Err(Error::Stopped)));
    }
}
