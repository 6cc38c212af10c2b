//! `holdfast point ls`: the objects of a point.

use clap::Args;
use futures::{StreamExt, pin_mut};
use holdfast_model::{Outcome, Problem};
use holdfast_protect::point::{self, ObjectEntry, OpenPoint};
use serde::Serialize;

use crate::interrupt;
use crate::output::amount::size;
use crate::output::{Column, Table, View};
use crate::points::PointRef;
use crate::session::Session;

/// Lists what is in a point.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// Only objects of this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Only objects of this kind, e.g. `secrets` or `deployments.apps`
    #[arg(short, long, value_name = "KIND")]
    kind: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRow {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    size: u64,
    path: String,
}

impl Ls {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        interrupt::query(async || {
            let chosen = session.find_point(&self.point).await?;
            let open = point::open(&chosen.repository, &chosen.summary).await?;
            self.objects(session, &open).await
        })
    }

    async fn objects(&self, session: &Session, open: &OpenPoint) -> anyhow::Result<Outcome> {
        let (mut rows, mut problems): (Vec<ObjectRow>, Vec<Problem>) = (Vec::new(), Vec::new());
        let objects = open.objects();
        pin_mut!(objects);
        while let Some(found) = objects.next().await {
            match found {
                Ok(entry) if self.takes(&entry) => rows.push(ObjectRow::of(entry)),
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        rows.sort_by(|a, b| (&a.kind, &a.namespace, &a.name).cmp(&(&b.kind, &b.namespace, &b.name)));
        session.output.show(&rows, |view| object_table(&rows, view))?;
        for problem in &problems {
            session.warn(&problem.to_string());
        }
        Ok(Outcome::of(&problems))
    }

    fn takes(&self, entry: &ObjectEntry) -> bool {
        let of_namespace = self.namespace.is_none() || self.namespace == entry.namespace;
        of_namespace && self.kind.as_deref().is_none_or(|kind| is_called(&entry.resource, kind))
    }
}

/// Whether a user may call a type so: plural, kind or either with its group, as kubectl has it.
pub(super) fn is_called(resource: &holdfast_model::ResourceType, name: &str) -> bool {
    let name = name.to_lowercase();
    let kind = resource.kind.to_lowercase();
    let with_group = |word: &str| format!("{word}.{}", resource.group);
    [&resource.plural, &kind, &with_group(&resource.plural), &with_group(&kind)]
        .into_iter()
        .any(|known| *known == name)
}

impl ObjectRow {
    fn of(entry: ObjectEntry) -> Self {
        let name = entry.name.clone().unwrap_or_else(|| entry.file().to_owned());
        Self {
            kind: entry.resource.plural_group(),
            namespace: entry.namespace,
            name,
            size: entry.size,
            path: entry.path,
        }
    }
}

fn object_table(rows: &[ObjectRow], view: &View) -> String {
    let mut table = Table::new([
        Column::new("KIND"),
        Column::new("NAMESPACE"),
        Column::new("NAME"),
        Column::new("SIZE"),
        Column::wide("PATH"),
    ]);
    for row in rows {
        table.row([
            (&row.kind).into(),
            row.namespace.as_deref().unwrap_or("-").into(),
            (&row.name).into(),
            size(row.size).into(),
            (&row.path).into(),
        ]);
    }
    table.render(view)
}

#[cfg(test)]
mod tests {
    use holdfast_model::ResourceType;

    use super::*;

    #[test]
    fn kinds_are_called_as_kubectl_has_it() {
        let resource = ResourceType {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            plural: "deployments".into(),
            namespaced: true,
        };
        for name in ["deployments", "Deployment", "deployment.apps", "deployments.apps"] {
            assert!(is_called(&resource, name), "{name}");
        }
        assert!(!is_called(&resource, "deployments.extensions"));
    }
}
