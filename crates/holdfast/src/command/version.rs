//! `holdfast version`: this program and the formats that it reads and writes.

use holdfast_model::point::POINT_FORMAT;
use holdfast_model::{Outcome, label};
use serde::Serialize;

use crate::output::Details;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: &'static str,
    api_version: &'static str,
    point_format: u32,
    repository_format: &'static str,
    platform: String,
}

pub(super) fn run(session: &Session) -> anyhow::Result<Outcome> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        api_version: label::API_VERSION,
        point_format: POINT_FORMAT,
        repository_format: "restic v2",
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    session.output.show(&version, |view| {
        let mut details = Details::new();
        details
            .field("Version", version.version)
            .field("Manifests", version.api_version)
            .field("Recovery points", version.point_format)
            .field("Repository", version.repository_format)
            .field("Platform", &version.platform);
        details.render(view)
    })?;
    Ok(Outcome::Completed)
}
