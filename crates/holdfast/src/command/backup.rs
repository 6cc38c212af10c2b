//! `holdfast backup`: captures an application into a recovery point.

use std::sync::Arc;

use clap::Args;
use holdfast_model::Consistency;
use holdfast_model::manifest::PolicySpec;
use holdfast_model::point::Point;
use holdfast_model::{Outcome, PointId, TenantId};
use holdfast_protect::backup::{Application, BackupRequest, Movers, backup};
use holdfast_vault::{Error as VaultError, Repository};
use tokio_util::sync::CancellationToken;

use crate::catalogue::Found;
use crate::home::reports::Came;
use crate::progress::run::observer;
use crate::runs::{self, Begun, Busy, MoverArgs, SystemClock};
use crate::session::Session;
use crate::{edge, interrupt, render};

/// Captures an application.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Name or id of the application
    #[arg(value_name = "APP")]
    app: String,

    #[command(flatten)]
    busy: Busy,

    /// The least consistency that is accepted: live, crash, group or application [default: what the policy says]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    consistency: Option<Consistency>,

    /// How many snapshots of each volume stay with the storage [default: what the policy says, or 0]
    #[arg(long, value_name = "COUNT")]
    keep_snapshots: Option<u16>,

    #[command(flatten)]
    movers: MoverArgs,
}

impl Backup {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let point = interrupt::run(async |cancel| self.capture(session, cancel).await)?;
        session.output.show(&point, |view| render::point::summary(&point, view))?;
        Ok(point.outcome)
    }

    async fn capture(&self, session: &Session, cancel: CancellationToken) -> anyhow::Result<Point> {
        let found = session.find_application(&self.app).await?;
        let spec = &found.application.spec;
        let policy = match &spec.policy {
            Some(name) => session.home.policy(name)?.spec,
            None => PolicySpec::default(),
        };
        let name = session.context.as_deref().or(spec.cluster.as_deref());
        let target = session.open_cluster(name).await?;
        let repository = open_or_create(&found).await?;
        let settings = self.movers.settings(&target.spec, &policy.movers);
        let access = found.vault.mover_access(&found.application.id);
        let begun = Begun::begin(session, format!("backup {}", found.application.name))?;
        let request = BackupRequest {
            cluster: target.cluster.clone(),
            repository,
            tenant: TenantId::default(),
            application: Application {
                id: found.application.id.clone(),
                name: found.application.name.clone(),
                spec: spec.clone(),
            },
            movers: access.map(|access| Movers { settings, access }),
            run: begun.id.clone(),
            point: PointId::new(edge::now(), edge::random()?),
            epoch: found.application.epoch,
            before: None,
            keep_snapshots: self.keep_snapshots.unwrap_or(policy.local_snapshots).into(),
            floor: self.consistency.or(policy.consistency),
            wait: self.busy.wait(),
            dead: begun.dead.clone(),
            clock: Arc::new(SystemClock),
            journal: begun.journal.clone(),
            observer: observer(session),
            cancel,
        };
        let result = interrupt::on_worker(backup(request)).await.map_err(anyhow::Error::from);
        begun.report(session, &result, |point| (point.outcome, Came::Point(Box::new(point.clone()))))?;
        let point = result?;
        // A backup settles first what dead runs of its application left.
        runs::settled(&session.home, target.cluster.name(), Some(&found.application.id))?;
        Ok(point)
    }
}

/// The application's repository, made by its first backup.
async fn open_or_create(found: &Found) -> anyhow::Result<Repository> {
    if let Some(repository) = found.repository().await? {
        return Ok(repository);
    }
    let (tenant, id) = (&found.vault.tenant, &found.application.id);
    match tenant.create_repository(id).await {
        // Another first backup was quicker.
        Err(VaultError::AlreadyExists { .. }) => Ok(tenant.open_repository(id).await?),
        created => Ok(created?),
    }
}

fn level(text: &str) -> Result<Consistency, String> {
    let all = [Consistency::Live, Consistency::Crash, Consistency::Group, Consistency::Application];
    let found = all.into_iter().find(|one| render::consistency(*one) == text);
    found
        .ok_or_else(|| format!("`{text}` is no consistency: use {}", all.map(render::consistency).join(", ")))
}
