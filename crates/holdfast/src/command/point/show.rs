//! `holdfast point show`: what a point says of itself, which is its `point.json`.

use holdfast_model::Outcome;
use holdfast_protect::point;

use crate::points::PointRef;
use crate::session::Session;
use crate::{interrupt, render};

pub(super) fn run(session: &Session, wanted: &PointRef) -> anyhow::Result<Outcome> {
    let point = interrupt::query(async || {
        let chosen = session.find_point(wanted).await?;
        Ok(point::open(&chosen.repository, &chosen.summary).await?.point)
    })?;
    session.output.show(&point, |view| render::point::details(&point, view))?;
    Ok(Outcome::Completed)
}
