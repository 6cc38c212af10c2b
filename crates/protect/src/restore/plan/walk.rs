//! The walk of a plan over levels, types and directories of the point.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use holdfast_cluster::{RawObject, kinds};
use holdfast_model::restore::order::{self, LEVELS};
use holdfast_model::restore::plan::{Plan, Planned, Verdict};
use holdfast_model::restore::{privilege, reverter};
use holdfast_model::{Problem, ResourceType};
use serde_json::Value;

use super::PlanRequest;
use super::findings::{Findings, Weighed};
use super::held::HeldClaims;
use super::live;
use super::place::{Ground, Place};
use super::refusal::cannot;
use super::remaining::Remaining;
use super::room::Rooms;
use crate::error::Result;
use crate::point::{self, ObjectEntry, file_name};
use crate::progress::Steps;
use crate::restore::booking::is_fatal;
use crate::restore::hooks;
use crate::restore::outgoing::{Outgoing, captured_ref};
use crate::restore::preparation::Preparation;
use crate::restore::remarks;
use crate::restore::session::Session;
use crate::restore::source::{self, Fetched, Lost};
use crate::restore::state::state_of;
use crate::restore::tally::Tally;

/// Objects that are judged at once; how many requests are under way the cluster decides.
const AT_ONCE: usize = 64;

/// A plan on its way.
pub(super) struct Planner<'a> {
    pub(super) request: &'a PlanRequest,
    pub(super) session: Session,
    pub(super) rooms: Rooms,
    pub(super) findings: Findings,
    pub(super) held: HeldClaims,
    /// The namespaces of the target that were looked at.
    grounds: Mutex<HashMap<String, Ground>>,
}

pub(super) async fn plan(request: &PlanRequest) -> Result<Plan> {
    let started = request.clock.now();
    let steps = Steps::new(request.observer.clone());
    let planner = steps.run("open", Planner::open(request)).await?;
    for (level, named) in LEVELS.iter().enumerate() {
        if planner.types(level).next().is_some() {
            steps.run(named.name, planner.level(level)).await?;
        }
    }
    if request.terms.existing.prunes() {
        steps.run("what the point does not have", planner.extras()).await?;
    }
    for hook in hooks::wanted(&planner.session.point.point, &request.terms) {
        planner.findings.note(format!("hook {} runs `{}` afterwards", hook.name, hook.command.join(" ")));
    }
    planner.session.missed().into_iter().for_each(|problem| planner.findings.problem(problem));
    planner.session.sought.unused().for_each(|note| planner.findings.note(note));
    let point = &planner.session.point.point;
    let found = planner.findings.total();
    Ok(Plan {
        format: holdfast_model::restore::plan::PLAN_FORMAT,
        point: point.id.clone(),
        application: point.application.clone(),
        application_name: point.application_name.clone(),
        cluster: request.cluster.name().to_owned(),
        outcome: found.outcome,
        started,
        finished: request.clock.now(),
        terms: request.terms.clone(),
        levels: found.levels,
        objects: found.objects,
        waiting: found.waiting,
        may_revert: found.may_revert,
        privileged: found.privileged,
        dry_runs: found.dry_runs,
        notes: found.notes,
        problems: found.problems,
    })
}

impl<'a> Planner<'a> {
    async fn open(request: &'a PlanRequest) -> Result<Self> {
        let point = point::open(&request.repository, &request.point).await?;
        let terms = request.terms.clone();
        let session = Session::new(request.cluster.clone(), point, terms, Tally::silent()).await?;
        let (observer, on_object) = (request.observer.clone(), request.on_object.clone());
        let findings =
            Findings::new(&session.point.point, |of| session.chooses_type(of), observer, on_object);
        if let Some(note) = remarks::partial(&session.point.point) {
            findings.note(note);
        }
        let rooms = Rooms::new(request.cluster.clone());
        let (held, grounds) = (HeldClaims::default(), Mutex::default());
        Ok(Self { request, session, rooms, findings, held, grounds })
    }

    /// The types of a level that the point holds objects of.
    fn types(&self, level: usize) -> impl Iterator<Item = &ResourceType> {
        let kinds = self.session.point.point.kinds.iter().filter(|kind| kind.objects > 0);
        let types = kinds.map(|kind| &kind.resource).filter(|of| self.session.chooses_type(of));
        types.filter(move |of| order::level(&of.group_kind()) == level)
    }

    async fn level(&self, level: usize) -> Result<()> {
        let mut types: Vec<&ResourceType> = self.types(level).collect();
        types.sort();
        for of in types {
            self.of_type(of, level).await?;
        }
        if level == order::level(&kinds::persistent_volume_claims().group_kind()) {
            self.settle_claims().await;
        }
        Ok(())
    }

    /// The objects of one type, directory by directory: those of a namespace follow each other.
    async fn of_type(&self, of: &ResourceType, level: usize) -> Result<()> {
        let wanted = of.clone();
        let mut entries = std::pin::pin!(self.session.entries(move |found| *found == wanted));
        let mut directory: Option<Remaining> = None;
        while let Some(entry) = entries.next().await {
            let entry = match entry {
                Ok(entry) => entry,
                Err(problem) => {
                    self.findings.problem(problem);
                    continue;
                }
            };
            if let Some(full) = directory.take_if(|open| *open.namespace() != entry.namespace) {
                self.directory(full, level).await?;
            }
            let open = directory.get_or_insert_with(|| Remaining::new(of.clone(), entry.namespace.clone()));
            open.push(entry, &self.request.terms.mapping);
        }
        match directory {
            Some(last) => self.directory(last, level).await,
            None => Ok(()),
        }
    }

    async fn directory(&self, mut remaining: Remaining, level: usize) -> Result<()> {
        let place = self.place(&remaining, level).await?;
        let placement = self.session.served().place(&place.of);
        if let (Ok(placement), true) = (placement, place.ground.may_hold_objects()) {
            let namespace = place.namespace.as_deref();
            let mut pages = live::pages(&self.request.cluster, &placement.of, namespace, remaining.few());
            while let Some(page) = pages.next().await {
                match page {
                    Ok(page) => self.page(&place, &mut remaining, page).await?,
                    Err(error) if is_fatal(&error) => return Err(error.into()),
                    // What is there is not known, and neither is what a restore would do about it.
                    Err(error) => return self.not_compared(&place, remaining, &cannot(&error)),
                }
            }
        }
        self.judge(&place, remaining.into_entries(), HashMap::new()).await
    }

    /// Some objects of the target beside those of the point that they are to be.
    async fn page(&self, place: &Place, remaining: &mut Remaining, page: Vec<RawObject>) -> Result<()> {
        let mut live = HashMap::new();
        let mut entries = Vec::new();
        for object in page {
            if let Some(entry) = remaining.take(&file_name(&object.metadata.name)) {
                live.insert(entry.path.clone(), object);
                entries.push(entry);
            }
        }
        self.judge(place, entries.into_iter(), live).await
    }

    async fn judge(
        &self,
        place: &Place,
        entries: impl Iterator<Item = ObjectEntry> + Send + 'static,
        live: HashMap<String, RawObject>,
    ) -> Result<()> {
        let entries = futures::stream::iter(entries.map(Ok));
        let fetched = source::fetch(&self.session.point.reader, entries);
        let judged = fetched.map(|fetched| self.one(place, fetched, &live)).buffered(AT_ONCE);
        let mut judged = std::pin::pin!(judged);
        while let Some(weighed) = judged.next().await {
            if let Some(weighed) = weighed? {
                self.findings.object(weighed);
            }
        }
        Ok(())
    }

    async fn one(
        &self,
        place: &Place,
        fetched: Fetched,
        live: &HashMap<String, RawObject>,
    ) -> Result<Option<Weighed>> {
        let (entry, json) = match fetched {
            Ok(fetched) => fetched,
            Err(lost) => return Ok(self.lost(place, *lost)),
        };
        let (of, bytes) = (entry.resource.clone(), json.len() as u64);
        let live = live.get(&entry.path).map(parsed).transpose()?;
        let planned = match self.session.preparation(entry, &json).await? {
            Preparation::Unchosen => return Ok(None),
            Preparation::Skip(skipped) => {
                let verdict =
                    Verdict::Skip { rule: skipped.rule, reason: skipped.reason, difference: Vec::new() };
                place.planned(skipped.object, verdict)
            }
            Preparation::Hindered(hindered) => {
                let until = self.findings.promised_definition(&of).filter(|_| hindered.not_served);
                place.planned(hindered.object, until.unwrap_or_else(|| Verdict::cannot(hindered.problem)))
            }
            Preparation::Send(outgoing) => match self.claim(place, &outgoing, live.as_ref()).await? {
                // It is counted when all claims are known.
                None => return Ok(None),
                Some(planned) => planned,
            },
        };
        Ok(Some(Weighed { of, planned, bytes }))
    }

    /// What a restore would do with an object that is to be sent, and who should know of it.
    pub(super) async fn outgoing(
        &self,
        place: &Place,
        outgoing: &Outgoing,
        live: Option<&Value>,
    ) -> Result<Planned> {
        for unmapped in &outgoing.sending.unmapped {
            self.findings.note(remarks::not_mapped(&outgoing.sending.target, unmapped));
        }
        let verdict = match live {
            Some(live) => self.present(place, outgoing, live).await?,
            None => Box::pin(self.absent(place, outgoing, &outgoing.sending.object)).await?,
        };
        Ok(self.told(place, outgoing, live, verdict))
    }

    /// A verdict with what the owner of the target should know beside it.
    pub(super) fn told(
        &self,
        place: &Place,
        outgoing: &Outgoing,
        live: Option<&Value>,
        verdict: Verdict,
    ) -> Planned {
        let mut planned = place.planned(outgoing.sending.target.clone(), verdict);
        if planned.verdict.kind().writes() {
            let desired = &outgoing.sending.object;
            let powers = privilege::raised(&place.of.group_kind(), desired, live);
            if powers.is_empty() || self.request.terms.allow_privileged {
                planned.may_revert = reverter::reverters(live.unwrap_or(desired), &outgoing.sending.owners);
            } else {
                let (code, hint) = remarks::POWERFUL;
                planned.verdict =
                    Verdict::cannot(Problem::new(code, "", remarks::would_be_powerful(&powers)).hint(hint));
            }
            planned.privilege = powers;
        }
        if let (Some(live), Some(_)) = (live, &self.request.on_object) {
            planned.live = Some(state_of(&place.of.group_kind(), live));
        }
        planned
    }

    fn lost(&self, place: &Place, lost: Lost) -> Option<Weighed> {
        let Lost { entry, problem } = lost;
        let Some(entry) = entry else {
            self.findings.problem(problem);
            return None;
        };
        let planned = place.planned(captured_ref(&entry), Verdict::cannot(problem));
        Some(Weighed { of: entry.resource, planned, bytes: entry.size })
    }

    fn not_compared(&self, place: &Place, remaining: Remaining, verdict: &Verdict) -> Result<()> {
        for entry in remaining.into_entries() {
            let mut object = captured_ref(&entry);
            object.namespace.clone_from(&place.namespace);
            let planned = place.planned(object, verdict.clone());
            self.findings.object(Weighed { of: entry.resource, planned, bytes: entry.size });
        }
        Ok(())
    }

    async fn place(&self, remaining: &Remaining, level: usize) -> Result<Place> {
        let namespace = remaining.namespace().as_deref();
        let namespace = namespace.map(|name| self.request.terms.mapping.namespace(name).to_owned());
        let ground = match &namespace {
            None => Ground::Cluster,
            Some(name) if self.findings.promises_namespace(name) => Ground::Promised,
            Some(name) => self.ground(name).await?,
        };
        if let (Ground::Here, Some(name)) = (&ground, &namespace)
            && let Some(unseen) = self.rooms.open(name).await
        {
            self.findings.note(unseen);
        }
        Ok(Place::new(remaining.of().clone(), level, namespace, ground, self.request.dry_runs))
    }

    /// What there is of a namespace, looked at once.
    async fn ground(&self, namespace: &str) -> Result<Ground> {
        let known = self.grounds.lock().unwrap_or_else(PoisonError::into_inner).get(namespace).copied();
        if let Some(ground) = known {
            return Ok(ground);
        }
        let ground = Ground::of_namespace(&self.request.cluster, namespace).await?;
        self.grounds.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned(), ground);
        Ok(ground)
    }
}

/// The API server's own words are JSON.
fn parsed(object: &RawObject) -> Result<Value> {
    object.parse().map_err(|error| {
        crate::error::Error::Internal(format!("an object of a list does not parse: {error}"))
    })
}
