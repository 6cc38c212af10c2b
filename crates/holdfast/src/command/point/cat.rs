//! `holdfast point cat`: an object as it was captured, or a file of a volume.

use std::os::fd::AsFd;
use std::str::FromStr;

use clap::Args;
use holdfast_model::{ObjectRef, Outcome};
use holdfast_protect::point::{self, ObjectEntry, OpenPoint};
use holdfast_vault::NodeKind;
use serde_json::Value;

use super::claim::{self, ClaimRef};
use super::ls::is_called;
use crate::error::Error;
use crate::interrupt;
use crate::points::{Chosen, PointRef};
use crate::session::Session;

/// Prints what is in a point.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// KIND/NAME of an object, or with --claim the path of a file
    #[arg(value_name = "WHAT")]
    what: String,

    /// Namespace of the object
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "claim")]
    namespace: Option<String>,

    /// A file of this volume instead of an object
    #[arg(long, value_name = "NAMESPACE/CLAIM")]
    claim: Option<ClaimRef>,
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
                hint: "use KIND/NAME, e.g. deployment/web -n shop; for a file add --claim NAMESPACE/CLAIM",
            }),
        }
    }
}

impl Cat {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        interrupt::query(async || {
            let wanted = if self.claim.is_none() { Some(self.what.parse::<Wanted>()?) } else { None };
            let chosen = session.find_point(&self.point).await?;
            let open = point::open(&chosen.repository, &chosen.summary).await?;
            match (&self.claim, wanted) {
                (None, Some(wanted)) => self.object(session, &wanted, &open).await?,
                (Some(claim), _) => self.file(claim, &chosen, &open).await?,
                (None, None) => {}
            }
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

    async fn file(&self, claim: &ClaimRef, chosen: &Chosen, open: &OpenPoint) -> anyhow::Result<()> {
        let root = claim.root(&chosen.repository, open).await?;
        match claim::node(open, &root, &self.what).await? {
            Some(node) if node.kind == NodeKind::File => Ok(open.reader.file(&node, &mut stdout()?).await?),
            other => {
                let what = other.map_or("dir", |node| node.kind.as_str());
                let what = format!("`{}` is not a file but a {what}", self.what);
                Err(Error::Usage { what, hint: "`holdfast point ls POINT --claim` lists directories" }.into())
            }
        }
    }
}

/// Standard output as a file: its errors are not kept back in a buffer.
fn stdout() -> std::io::Result<tokio::fs::File> {
    let descriptor = std::io::stdout().as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(descriptor.into()))
}
