//! `holdfast point ls`: the objects of a point, or the files of one of its volumes.

use clap::Args;
use futures::{StreamExt, pin_mut};
use holdfast_model::{Outcome, Problem};
use holdfast_protect::point::{self, ObjectEntry, OpenPoint};
use holdfast_vault::{Node, NodeKind};
use jiff::Timestamp;
use serde::Serialize;

use super::claim::{self, ClaimRef};
use crate::interrupt;
use crate::output::amount::size;
use crate::output::{Column, Table, View};
use crate::points::{Chosen, PointRef};
use crate::session::Session;

/// Lists what is in a point.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// Only objects of this namespace
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "claim")]
    namespace: Option<String>,

    /// Only objects of this kind, e.g. `secrets` or `deployments.apps`
    #[arg(short, long, value_name = "KIND", conflicts_with = "claim")]
    kind: Option<String>,

    /// Files of this volume instead of objects
    #[arg(long, value_name = "NAMESPACE/CLAIM")]
    claim: Option<ClaimRef>,

    /// Directory within the volume
    #[arg(value_name = "PATH", requires = "claim", default_value = "", hide_default_value = true)]
    path: String,
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileRow {
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    modified: Timestamp,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Ls {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        interrupt::query(async || {
            let chosen = session.find_point(&self.point).await?;
            let open = point::open(&chosen.repository, &chosen.summary).await?;
            match &self.claim {
                Some(claim) => self.files(session, claim, &chosen, &open).await,
                None => self.objects(session, &open).await,
            }
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

    async fn files(
        &self,
        session: &Session,
        claim: &ClaimRef,
        chosen: &Chosen,
        open: &OpenPoint,
    ) -> anyhow::Result<Outcome> {
        let root = claim.root(&chosen.repository, open).await?;
        let nodes = match claim::node(open, &root, &self.path).await? {
            None => open.reader.tree(&root).await?.nodes.clone(),
            Some(Node { subtree: Some(tree), .. }) => open.reader.tree(&tree).await?.nodes.clone(),
            Some(file) => vec![file],
        };
        let rows: Vec<FileRow> = nodes.iter().map(FileRow::of).collect();
        session.output.show(&rows, |view| file_table(&rows, view))?;
        Ok(Outcome::Completed)
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

impl FileRow {
    fn of(node: &Node) -> Self {
        let target = String::from_utf8_lossy(&node.link_target).into_owned();
        Self {
            mode: mode(node),
            uid: node.uid,
            gid: node.gid,
            size: node.size,
            modified: node.mtime,
            name: node.display_name().into_owned(),
            target: (node.kind == NodeKind::Symlink).then_some(target),
        }
    }
}

/// Kind and permissions as `ls -l` writes them.
fn mode(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::File => '-',
        NodeKind::Dir => 'd',
        NodeKind::Symlink => 'l',
        NodeKind::Device => 'b',
        NodeKind::CharDevice => 'c',
        NodeKind::Fifo => 'p',
        NodeKind::Socket => 's',
        NodeKind::Irregular => '?',
    };
    let bits = node.mode.permissions();
    let mut text = String::from(kind);
    // Per class: its three bits, the special bit that shows in its place of execution, and its letters.
    for (shift, special, letters) in [(6, 0o4000, "sS"), (3, 0o2000, "sS"), (0, 0o1000, "tT")] {
        let has = |bit: u32| bits >> shift & bit != 0;
        text.push(if has(4) { 'r' } else { '-' });
        text.push(if has(2) { 'w' } else { '-' });
        text.push(match (bits & special != 0, has(1)) {
            (true, executable) => letters.chars().nth(usize::from(!executable)).unwrap_or('-'),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
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

fn file_table(rows: &[FileRow], view: &View) -> String {
    let mut table = Table::new([
        Column::new("MODE"),
        Column::new("OWNER"),
        Column::new("SIZE"),
        Column::new("MODIFIED"),
        Column::new("NAME"),
    ]);
    for row in rows {
        let name = match &row.target {
            Some(target) => format!("{} -> {target}", row.name),
            None => row.name.clone(),
        };
        table.row([
            (&row.mode).into(),
            format!("{}:{}", row.uid, row.gid).into(),
            size(row.size).into(),
            row.modified.strftime("%Y-%m-%d %H:%M:%S").into(),
            name.into(),
        ]);
    }
    table.render(view)
}

#[cfg(test)]
mod tests {
    use holdfast_model::ResourceType;
    use holdfast_vault::Mode;

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

    #[test]
    fn modes_are_written_as_ls_does() {
        let written = |kind, st_mode| {
            let mut node = Node::new("x", kind);
            node.mode = Mode::from_unix(st_mode);
            mode(&node)
        };
        assert_eq!(written(NodeKind::File, 0o100644), "-rw-r--r--");
        assert_eq!(written(NodeKind::Dir, 0o041777), "drwxrwxrwt");
        assert_eq!(written(NodeKind::File, 0o104755), "-rwsr-xr-x");
        assert_eq!(written(NodeKind::File, 0o102640), "-rw-r-S---");
        assert_eq!(written(NodeKind::Symlink, 0o120777), "lrwxrwxrwx");
    }
}
