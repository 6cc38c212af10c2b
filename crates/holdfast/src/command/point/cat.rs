//! `holdfast point cat`: an object as it was captured.

use std::str::FromStr;

use clap::Args;
use holdfast_model::{ObjectRef, Outcome};
use holdfast_protect::point::{self, ObjectEntry, OpenPoint};
use serde_json::Value;

use super::ls::is_called;
use crate::error::Error;
use crate::interrupt;
use crate::points::PointRef;
use crate::session::Session;

/// Prints what is in a point.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// KIND/NAME of an object
    #[arg(value_name = "WHAT")]
    what: String,

    /// Namespace of the object
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// An object as the user names it: `KIND/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    kind: String,
    name: String,
}

impl FromStr for Wanted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {
                Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
            }
            _ => Err(Error::Usage {
                what: format!("`{text}` names no object"),
                hint: "use KIND/NAME, e.g. deployment/web -n shop; files of volumes are printed by `holdfast files cat`",
            }),
        }
    }
}

impl Cat {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        interrupt::query(async || {
            let wanted = self.what.parse::<Wanted>()?;
            let chosen = session.find_point(&self.point).await?;
            let open = point::open(&chosen.repository, &chosen.summary).await?;
            self.object(session, &wanted, &open).await?;
            Ok(Outcome::Completed)
        })
    }

    /// The bytes as they were captured; with `-o json` or `-o yaml` in that form.
    async fn object(&self, session: &Session, wanted: &Wanted, open: &OpenPoint) -> anyhow::Result<()> {
        let entry = self.search(session, wanted, open).await?;
        let json = open.read(&entry).await?;
        if !session.output.format().is_machine() {
            session.output.raw(&json)?;
            return session.output.raw(b"\n");
        }
        let value: Value = serde_json::from_slice(&json)
            .map_err(|error| Error::Unreadable { place: entry.path.clone(), reason: error.to_string() })?;
        session.output.show(&value, |_| String::new())
    }

    async fn search(
        &self,
        session: &Session,
        wanted: &Wanted,
        open: &OpenPoint,
    ) -> anyhow::Result<ObjectEntry> {
        let mut found: Vec<ObjectEntry> = Vec::new();
        let types = open.point.kinds.iter().map(|kind| &kind.resource);
        for of in types.filter(|of| is_called(of, &wanted.kind)) {
            for namespace in open.namespaces(of).await? {
                if self.namespace.is_some() && self.namespace != namespace {
                    continue;
                }
                let object = ObjectRef { resource: of.clone(), namespace, name: wanted.name.clone() };
                match open.object(&object).await {
                    Ok(entry) => found.extend(entry),
                    Err(error) => session.warn(&format!("{object}: {error}")),
                }
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => {
                let hint = "`holdfast point ls POINT` lists what there is";
                Err(Error::Unknown { what: "object", name: self.what.clone(), known: Vec::new(), hint }
                    .into())
            }
            (last, _) => {
                let name = |entry: &ObjectEntry| match &entry.namespace {
                    Some(namespace) => format!("{} in {namespace}", entry.resource),
                    None => entry.resource.to_string(),
                };
                let candidates = found.iter().chain(&last).map(name).collect();
                let what = format!("there are several `{}`", self.what);
                Err(Error::Ambiguous { what, candidates, hint: "add -n NAMESPACE, or the group to the kind" }
                    .into())
            }
        }
    }
}
