//! The stages of one backup, in their order, and what they hand to each other.

use std::sync::Arc;
use std::time::Duration;

use holdfast_model::Problem;
use holdfast_model::point::{HookRun, Point};
use holdfast_model::scope::Selector;
use holdfast_vault::{Writer, WriterOptions};
use tokio::time::Instant;

use super::compose::{self, Harvest};
use super::release::Debt;
use super::stop::Stop;
use super::survey::Surroundings;
use super::volumes::Capturing;
use super::{BackupRequest, record};
use crate::error::Result;
use crate::exclusion::Held;
use crate::hooks::{self, Sessions};
use crate::progress::{Entry, Steps, millis};
use crate::sweep;

/// Bytes of a pack of objects. Of the seven that may be in memory a small application fills as many
/// as a large one, and a backup's memory does not grow with the number of objects.
const PACK_SIZE: usize = 2 << 20;

/// How long the vault may take for what is left to send and for our lock, when all else is done.
const CLOSING: Duration = Duration::from_secs(30);

/// A backup under way.
pub(super) struct Run<'a> {
    pub(super) request: &'a BackupRequest,
    pub(super) selector: Arc<Selector>,
    pub(super) steps: Steps,
}

/// What is used up while an application is held.
pub(super) struct Holding {
    pub(super) volumes: Capturing,
    pub(super) sessions: Sessions,
    pub(super) debt: Debt,
    pub(super) held: HeldFor,
}

/// How long an application is held.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeldFor {
    since: Option<Instant>,
    millis: Option<u64>,
}

impl HeldFor {
    /// The application is held from now on.
    fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// It has been let go.
    pub(super) fn end(&mut self) {
        self.millis = self.since.take().map(|since| millis(since.elapsed())).or(self.millis);
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(request: &'a BackupRequest, selector: Arc<Selector>) -> Self {
        Self { request, selector, steps: Steps::new(request.observer.clone()) }
    }

    /// The whole backup but for the lease.
    pub(super) async fn make(&self, held: &mut Held) -> Result<Point> {
        let stop = Stop::new(&self.request.application.id, &self.request.cancel, held.lost());
        let leftovers = stop.guard(self.steps.run("settle", self.settle())).await?;
        let look = Surroundings::look(self.request, &self.selector);
        let around = stop.guard(self.steps.run("look around", look)).await?;
        let writer = stop.guard(self.steps.run("open", self.writer())).await?;
        let point = match self.hold_and_read(&around, &writer, held, &stop).await {
            Ok(mut harvest) => {
                harvest.problems.extend(leftovers);
                stop.guard(self.steps.run("commit", self.commit(around, &writer, harvest))).await
            }
            Err(error) => Err(error),
        };
        // Whether there is a point is decided by now; a lock that stays behind expires by itself.
        match tokio::time::timeout(CLOSING, writer.close()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the repository's writer did not close in order"),
            Err(_) => tracing::warn!("the vault does not answer; our lock in it stays until it is stale"),
        }
        point
    }

    /// What dead runs of this application left. Problems of theirs are this point's too: the
    /// application may still be held. What is only slow to go is not: a sweep, or the next run, sees to it.
    async fn settle(&self) -> Result<Vec<Problem>> {
        let BackupRequest { cluster, application, run, repository, .. } = self.request;
        let settled = sweep::settle_application(cluster, &application.id, run.as_str()).await?;
        // Ours do not mind them, but stock restic takes them for living until they are half an hour old.
        if !settled.runs.is_empty()
            && let Err(error) = repository.remove_locks_of(&settled.runs).await
        {
            tracing::warn!(%error, "locks of dead runs stay until they are stale");
        }
        let (problems, going) = settled.into_problems();
        sweep::warn_of(&going);
        Ok(problems)
    }

    fn owned(&self) -> WriterOptions {
        let owner = self.request.run.to_string();
        WriterOptions { owner, pack_size: PACK_SIZE, ..WriterOptions::default() }
    }

    async fn writer(&self) -> Result<Writer> {
        Ok(self.request.repository.writer(self.owned()).await?)
    }

    /// From the first mover to the release of the application. Whatever happens, movers are gone
    /// and the hooks that are owed have been run when this returns.
    async fn hold_and_read(
        &self,
        around: &Surroundings,
        writer: &Writer,
        held: &mut Held,
        stop: &Stop,
    ) -> Result<Harvest> {
        let mut holding = Holding {
            volumes: Capturing::new(self.request, around),
            sessions: Sessions::default(),
            debt: Debt::new(&self.request.cluster),
            held: HeldFor::default(),
        };
        let prepared = stop.guard(self.prepare(around, held, &mut holding)).await;
        let started = self.request.clock.now();
        let read = match prepared {
            Ok(hooks) => self.read(around, writer, stop, &mut holding).await.map(|read| (hooks, read)),
            Err(error) => Err(error),
        };
        let Holding { mut volumes, sessions, mut debt, held: held_for } = holding;
        sessions.abandon().await;
        debt.pay(&self.steps).await;
        volumes.abandon().await;
        if debt.was_incurred() {
            held.owe(debt.left().to_vec()).await?;
        }
        if debt.was_incurred() && debt.left().is_empty() {
            record(&self.request.journal, Entry::Released)?;
        }
        let (mut hooks, (objects, ended)) = read?;
        hooks.extend(ended);
        hooks.extend(debt.runs().iter().cloned());
        let (volumes, problems) = (volumes.into_result(), debt.problems().to_vec());
        Ok(Harvest { started, objects, hooks, volumes, problems, held_millis: held_for.millis })
    }

    /// Brings everything to where reading can begin: movers wait, the application is held.
    async fn prepare(
        &self,
        around: &Surroundings,
        held: &mut Held,
        holding: &mut Holding,
    ) -> Result<Vec<HookRun>> {
        let BackupRequest { cluster, application, run, journal, .. } = self.request;
        let spec = &application.spec.hooks;
        let names: Vec<&str> = around.namespaces.names().collect();
        if holding.volumes.needs_movers() {
            record(journal, Entry::Temporary { what: "movers".to_owned() })?;
            self.steps.run("movers", holding.volumes.ready()).await?;
        }
        if !spec.pre.is_empty() || !spec.hold.is_empty() {
            let owed = hooks::owed(cluster, &spec.post, &names).await?;
            record(journal, Entry::Owes { hooks: owed.clone() })?;
            held.owe(owed.clone()).await?;
            holding.debt.incur(owed);
            holding.held.begin();
        }
        let mut runs = Vec::new();
        if !spec.pre.is_empty() {
            runs = self.steps.run("pre hooks", hooks::run_pre(cluster, &spec.pre, &names)).await?;
        }
        if !spec.hold.is_empty() {
            let begun = holding.sessions.begin(cluster, &spec.hold, &names, run);
            self.steps.run("hold", begun).await?;
        }
        Ok(runs)
    }

    async fn commit(&self, around: Surroundings, writer: &Writer, harvest: Harvest) -> Result<Point> {
        let (resources, parent) =
            (harvest.objects.resources, around.parent.as_ref().map(|parent| parent.snapshot));
        let point = compose::point(self.request, around, harvest, writer);
        compose::commit(writer, &point, resources, parent).await?;
        record(&self.request.journal, Entry::Committed { point: point.id.clone() })?;
        Ok(point)
    }
}
