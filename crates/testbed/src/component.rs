//! A server process of ours: started in its cgroup and namespace, watched, paused, ended, started again.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::{At, Error, Result};
use crate::kernel::cgroup::Part;
use crate::kernel::processes;
use crate::lease::{self, Lease};
use crate::record::Record;
use crate::tool;

/// How many lines of a log an error carries.
const TAIL: usize = 25;

/// Enters the cgroup before anything else runs, so that no child can be born outside it.
const ENTER: &str = r#"echo $$ > "$1" && shift && exec "$@""#;

/// Runs a program again whenever it ends; it dies with this shell, as if it were the component itself.
const AGAIN: &str = r#"while :; do setpriv --pdeathsig KILL -- "$@"; sleep 0.2; done"#;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    path: Option<OsString>,
    env: Vec<(String, String)>,
    on_host_network: bool,
    restarted: bool,
    part: Part,
}

impl Spec {
    pub(crate) fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            path: None,
            env: Vec::new(),
            on_host_network: false,
            restarted: false,
            part: Part::System,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// `--name value`.
    pub(crate) fn flag(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.arg(format!("--{name}")).arg(value)
    }

    /// A directory whose programs it finds before all others.
    pub(crate) fn path_first(mut self, dir: &Path) -> Self {
        let mut path = dir.as_os_str().to_owned();
        path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        self.path = Some(path);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it on the host's network instead of the site's.
    pub(crate) fn on_host_network(mut self) -> Self {
        self.on_host_network = true;
        self
    }

    /// Has it die with its node, whatever else runs in the slot.
    pub(crate) fn on_node(mut self) -> Self {
        self.part = Part::Node;
        self
    }

    /// Starts it again whenever it ends by itself.
    pub(crate) fn restarted(mut self) -> Self {
        self.restarted = true;
        self
    }
}

/// A started [`Spec`].
#[derive(Debug)]
pub(crate) struct Component {
    site: String,
    spec: Spec,
    record: Record,
    log: PathBuf,
    child: Child,
}

impl Component {
    /// Starts `spec` in the slot of `record`; its output is appended to `log/<name>.log`.
    pub(crate) fn start(spec: Spec, record: &Record) -> Result<Self> {
        let log = record.dir.join("log").join(format!("{}.log", spec.name));
        let child = spawn(&spec, record, &log)?;
        let (site, record) = (record.name.clone(), record.clone());
        Ok(Self { site, spec, record, log, child })
    }

    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its process, for as long as it has not ended.
    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// An error if it ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait().at("wait for", &self.spec.program)? {
            None => Ok(()),
            Some(status) => Err(Error::Ended {
                site: self.site.clone(),
                component: self.spec.name.clone(),
                status: status.to_string(),
                log: self.log.clone(),
                tail: tool::tail(&self.log, TAIL),
            }),
        }
    }

    /// Stops it in its tracks: it answers nobody and closes nothing.
    pub(crate) fn pause(&self) {
        processes::signal(self.pid(), Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        processes::signal(self.pid(), Signal::CONT);
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        // It may have ended already; `wait` then gives how.
        let _ = self.child.kill();
        self.child.wait().map(drop).at("wait for", &self.spec.program)
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        processes::signal(self.pid(), Signal::TERM);
        self.child.wait().map(drop).at("wait for", &self.spec.program)
    }

    /// Kills it, if it runs, and starts it anew.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.child = spawn(&self.spec, &self.record, &self.log)?;
        Ok(())
    }

    /// An error that says that `what` did not come about, with the end of the log.
    pub(crate) fn not_ready(&self, what: &str, waited: Duration) -> Error {
        not_ready(&format!("{} at {}: {what}", self.spec.name, self.site), waited, &self.log)
    }
}

/// Ends what leases hold, and then reaps the processes that were our children.
pub(crate) fn end(leases: &[Lease], components: &mut [Component]) -> Result<()> {
    let ended = lease::end_all(leases);
    for component in components {
        component.kill()?;
    }
    ended
}

/// The error for something that did not come about in time.
pub(crate) fn not_ready(what: &str, waited: Duration, log: &Path) -> Error {
    Error::NotReady { what: what.into(), waited, log: log.into(), tail: tool::tail(log, TAIL) }
}

fn spawn(spec: &Spec, record: &Record, log: &Path) -> Result<Child> {
    let output = File::options().create(true).append(true).open(log).at("open", log)?;
    let errors = output.try_clone().at("open", log)?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ENTER, "sh"]).arg(record.cgroup().entrance(spec.part)?);
    if !spec.on_host_network {
        command.arg("nsenter").arg(format!("--net={}", record.network().path().display())).arg("--");
    }
    if spec.restarted {
        command.args(["/bin/sh", "-c", AGAIN, "sh"]);
    }
    command.arg(&spec.program).args(&spec.args).envs(spec.env.iter().map(|(k, v)| (k, v)));
    for name in tool::PROXIES {
        command.env_remove(name);
    }
    if let Some(path) = &spec.path {
        command.env("PATH", path);
    }
    // A group of its own: Ctrl-C at the owner's terminal is not for the site.
    command.current_dir(&record.dir).stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
    command.spawn().at("start", &spec.program)
}

/// Asks `ready` again and again, every 50 ms, until it says yes, an error, or `limit` is over.
pub(crate) async fn until<F, Fut>(limit: Duration, mut ready: F) -> Result<bool>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while begun.elapsed() < limit {
        tick.tick().await;
        if ready().await? {
            return Ok(true);
        }
    }
    Ok(false)
}
