//! What a restore changes in objects and in which order it creates them: pure decisions, most of
//! them tables with a reason in each line.
//!
//! An object of a point that is among those [chosen](selection) is [`read`](mod@read) without being believed, left out if a line of
//! [`skip`] or a controller ([`owner`]) says so, stripped by [`rules`], renamed by [`mapping`], changed by [`modifier`]s, and
//! created in the level that [`order`] gives it. What is there already is compared by
//! [`difference`], and what becomes of it is a matter of [`policy`]. [`prepare()`] walks an object through all of this. What a restore would do is told by a
//! [`plan`], with what the owner of the target should know of it: [`privilege`], [`reverter`].

mod chosen;
pub mod difference;
pub mod mapping;
pub mod modifier;
pub mod order;
pub mod owner;
pub mod places;
pub mod plan;
pub mod pointer;
pub mod policy;
pub mod prepare;
pub mod privilege;
pub mod read;
pub mod report;
pub mod reverter;
pub mod rules;
pub mod selection;
pub mod shape;
pub mod skip;
pub mod terms;
pub mod verification;

pub use difference::{Change, ChangeKind, differences};
pub use mapping::{InvalidMapping, Mapping};
pub use modifier::{Modifier, Modifiers};
pub use plan::Plan;
pub use policy::{Existing, InvalidPolicy, Policies, Policy, PolicyBook, holds_data};
pub use prepare::{Prepared, Sending, comparable, prepare};
pub use read::{Unusable, read};
pub use report::{
    KindReport, ObjectResult, Readiness, RestoreReport, StepTime, Verdict, VolumeResult, VolumeVerified,
};
pub use selection::{Chooser, InvalidSelection, Layer, Selection};
pub use terms::{InvalidTerms, Terms};
pub use verification::Verification;
