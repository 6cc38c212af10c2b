//! What backups and restores have in common at this edge: ids, journal, movers, and the dead that went before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use holdfast_model::manifest::{ClusterSpec, MoverLimits};
use holdfast_model::{AppId, Outcome, RunId, quantity};
use holdfast_protect::progress::{Clock, Entry};
use holdfast_volume::MoverSettings;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::edge;
use crate::failure::Failure;
use crate::home::Home;
use crate::home::journal::RunJournal;
use crate::home::reports::{Came, Ended, Head};
use crate::session::Session;

/// How the pods that move volumes are made.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Movers")]
pub(crate) struct MoverArgs {
    /// Image that holds this program
    #[arg(long, value_name = "IMAGE", env = "HOLDFAST_MOVER_IMAGE", hide_env_values = true, default_value = concat!("holdfast.dev/holdfast:", env!("CARGO_PKG_VERSION")))]
    mover_image: String,

    /// Secret in namespace holdfast-system to pull the image with
    #[arg(long, value_name = "NAME")]
    mover_pull_secret: Vec<String>,

    /// How many movers run at once [default: what the policy says, or 8]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    movers: Option<u16>,

    /// How many movers read beside the pods of one node at once [default: what the policy says, or 4]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    movers_per_node: Option<u16>,

    /// CPU limit of a mover, e.g. 500m
    #[arg(long, value_name = "CPU", value_parser = quantity)]
    mover_cpu: Option<String>,

    /// Memory limit of a mover, e.g. 512Mi
    #[arg(long, value_name = "BYTES", value_parser = quantity)]
    mover_memory: Option<String>,

    /// Bytes a second that a mover may exchange with the vault, e.g. 50Mi
    #[arg(long, value_name = "BYTES", value_parser = quantity)]
    mover_bandwidth: Option<String>,

    /// PriorityClass of the movers' pods
    #[arg(long, value_name = "NAME")]
    mover_priority_class: Option<String>,

    /// How long the storage may take to cut a snapshot, and again to make it readable
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    snapshot_timeout: Duration,

    /// How long a mover may take to start: its volume made, its node found, its image pulled
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    mover_start_timeout: Duration,

    /// Run movers with the SELinux type spc_t
    #[arg(long)]
    mover_selinux: bool,
}

impl MoverArgs {
    /// The settings for a cluster; what is not said here is as the policy has it.
    pub(crate) fn settings(&self, cluster: &ClusterSpec, policy: &MoverLimits) -> MoverSettings {
        let mut settings = MoverSettings::new(&self.mover_image);
        if let Some(movers) = self.movers.or(policy.at_once) {
            settings.concurrency = usize::from(movers.max(1));
        }
        if let Some(movers) = self.movers_per_node.or(policy.per_node) {
            settings.per_node = usize::from(movers.max(1));
        }
        settings.resources = self.resources(policy);
        let bandwidth = self.mover_bandwidth.as_ref().or(policy.bandwidth.as_ref());
        settings.bandwidth = bandwidth.and_then(|text| quantity::bytes(text));
        settings.priority_class = self.mover_priority_class.clone().or(policy.priority_class.clone());
        settings.pull_secrets.clone_from(&self.mover_pull_secret);
        settings.allowed_host_paths.clone_from(&cluster.allowed_host_paths);
        settings.snapshot_timeout = self.snapshot_timeout;
        settings.start_timeout = self.mover_start_timeout;
        settings.selinux = self.mover_selinux;
        settings
    }

    /// Limits as a container's `resources` has them; `null` for none.
    fn resources(&self, policy: &MoverLimits) -> Value {
        let wanted = [("cpu", &self.mover_cpu, &policy.cpu), ("memory", &self.mover_memory, &policy.memory)];
        let limits: BTreeMap<&str, &String> = wanted
            .into_iter()
            .filter_map(|(name, said, policy)| Some((name, said.as_ref().or(policy.as_ref())?)))
            .collect();
        if limits.is_empty() { Value::Null } else { json!({"limits": limits}) }
    }
}

/// An amount as Kubernetes writes it.
fn quantity(text: &str) -> Result<String, String> {
    match quantity::bytes(text) {
        Some(amount) if amount > 0 => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is no quantity: use e.g. 500m, 512Mi or 2G")),
    }
}

/// What to do if another run holds the application.
#[derive(Debug, Clone, Args)]
pub(crate) struct Busy {
    /// Wait for another run on the application to end, at most so long [default when given: 1h]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "1h", value_parser = duration)]
    wait: Option<Duration>,

    /// Refuse at once if another run holds the application (the default)
    #[arg(long, conflicts_with = "wait")]
    refuse: bool,
}

impl Busy {
    /// How long to wait; none: not at all.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait
    }
}

/// A duration as people write it: `90s`, `10m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: use e.g. 90s, 10m or 1h30m");
    let parsed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        edge::now()
    }
}

/// A run of this process, and its journal.
pub(crate) struct Begun {
    /// Its id.
    pub(crate) id: RunId,
    /// Where it writes what must survive its death.
    pub(crate) journal: Arc<RunJournal>,
    /// Runs of this home that have died; nobody needs to wait until their leases expire.
    pub(crate) dead: Vec<RunId>,
}

impl Begun {
    /// Begins a run; dead ones before it are told of and given to whoever goes on.
    pub(crate) fn begin(session: &Session, what: String) -> anyhow::Result<Self> {
        let dead = tell_of_dead_runs(session)?;
        let id = RunId::new(edge::now(), edge::random()?);
        // Everything that the run makes in a cluster carries this id.
        session.say(&format!("run {id}: {what}"));
        let journal = Arc::new(session.home.begin_journal(&id, what)?);
        Ok(Self { id, journal, dead })
    }

    /// Forgets the run if nothing is left to be done for it.
    pub(crate) fn end(self, home: &Home) -> anyhow::Result<()> {
        match self.journal.has_ended() {
            true => Ok(home.forget_run(&self.id)?),
            false => Ok(()),
        }
    }

    /// Ends the run and keeps what came of it. That it cannot be kept is told, and no failure of the run.
    pub(crate) fn report<T>(
        self,
        session: &Session,
        result: &anyhow::Result<T>,
        came: impl FnOnce(&T) -> (Outcome, Came),
    ) -> anyhow::Result<()> {
        let (outcome, result) = match result {
            Ok(report) => came(report),
            Err(error) => (Outcome::Failed, Came::Failure(Failure::of(error))),
        };
        let head = Head { run: self.id.clone(), what: self.journal.what(), ended: edge::now(), outcome };
        if let Err(error) = session.home.keep_report(&Ended { head, result }) {
            session.warn(&format!("`holdfast run show` will not know run {}: {error}", self.id));
        }
        self.end(&session.home)
    }
}

fn tell_of_dead_runs(session: &Session) -> anyhow::Result<Vec<RunId>> {
    let mut told = Vec::new();
    for dead in session.home.dead_runs()? {
        match dead.cluster() {
            // It died before it touched anything.
            None => session.home.forget_run(&dead.run)?,
            Some(cluster) => session.warn(&format!(
                "run {} ({}) on cluster {cluster} died; `holdfast sweep --context {cluster}` removes what it left",
                dead.run, dead.what
            )),
        }
        told.push(dead.run);
    }
    Ok(told)
}

/// Forgets the dead runs of a cluster that have been settled: all, or those of one application.
pub(crate) fn settled(home: &Home, cluster: &str, application: Option<&AppId>) -> anyhow::Result<()> {
    for dead in home.dead_runs()? {
        let of_application = |entry: &Entry| matches!(entry, Entry::Started { application: of, .. } if application.is_none_or(|wanted| wanted == of));
        if dead.cluster() == Some(cluster) && dead.entries.iter().any(of_application) {
            home.forget_run(&dead.run)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_do() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "soon", "-5m", "7"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
