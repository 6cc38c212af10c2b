//! `holdfast restore --plan-file`: restores what a plan shows, unless the cluster has moved on since.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_model::Outcome;
use holdfast_model::restore::{RestoreReport, Terms};
use holdfast_protect::restore::{AsPlanned, OnPlanned};
use tokio_util::sync::CancellationToken;

use super::order::{Order, Origin};
use super::plan::make;
use crate::error::Error;
use crate::plan_file::{Comparison, Header, Options, PlanFile};
use crate::session::Session;

/// Plans once more, compares, and restores.
pub(super) fn restore(session: &Session, order: &Order, file: PathBuf) -> anyhow::Result<Outcome> {
    let planned = PlanFile::read(&file)?;
    agrees(order, &planned.header, &file)?;
    order.run(session, async |cancel| checked(session, order, &file, planned, cancel).await)
}

/// The options are those of the plan; what the command line says beside it must not contradict it.
fn agrees(order: &Order, header: &Header, file: &Path) -> anyhow::Result<()> {
    let (said, planned) = (order.terms()?, &header.terms);
    let contradicts = [
        !said.mapping.is_empty() && said.mapping != planned.mapping,
        !said.existing.is_default() && said.existing != planned.existing,
        !said.selection.is_everything() && said.selection != planned.selection,
        !said.modifiers.is_empty() && said.modifiers != planned.modifiers,
        said.allow_privileged && !planned.allow_privileged,
        said.no_hooks && !planned.no_hooks,
    ];
    if contradicts.contains(&true) {
        let what = format!("the plan in {} was made with other options", file.display());
        return Err(Error::Usage { what, hint: "leave them out, or plan again" }.into());
    }
    Ok(())
}

async fn checked(
    session: &Session,
    order: &Order,
    file: &Path,
    planned: PlanFile,
    cancel: CancellationToken,
) -> anyhow::Result<RestoreReport> {
    let chosen = session.find_point(&order.point).await?;
    let target = session.open_cluster(Some(&order.to)).await?;
    let PlanFile { header, objects } = planned;
    let dry_runs = header.dry_runs.into();
    let options = Options { terms: header.terms.clone(), dry_runs };
    header.must_be_of(file, &Header::new(&target.cluster, &chosen, &options).await?)?;
    let expected = objects.expected();
    let comparison = Arc::new(Comparison::with(objects));
    let sink = comparison.clone();
    let on_object: OnPlanned = Arc::new(move |planned| sink.object(planned));
    session.say("comparing the plan with the cluster");
    let planning = make(session, &target.cluster, chosen.clone(), options, Some(on_object));
    let made = cancel.run_until_cancelled(planning).await;
    made.ok_or(Error::Interrupted)??;
    let moved = comparison.moved();
    if !moved.is_empty() {
        return Err(Error::Moved { file: file.to_path_buf(), moved }.into());
    }
    // From here to the last object the cluster may still move: each is looked at again before it is written over.
    let as_planned: AsPlanned = Arc::new(move |object, live| expected.allows(object, live));
    let terms: Terms = header.terms;
    order.restore_chosen(session, chosen, terms, Origin::Plan(as_planned), cancel).await
}
