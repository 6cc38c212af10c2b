//! From what a user calls a recovery point to the point: `APP/latest`, `APP/ID`, an id, or the beginning of one.

use futures::{StreamExt, TryStreamExt, stream};
use holdfast_protect::point::{self, PointSummary, Points};
use holdfast_vault::{Error as VaultError, Repository};

use crate::catalogue::Found;
use crate::error::Error;
use crate::session::Session;

/// How many repositories are searched at once for a point that is named without its application.
const SEARCHED_AT_ONCE: usize = 8;

/// A point as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PointRef {
    application: Option<String>,
    point: String,
}

impl std::str::FromStr for PointRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (application, point) = match text.split_once('/') {
            Some((application, point)) => (Some(application), point),
            None => (None, text),
        };
        if point.is_empty() || application == Some("") {
            return Err("use APP/latest, APP/POINT, a point's id or the beginning of it".to_owned());
        }
        if application.is_none() && point == "latest" {
            return Err("say of which application: APP/latest".to_owned());
        }
        Ok(Self { application: application.map(str::to_owned), point: point.to_owned() })
    }
}

impl std::fmt::Display for PointRef {
    /// As it was given.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.application {
            Some(application) => write!(f, "{application}/{}", self.point),
            None => f.write_str(&self.point),
        }
    }
}

impl PointRef {
    /// Whether it is the newest that is meant, whichever that is.
    pub(crate) fn is_latest(&self) -> bool {
        self.point == "latest"
    }
}

/// A point, and where it lies.
#[derive(Clone)]
pub(crate) struct Chosen {
    /// The application it belongs to, with its vault.
    pub(crate) found: Found,
    /// The repository that holds it.
    pub(crate) repository: Repository,
    /// The point.
    pub(crate) summary: PointSummary,
}

impl Found {
    /// The application's repository; none if no point has been made yet.
    pub(crate) async fn repository(&self) -> anyhow::Result<Option<Repository>> {
        match self.vault.tenant.open_repository(&self.application.id).await {
            Ok(repository) => Ok(Some(repository)),
            Err(VaultError::NotFound { .. }) => Ok(None),
            Err(error) => {
                Err(anyhow::Error::new(error).context(format!("application `{}`", self.application.name)))
            }
        }
    }

    /// The application's points; damaged ones are told as warnings.
    pub(crate) async fn points(&self, session: &Session) -> anyhow::Result<Option<(Repository, Points)>> {
        let Some(repository) = self.repository().await? else { return Ok(None) };
        let points = point::list(&repository).await?;
        for problem in &points.unreadable {
            session.warn(&problem.to_string());
        }
        Ok(Some((repository, points)))
    }

    /// The point of that id, beginning of an id, or `latest`.
    async fn point(self, session: &Session, text: &str) -> anyhow::Result<Chosen> {
        let Some((repository, points)) = self.points(session).await? else {
            let what = format!("application `{}` has no points yet", self.application.name);
            return Err(Error::NotReady { what, hint: "make one with `holdfast backup APP`" }.into());
        };
        let summary = points.find(text)?.clone();
        Ok(Chosen { found: self, repository, summary })
    }
}

impl Session {
    /// The point that a user names.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub(crate) async fn find_point(&self, wanted: &PointRef) -> anyhow::Result<Chosen> {
        match &wanted.application {
            Some(application) => self.find_application(application).await?.point(self, &wanted.point).await,
            None => self.search_point(&wanted.point).await,
        }
    }

    async fn search_point(&self, prefix: &str) -> anyhow::Result<Chosen> {
        let searches = self.applications().await?.into_iter().map(async |found| {
            let Some((repository, points)) = found.points(self).await? else { return anyhow::Ok(Vec::new()) };
            let matching = points.points.into_iter().filter(|point| point.id.as_str().starts_with(prefix));
            let chosen = |summary| Chosen { found: found.clone(), repository: repository.clone(), summary };
            Ok(matching.map(chosen).collect())
        });
        let chosen: Vec<Vec<Chosen>> =
            stream::iter(searches).buffered(SEARCHED_AT_ONCE).try_collect().await?;
        let mut chosen: Vec<Chosen> = chosen.into_iter().flatten().collect();
        match (chosen.pop(), chosen.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => {
                let hint = "`holdfast points APP` lists the points of an application";
                Err(Error::Unknown { what: "point", name: prefix.to_owned(), known: Vec::new(), hint }.into())
            }
            (last, _) => {
                let name = |c: &Chosen| format!("{}/{}", c.found.application.name, c.summary.id);
                let candidates = chosen.iter().chain(&last).map(name).collect();
                let what = format!("several points begin with `{prefix}`");
                Err(Error::Ambiguous { what, candidates, hint: "give more of the id" }.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_with_or_without_its_application() {
        let parse = |text: &str| text.parse::<PointRef>();
        let named = |application: Option<&str>, point: &str| PointRef {
            application: application.map(str::to_owned),
            point: point.to_owned(),
        };
        assert_eq!(parse("shop/latest"), Ok(named(Some("shop"), "latest")));
        assert_eq!(parse("20261122t"), Ok(named(None, "20261122t")));
        for wrong in ["", "latest", "shop/", "/latest"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
