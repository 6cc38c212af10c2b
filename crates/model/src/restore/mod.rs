//! What a restore changes in objects and in which order it creates them: pure decisions, most of
//! them tables with a reason in each line.
//!
//! An object of a point is [`read`](mod@read) without being believed, left out if a line of
//! [`skip`] or a controller ([`owner`]) says so, stripped by [`rules`], renamed by [`mapping`], and
//! created in the level that [`order`] gives it. What is there already is compared by
//! [`difference`]. [`prepare()`] walks an object through all of this.

mod chosen;
pub mod difference;
pub mod mapping;
pub mod order;
pub mod owner;
pub mod places;
pub mod pointer;
pub mod prepare;
pub mod read;
pub mod report;
pub mod rules;
pub mod skip;

pub use difference::{Change, ChangeKind, differences};
pub use mapping::{InvalidMapping, Mapping};
pub use prepare::{Prepared, Sending, comparable, prepare};
pub use read::{Unusable, read};
pub use report::{
    Existing, KindReport, ObjectResult, Readiness, RestoreReport, StepTime, Verdict, VolumeResult,
    VolumeVerified,
};
