//! What runs in a pod beside one volume.
//!
//! The hidden subcommands `holdfast mover …`:
//!
//! | command | in | does |
//! |---|---|---|
//! | `handoff FROM TO` | init container | copies the instructions from the Secret's mount to memory that the mover can remove them from |
//! | `run SPEC GATE` | mover | reads the instructions, unlinks them, then captures or restores |
//! | `signal GATE PHASE` | mover, by exec | opens the mover's gate for a phase |
//! | `hold` | holder pod | does nothing until it is ended, so that a claim stays mounted |
//!
//! A mover has the keys of one repository and sees one volume. It prints [`Event`]s as lines of
//! JSON, commits its own snapshot, and ends by itself. Exit codes: 0 done, 1 failed, 2 called
//! wrongly, 143 ended by a signal.

mod blocking;
mod capture;
mod changes;
mod event;
mod gate;
mod hold;
mod report;
mod restore;
mod spec;
mod volume;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::error::{Error, Result};

pub use changes::{MetadataAccess, Token};
pub use event::{Event, Phase};
pub use report::CaptureReport;
pub(crate) use restore::proof;
pub use spec::{
    BlockRestore, BlockSource, CaptureMode, CaptureWork, FileMode, FileRestore, MoverSpec, RestoreMode,
    RestoreWork, SPEC_VERSION, VolumeRestore, Wanted, Work,
};

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const TERMINATED: u8 = 143;

/// Runs one of the subcommands with the arguments after `holdfast mover`.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let result = match *arguments {
        ["handoff", from, to] => spec::hand_off(Path::new(from), Path::new(to)),
        ["run", spec, gate] => run(Path::new(spec), Path::new(gate)),
        ["signal", gate, phase] => signal(Path::new(gate), phase),
        ["hold"] => hold::hold(),
        _ => {
            eprintln!("usage: holdfast mover handoff FROM TO | run SPEC GATE | signal GATE PHASE | hold");
            return ExitCode::from(USAGE);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Stopped) => ExitCode::from(TERMINATED),
        Err(error) => {
            event::emit(&Event::failed(&error));
            ExitCode::from(FAILED)
        }
    }
}

fn signal(gate: &Path, phase: &str) -> Result<()> {
    let phase = phase.parse().map_err(|reason| Error::Spec { reason })?;
    gate::signal(gate, phase)
}

fn run(spec: &Path, gate: &Path) -> Result<()> {
    prepare();
    let spec = MoverSpec::take(spec)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the mover's runtime", error))?;
    let result = runtime.block_on(work(spec, gate));
    // Threads that still write to a volume or wait for its storage do not hold the pod.
    runtime.shutdown_background();
    result
}

/// A mover is a process of its own: it may have as many files open as it is allowed to, and
/// creates files with exactly the modes it asks for.
fn prepare() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
    umask(rustix::fs::Mode::empty());
    let files = getrlimit(Resource::Nofile);
    // Without it the limits in use are only smaller.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
}

async fn work(spec: MoverSpec, gate: &Path) -> Result<()> {
    let stop = Arc::new(gate::Stop::default());
    let on_signal = tokio::spawn(gate::stop_on_signal(Arc::clone(&stop))?);
    let result = match spec.work.clone() {
        Work::Capture(work) => {
            let gate = gate::Gate::listen(gate, Arc::clone(&stop))?;
            capture::run(&spec, work, gate).await
        }
        Work::Restore(work) => restore::run(&spec, work, &stop).await,
    };
    on_signal.abort();
    let _ = std::io::stdout().flush();
    result
}
