//! The stages of one backup, in their order, and what they hand to each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_cluster::{Discovery, Facts, ListOptions, kinds};
use holdfast_model::point::{Consistency, HookRun, POINT_FORMAT, Point, Stored};
use holdfast_model::scope::Selector;
use holdfast_model::{Outcome, Problem};
use holdfast_vault::{SnapshotId, Writer, WriterOptions};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::consistency::{Covered, check_floor};
use super::release::Debt;
use super::volumes::{Captures, Volumes};
use super::{BackupRequest, compose, facts, record};
use crate::capture::{Capture, Captured, Claims, Namespaces, claims};
use crate::error::{Error, Result};
use crate::exclusion::Held;
use crate::hooks::{self, Sessions};
use crate::point::{PointSummary, list};
use crate::progress::{Entry, Steps};
use crate::sweep;

/// A backup under way.
pub(super) struct Run<'a> {
    request: &'a BackupRequest,
    selector: Arc<Selector>,
    steps: Steps,
}

/// What was found before anything is touched.
struct Surroundings {
    discovery: Arc<Discovery>,
    facts: Facts,
    namespaces: Arc<Namespaces>,
    claims: Claims,
    covered: Covered,
    parent: Option<PointSummary>,
}

/// What the capture brought.
struct Harvest {
    started: Timestamp,
    objects: Captured,
    hooks: Vec<HookRun>,
    volumes: Captures,
}

impl<'a> Run<'a> {
    pub(super) fn new(request: &'a BackupRequest, selector: Arc<Selector>) -> Self {
        Self { request, selector, steps: Steps::new(request.observer.clone()) }
    }

    /// The whole backup but for the lease.
    pub(super) async fn make(&self, held: &mut Held) -> Result<Point> {
        let lost = held.lost().clone();
        let leftovers = self.guard(&lost, self.steps.run("settle", self.settle())).await?;
        let around = self.guard(&lost, self.steps.run("look around", self.look_around())).await?;
        let writer = self.guard(&lost, self.steps.run("open", self.writer())).await?;
        let mut debt = Debt::new(&self.request.cluster);
        let result = self.hold_and_capture(&around, &writer, held, &mut debt).await;
        let point = match result {
            Ok(harvest) => {
                let parent = around.parent.as_ref().map(|parent| parent.snapshot);
                let point = self.compose(around, &writer, &debt, leftovers, &harvest);
                self.guard(&lost, self.steps.run("commit", self.commit(&writer, &harvest, point, parent)))
                    .await
            }
            Err(error) => Err(error),
        };
        let closed = writer.close().await;
        let point = point?;
        // The point is committed; a lock that could not be removed expires by itself.
        if let Err(error) = closed {
            tracing::warn!(%error, "the repository's lock was left behind");
        }
        Ok(point)
    }

    /// Work that stops when the caller cancels or the lease is lost.
    async fn guard<T>(&self, lost: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
        let application = &self.request.application.id;
        tokio::select! {
            result = work => result,
            () = self.request.cancel.cancelled() => Err(Error::Cancelled),
            () = lost.cancelled() => Err(Error::LeaseLost {
                application: application.clone(),
                reason: "its lease could not be renewed in time, or somebody else took it".to_owned(),
            }),
        }
    }

    /// What dead runs of this application left. Problems of theirs are this point's too: the
    /// application may still be held.
    async fn settle(&self) -> Result<Vec<Problem>> {
        let BackupRequest { cluster, application, run, .. } = self.request;
        Ok(sweep::settle_application(cluster, &application.id, run.as_str()).await?.problems)
    }

    async fn look_around(&self) -> Result<Surroundings> {
        let BackupRequest { cluster, application, repository, floor, .. } = self.request;
        let spec = &application.spec;
        let discovery = Arc::new(cluster.discover().await?);
        let (facts, namespaces, points) = futures::join!(
            cluster.facts_with(&discovery),
            Namespaces::select(cluster, &spec.scope, &self.selector),
            list(repository),
        );
        let (facts, namespaces) = (facts?, namespaces?);
        let names: Vec<&str> = namespaces.names().collect();
        let (claims, covered) = futures::join!(
            claims(cluster, &self.selector, &namespaces),
            Covered::find(cluster, &spec.hooks, &names),
        );
        let (claims, covered) = (claims?, covered?);
        self.check_not_empty(&namespaces)?;
        if floor.is_some_and(|floor| floor > Consistency::Live) {
            check_floor(*floor, &claims.capture, &covered, &self.mounted(&names).await?)?;
        }
        let parent = points?.newest().cloned();
        Ok(Surroundings { discovery, facts, namespaces: Arc::new(namespaces), claims, covered, parent })
    }

    fn check_not_empty(&self, namespaces: &Namespaces) -> Result<()> {
        let application = &self.request.application;
        if !namespaces.is_empty() || !application.spec.scope.cluster.kinds.is_empty() {
            return Ok(());
        }
        Err(Error::Empty {
            application: application.name.clone(),
            cluster: self.request.cluster.name().to_owned(),
            reason: format!("no namespace matches {}", application.spec.scope.namespaces.join(", ")),
        })
    }

    /// Claims that pods have mounted which have not ended.
    async fn mounted(&self, namespaces: &[&str]) -> Result<BTreeSet<(String, String)>> {
        let mut mounted = BTreeSet::new();
        for namespace in namespaces {
            let fields = Some("status.phase!=Succeeded,status.phase!=Failed".to_owned());
            let options = ListOptions { fields, ..ListOptions::in_namespace(*namespace) };
            for pod in self.request.cluster.list_all(&kinds::pods(), options).await? {
                let Ok(pod) = pod.parse() else { continue };
                let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
                let claims =
                    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
                mounted.extend(claims.map(|claim| ((*namespace).to_owned(), claim.to_owned())));
            }
        }
        Ok(mounted)
    }

    async fn writer(&self) -> Result<Writer> {
        Ok(self.request.repository.writer(WriterOptions::default()).await?)
    }

    /// From the first mover to the release of the application. Whatever happens, movers are gone
    /// and the hooks that are owed have been run when this returns.
    async fn hold_and_capture(
        &self,
        around: &Surroundings,
        writer: &Writer,
        held: &mut Held,
        debt: &mut Debt,
    ) -> Result<Harvest> {
        let lost = held.lost().clone();
        let mut volumes = Volumes::new(self.request, &around.claims);
        let mut sessions = Sessions::default();
        let captured =
            self.guard(&lost, self.capture(around, writer, held, &mut volumes, &mut sessions, debt)).await;
        // Closes the streams, which is what releases the application if the sessions were not ended.
        drop(sessions);
        debt.pay(&self.steps).await;
        held.owe(debt.left().to_vec()).await?;
        if debt.left().is_empty() && debt.was_incurred() {
            record(&self.request.journal, Entry::Released)?;
        }
        if captured.is_err() {
            volumes.abandon().await;
        }
        let (started, objects, mut runs) = captured?;
        runs.extend(debt.runs().iter().cloned());
        let captures = self.guard(&lost, self.steps.run("collect", volumes.collect())).await;
        let captures = match captures {
            Ok(captures) => captures,
            Err(error) => {
                volumes.abandon().await;
                return Err(error);
            }
        };
        Ok(Harvest { started, objects, hooks: runs, volumes: captures })
    }

    async fn capture(
        &self,
        around: &Surroundings,
        writer: &Writer,
        held: &mut Held,
        volumes: &mut Volumes,
        sessions: &mut Sessions,
        debt: &mut Debt,
    ) -> Result<(Timestamp, Captured, Vec<HookRun>)> {
        let BackupRequest { cluster, application, run, clock, journal, .. } = self.request;
        let spec = &application.spec.hooks;
        let names: Vec<&str> = around.namespaces.names().collect();
        if volumes.needs_movers() {
            record(journal, Entry::Temporary { what: "movers".to_owned() })?;
            self.steps.run("movers", volumes.ready()).await?;
        }
        if !spec.pre.is_empty() || !spec.hold.is_empty() {
            let owed = hooks::owed(cluster, &spec.post, &names).await?;
            record(journal, Entry::Owes { hooks: owed.clone() })?;
            held.owe(owed.clone()).await?;
            debt.incur(owed);
        }
        let mut runs = self.steps.run("pre hooks", hooks::run_pre(cluster, &spec.pre, &names)).await?;
        self.steps.run("hold", sessions.begin(cluster, &spec.hold, &names, run)).await?;
        let started = clock.now();
        let objects = Capture {
            cluster: cluster.clone(),
            discovery: around.discovery.clone(),
            selector: self.selector.clone(),
            namespaces: around.namespaces.clone(),
            writer: writer.clone(),
            observer: self.request.observer.clone(),
        };
        let objects = self.steps.run("objects", objects.run());
        let (objects, mut held_runs) =
            futures::try_join!(objects, self.capture_volumes(volumes, sessions, debt))?;
        runs.append(&mut held_runs);
        Ok((started, objects, runs))
    }

    /// The volumes' side: it ends with the release of the application, while objects may still be read.
    async fn capture_volumes(
        &self,
        volumes: &mut Volumes,
        sessions: &mut Sessions,
        debt: &mut Debt,
    ) -> Result<Vec<HookRun>> {
        let run = &self.request.run;
        let main = self.steps.run("volumes", async {
            volumes.begin().await?;
            volumes.main_done().await
        });
        watched(sessions, main).await?;
        self.steps.run("before late", sessions.before_late(run)).await?;
        watched(sessions, self.steps.run("late paths", volumes.late())).await?;
        let runs = self.steps.run("end hold", sessions.end()).await?;
        debt.pay(&self.steps).await;
        Ok(runs)
    }

    fn compose(
        &self,
        around: Surroundings,
        writer: &Writer,
        debt: &Debt,
        leftovers: Vec<Problem>,
        harvest: &Harvest,
    ) -> Point {
        let BackupRequest { cluster, application, clock, .. } = self.request;
        let Harvest { started, objects, hooks, volumes } = harvest;
        let mut problems = leftovers;
        problems.extend(objects.problems.iter().cloned());
        problems.extend(around.claims.problems.iter().cloned());
        problems.extend(volumes.problems.iter().cloned());
        problems.extend(debt.problems().iter().cloned());
        problems.extend(around.claims.unknown_to_survey(&objects.claims));
        problems.sort();
        problems.dedup();
        let mut excluded = objects.excluded.clone();
        excluded.extend(around.claims.excluded.iter().cloned());
        excluded.extend(volumes.excluded.iter().cloned());
        excluded.extend(facts::unknown(&around.facts));
        let each = volumes.captured.iter();
        let consistency = each
            .map(|volume| around.covered.consistency(&volume.namespace, &volume.claim, volume.method))
            .min()
            .unwrap_or(Consistency::Application);
        let stats = writer.stats();
        let volumes_sum = |field: fn(&holdfast_model::point::VolumeCapture) -> u64| -> u64 {
            volumes.captured.iter().map(field).sum()
        };
        Point {
            format: POINT_FORMAT,
            program: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
            id: self.request.point.clone(),
            run: self.request.run.clone(),
            tenant: self.request.tenant.clone(),
            application: application.id.clone(),
            application_name: application.name.clone(),
            spec: application.spec.clone(),
            epoch: self.request.epoch,
            started: *started,
            finished: clock.now(),
            outcome: Outcome::of(&problems),
            consistency,
            parent: around.parent.map(|parent| parent.id),
            cluster: facts::of_cluster(cluster.name(), &around.facts, objects.images.clone()),
            kinds: objects.kinds.clone(),
            list_spread_millis: objects.list_spread_millis,
            volumes: volumes.captured.clone(),
            hooks: hooks.clone(),
            problems,
            excluded,
            stored: Stored {
                bytes_seen: stats.bytes_read + volumes_sum(|volume| volume.bytes_read),
                bytes_new: stats.bytes_added + volumes_sum(|volume| volume.bytes_stored),
                bytes_stored: stats.bytes_stored + volumes_sum(|volume| volume.bytes_stored),
            },
        }
    }

    async fn commit(
        &self,
        writer: &Writer,
        harvest: &Harvest,
        point: Point,
        parent: Option<SnapshotId>,
    ) -> Result<Point> {
        compose::commit(writer, &point, harvest.objects.resources, parent).await?;
        record(&self.request.journal, Entry::Committed { point: point.id.clone() })?;
        Ok(point)
    }
}

/// Work during which the sessions must live.
async fn watched<T>(sessions: &mut Sessions, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        error = sessions.watch() => Err(error),
    }
}
