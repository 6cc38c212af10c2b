//! The words of Holdfast as types, and its pure decisions.
//!
//! No IO, no clock, no randomness and no Kubernetes client: everything here can be tested by
//! calling it. Other rooms parse into these types at their edge and pass them on.

pub mod condition;
pub mod consistency;
pub mod hook;
pub mod id;
pub mod label;
pub mod labels;
pub mod manifest;
pub mod object;
pub mod outcome;
pub mod pattern;
pub mod point;
pub mod quantity;
pub mod restore;
pub mod scope;
pub mod volume;

pub use consistency::Consistency;
pub use id::{AppId, Epoch, PointId, RunId, TenantId};
pub use object::{GroupKind, ObjectRef, ResourceType};
pub use outcome::{Outcome, Problem};
