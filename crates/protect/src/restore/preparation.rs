//! What of an object of the point is to be sent, and as what: decided before the target is asked
//! about the object itself, for a restore and for a plan of one.

use bytes::Bytes;
use holdfast_model::restore::plan::SkipRule;
use holdfast_model::restore::{Prepared, prepare, read};
use holdfast_model::{ObjectRef, Problem};

use super::outgoing::{Outgoing, captured_ref};
use super::session::Session;
use super::source;
use crate::error::Result;
use crate::point::{ObjectEntry, file_name};

/// What is to become of an object, as far as that can be said without its like at the target.
pub(super) enum Preparation {
    /// It is to be sent.
    Send(Box<Outgoing>),
    /// It is not among what was chosen.
    Unchosen,
    /// It is left out.
    Skip(Skipped),
    /// It cannot be restored.
    Hindered(Hindered),
}

/// An object that is left out on purpose.
pub(super) struct Skipped {
    pub(super) object: ObjectRef,
    pub(super) rule: SkipRule,
    pub(super) reason: String,
}

/// An object that cannot be restored, whatever is at the target.
pub(super) struct Hindered {
    pub(super) object: ObjectRef,
    /// What is said of the object itself.
    pub(super) reason: String,
    pub(super) problem: Problem,
    /// Whether it is only that the target does not serve its type.
    pub(super) not_served: bool,
}

impl Session {
    /// Decides what is to be sent for the object that lies at `entry`.
    pub(super) async fn preparation(&self, entry: ObjectEntry, json: &Bytes) -> Result<Preparation> {
        let of = &entry.resource;
        let captured = match read(of, entry.namespace.as_deref(), json).map_err(|error| error.to_string()) {
            Ok(object) if entry.file() == file_name(read::name(&object)) => Ok(object),
            Ok(object) => Err(format!("it says it is called `{}`", read::name(&object))),
            Err(reason) => Err(reason),
        };
        let captured = match captured {
            Ok(captured) => captured,
            Err(reason) => {
                let problem = source::unusable(&entry, reason.clone());
                let object = captured_ref(&entry);
                return Ok(Preparation::Hindered(Hindered { object, reason, problem, not_served: false }));
            }
        };
        if !self.chooses(of, entry.namespace.as_deref(), &captured) {
            return Ok(Preparation::Unchosen);
        }
        let name = read::name(&captured).to_owned();
        let object = ObjectRef { name, ..captured_ref(&entry) };
        let modifiers = self.modifiers.of(of, entry.namespace.as_deref(), &captured);
        self.sought.modified(&modifiers);
        let mut sending = match prepare(of, captured, &self.terms.mapping, &self.point.point.id) {
            Prepared::Send(sending) => *sending,
            Prepared::Skip { reason } => {
                return Ok(Preparation::Skip(Skipped { object, rule: SkipRule::NotSent, reason }));
            }
        };
        if let Some(maker) = &sending.maker
            && self.owners.held_by(&self.point, maker, entry.namespace.as_deref()).await?
        {
            let reason = format!("left to {maker}, which makes it");
            let object = sending.target;
            return Ok(Preparation::Skip(Skipped { object, rule: SkipRule::LeftToOwner, reason }));
        }
        if let Err(unfit) = self.modifiers.apply(&modifiers, &mut sending.object) {
            let (object, reason) = (sending.target, unfit.to_string());
            let problem = Problem::new("restore.modifier", object.to_string(), &reason)
                .hint("correct the modifier, or what it selects, and restore again");
            return Ok(Preparation::Hindered(Hindered { object, reason, problem, not_served: false }));
        }
        Ok(match self.served().place(of) {
            Ok(placement) => {
                let bytes = json.len() as u64;
                Preparation::Send(Box::new(Outgoing { entry, bytes, sending, placement }))
            }
            Err(problem) => {
                let (object, reason) = (sending.target, problem.message.clone());
                Preparation::Hindered(Hindered { object, reason, problem, not_served: true })
            }
        })
    }
}
