//! Programs that come as a package of npm.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::Part;
use super::go::Build;
use crate::error::{At, Error, Result};
use crate::tool;

/// Installs the part's package below `share/`, without running any script of its dependencies, and links `program` to
/// its `file`.
pub(super) fn install(build: &Build<'_>, part: &Part, program: &str, file: &str) -> Result<()> {
    for tool in ["node", "npm"] {
        tool::find(tool).ok_or_else(|| missing(tool, part))?;
    }
    let mut command = Command::new("npm");
    command.args([
        "install",
        "--ignore-scripts",
        "--omit=dev",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
    ]);
    command.arg("--prefix").arg(build.share()).arg(format!("{}@{}", part.module(), part.version()));
    build.run(&mut command)?;
    let (target, link) =
        (Path::new("../share/node_modules").join(part.module()).join(file), build.bin().join(program));
    symlink(target, &link).at("link", link)
}

fn missing(tool: &str, part: &Part) -> Error {
    let hint = format!(
        "{part} is a package of npm and runs with Node.js 18 or newer: `apt-get install nodejs npm` on Debian, \
         or put both on PATH"
    );
    Error::MissingTool { tool: tool.into(), hint }
}
