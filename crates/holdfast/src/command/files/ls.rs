//! `holdfast files ls`: the volumes of a point, or files of one of them.

use std::path::{Path, PathBuf};

use clap::Args;
use holdfast_model::point::Point;
use holdfast_model::{Outcome, Problem};
use holdfast_protect::point;
use holdfast_vault::{BlobId, Node};
use holdfast_volume::files::{self, Found, Selection};
use holdfast_volume::mover::Wanted;

use super::listing::Listing;
use super::wanted::PathArg;
use crate::output::amount::{count, size};
use crate::output::{Column, Table, View};
use crate::points::PointRef;
use crate::session::Session;
use crate::volumes::{self, ClaimRef, OpenVolume};
use crate::{interrupt, render};

/// Lists files.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// The volume; without, the volumes that there are
    #[arg(value_name = "NAMESPACE/CLAIM")]
    claim: Option<ClaimRef>,

    /// A file or directory of the volume, or a pattern: *, ? and [..] within a name, ** for any directories
    #[arg(value_name = "PATH", requires = "claim")]
    path: Option<PathBuf>,

    /// List directories with everything below them
    #[arg(short = 'R', long, requires = "claim")]
    recursive: bool,
}

impl Ls {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        interrupt::query(async || match &self.claim {
            None => self.volumes(session).await,
            Some(claim) => {
                let volume = session.open_volume(&self.point, claim).await?;
                self.files(session, &volume).await
            }
        })
    }

    async fn volumes(&self, session: &Session) -> anyhow::Result<Outcome> {
        let chosen = session.find_point(&self.point).await?;
        let open = point::open(&chosen.repository, &chosen.summary).await?;
        session.output.show(&open.point.volumes, |view| volume_table(&open.point, view))?;
        Ok(Outcome::Completed)
    }

    async fn files(&self, session: &Session, volume: &OpenVolume) -> anyhow::Result<Outcome> {
        let path = PathArg::from(self.path.as_deref().unwrap_or(Path::new("")));
        let mut walk = Walk { volume, listing: Listing::new(&session.output), problems: Vec::new() };
        match (path.resolve(volume).await?, volume.entry(path.bytes()).await?) {
            (_, Some(Node { subtree: Some(tree), .. })) => {
                walk.directory(path.bytes(), &tree, self.recursive).await?;
            }
            (_, Some(file)) => walk.listing.row(path.bytes(), &file)?,
            (Wanted::Pattern(pattern), None) => walk.pattern(&pattern, self.recursive).await?,
            (Wanted::Path(_), None) => {}
        }
        walk.listing.end()?;
        for problem in &walk.problems {
            session.warn(&problem.to_string());
        }
        Ok(Outcome::of(&walk.problems))
    }
}

/// A list of files under way.
struct Walk<'w> {
    volume: &'w OpenVolume,
    listing: Listing<'w>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    /// What is in a directory: by name, or with what is below it by path.
    async fn directory(&mut self, path: &[u8], tree: &BlobId, deep: bool) -> anyhow::Result<()> {
        let mut all = Selection::default();
        all.add_path(b"");
        let above = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let above: Vec<u8> = above.flat_map(|name| [b"/", name].concat()).chain(*b"/").collect();
        let prefix = if deep { above } else { Vec::new() };
        self.walk(&prefix, tree, &all, deep).await
    }

    async fn pattern(&mut self, pattern: &str, deep: bool) -> anyhow::Result<()> {
        let mut selection = Selection::default();
        selection.add_pattern(pattern)?;
        let tree = self.volume.stored.tree;
        self.walk(b"/", &tree, &selection, deep).await
    }

    async fn walk(
        &mut self,
        prefix: &[u8],
        tree: &BlobId,
        selection: &Selection,
        deep: bool,
    ) -> anyhow::Result<()> {
        let (listing, problems) = (&mut self.listing, &mut self.problems);
        let each = |found: Found<'_>| -> anyhow::Result<()> {
            match found {
                Found::Entry { path, node } => listing.row(&[prefix, path].concat(), node)?,
                Found::Unreadable { path, reason } => {
                    let path = String::from_utf8_lossy(&[prefix, path].concat()).into_owned();
                    let problem = Problem::new("file.damaged", path, format!("cannot be listed: {reason}"));
                    problems.push(problem.hint("run `holdfast vault check`; another point may hold it"));
                }
            }
            Ok(())
        };
        files::find(&self.volume.open.reader, tree, selection, deep, each).await
    }
}

fn volume_table(point: &Point, view: &View) -> String {
    let mut table = Table::new([
        Column::new("CLAIM"),
        Column::new("SIZE"),
        Column::new("ENTRIES"),
        Column::new("READ FROM"),
        Column::wide("SNAPSHOT"),
    ]);
    for volume in &point.volumes {
        table.row([
            volumes::name(volume).into(),
            size(volume.bytes).into(),
            count(volume.entries).into(),
            render::method(volume).into(),
            (&volume.snapshot).into(),
        ]);
    }
    table.render(view)
}
