//! Restore: from a recovery point to an application that runs, on any cluster.
//!
//! Objects go level by level ([`holdfast_model::restore::order`]), each level side by side, from
//! the vault straight to the API server: created first and compared only if something is there
//! already, so that restoring twice changes nothing. Nothing is deleted, unless told to (`recreation`, `prune`).
//! Claims are filled before anything uses them. What stands in the way of requests, webhooks above all, comes last,
//! after the workloads are ready.
//!
//! [`restore_volumes`] restores data alone, into claims that are there already.
//!
//! [`plan`](plan::plan) walks the same way and writes nothing: it decides by the same code, so that what it
//! says is what a restore does.
//!
//! Of the objects of a level only names and places are known at once, a batch is fetched while
//! another is applied, and of what went well only counts are kept.

mod booking;
mod claims;
mod comparison;
mod consumers;
mod definitions;
mod existing;
mod extras;
mod hold;
mod hooks;
mod in_place;
mod object;
mod outgoing;
mod owners;
mod plan;
mod preparation;
mod prune;
mod queue;
mod quota;
mod ready;
mod recreation;
mod remarks;
mod request;
mod run;
mod served;
mod session;
mod sought;
mod source;
mod standing;
mod state;
mod tally;
mod verify;
mod volumes;

use holdfast_model::GroupKind;
use holdfast_model::restore::{ChangeKind, differences};
use serde_json::Value;

pub use holdfast_model::restore::{Existing, InvalidMapping, Mapping, RestoreReport, Terms, Verdict};
pub use in_place::restore_volumes;
pub use plan::{DryRuns, OnPlanned, PlanRequest, plan};
pub use request::{RestoreRequest, VolumeOrder, VolumesRequest};
pub use run::restore;
pub(crate) use standing::claims_of;
pub use state::AsPlanned;
pub use tally::OnObject;
pub use verify::{VerifyRequest, verify};

/// Places that were sent and are not in what the server stored.
fn removed_paths(of: &GroupKind, sent: &Value, stored: &Value) -> Vec<String> {
    let changes = differences(of, sent, stored).into_iter();
    changes.filter(|change| change.kind == ChangeKind::Removed).map(|change| change.path).collect()
}
