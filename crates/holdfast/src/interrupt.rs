//! Runs asynchronous work so that Ctrl-C and SIGTERM end it in good order, within a bound.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Error;

/// How long work that was interrupted may take to release the application and to clean up.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// How long threads that still write to a disk are waited for at the end.
const LINGER: Duration = Duration::from_secs(1);

/// Runs `work` on a runtime of its own. The first signal cancels its token and leaves it [`GRACE`]
/// to end; the second ends the process at once.
pub(crate) fn run<T>(work: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(supervised(work));
    runtime.shutdown_timeout(LINGER);
    result
}

/// As [`run`], for work that leaves nothing behind and can be dropped where it stands.
pub(crate) fn query<T>(work: impl AsyncFnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    run(async move |cancel| match cancel.run_until_cancelled(work()).await {
        Some(result) => result,
        None => Err(Error::Interrupted.into()),
    })
}

/// Runs work beside the sockets it waits for, on a thread of the runtime: the program's first thread
/// would have to be woken for each reply. Dropped, it ends the work as if that had been dropped.
pub(crate) async fn on_worker<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match AbortOnDropHandle::new(tokio::spawn(work)).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn supervised<T>(work: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let cancel = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let mut work = std::pin::pin!(work(cancel.clone()));
    tokio::select! {
        result = &mut work => return result,
        () = signals.next() => cancel.cancel(),
    }
    tokio::select! {
        result = &mut work => result,
        () = tokio::time::sleep(GRACE) => Err(Error::CleanupTooSlow { seconds: GRACE.as_secs() }.into()),
        () = signals.next() => {
            eprintln!("left at once; `holdfast sweep` removes what this run left in the cluster");
            std::process::exit(1)
        }
    }
}

/// The signals by which a user or a supervisor ends a program.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
