//! Building programs with the Go toolchain from the registries it is set up with.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Part, failed};
use crate::error::{At, Error, Result};
use crate::report::Reporter;
use crate::{host, tool};

/// Strips symbol tables: the programs are half the size.
const LINKER_FLAGS: &str = "-s -w";

/// One build in a directory of its own: `src/` for go.mod files of ours, `out/` for what is kept.
pub(super) struct Build<'a> {
    part: &'a Part,
    go: PathBuf,
    work: PathBuf,
    log: PathBuf,
    what: &'a str,
    report: &'a Reporter,
}

impl<'a> Build<'a> {
    pub(super) fn new(
        part: &'a Part,
        work: &Path,
        log: PathBuf,
        what: &'a str,
        report: &'a Reporter,
    ) -> Result<Self> {
        for dir in ["src", "out/bin", "out/share"] {
            let dir = work.join(dir);
            std::fs::create_dir_all(&dir).at("create", &dir)?;
        }
        if log.exists() {
            std::fs::remove_file(&log).at("remove", &log)?;
        }
        Ok(Self { part, go: host::go()?, work: work.to_owned(), log, what, report })
    }

    /// Directory for a go.mod of ours.
    pub(super) fn src(&self) -> PathBuf {
        self.work.join("src")
    }

    /// Directory of the programs.
    pub(super) fn bin(&self) -> PathBuf {
        self.work.join("out/bin")
    }

    /// The finished directory, made of `bin/` and `share/`.
    pub(super) fn finish(&self) -> Result<PathBuf> {
        let out = self.work.join("out");
        for dir in ["bin", "share"].map(|dir| out.join(dir)) {
            if std::fs::read_dir(&dir).at("list", &dir)?.next().is_some() {
                return Ok(out);
            }
        }
        Err(failed(self.part, &self.log))
    }

    /// Directory of the files that come with the programs.
    pub(super) fn share(&self) -> PathBuf {
        self.work.join("out/share")
    }

    /// A `go` command in [`Self::src`], without C.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.go);
        command.current_dir(self.src()).env("CGO_ENABLED", "0").env("GOBIN", self.bin());
        command
    }

    /// Runs a `go` command that may take minutes.
    pub(super) fn go(&self, args: &[&str], env: &[(&str, &str)]) -> Result<()> {
        let mut command = self.command();
        self.run(command.args(args).envs(env.iter().copied()))
    }

    /// Runs a command that may take minutes.
    pub(super) fn run(&self, command: &mut Command) -> Result<()> {
        let status = tool::long(command, &self.log, self.what, self.report)?;
        if status.success() { Ok(()) } else { Err(failed(self.part, &self.log)) }
    }

    /// `go install` of packages of the part's module.
    pub(super) fn install(&self, packages: &[&str]) -> Result<()> {
        let version = format!("@v{}", self.part.version());
        let mut args = vec!["install".into(), "-trimpath".into(), "-ldflags".into(), LINKER_FLAGS.to_owned()];
        args.extend(packages.iter().map(|package| self.path_of(package) + &version));
        self.go(&args.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    }

    /// `go build` of packages of a module that cannot be installed because its go.mod replaces others.
    pub(super) fn wrapped(&self, packages: &[&str], extra: &[(&str, &str)]) -> Result<()> {
        self.require(extra)?;
        let paths: Vec<String> = packages.iter().map(|package| self.path_of(package)).collect();
        let imports: String = paths.iter().map(|path| format!("import _ \"{path}\"\n")).collect();
        self.write("tools.go", &format!("//go:build tools\n\npackage main\n\n{imports}"))?;
        self.compile(&paths)
    }

    /// `go build` of a program of ours that uses the module; it is called like the part.
    pub(super) fn around(&self, main: &str) -> Result<()> {
        self.require(&[])?;
        self.write("main.go", main)?;
        self.compile(&[".".to_owned()])
    }

    /// A go.mod that requires the module, and what its own says besides.
    fn require(&self, extra: &[(&str, &str)]) -> Result<()> {
        let module = self.source(self.part.module())?;
        let go_mod = module.join("go.mod");
        let original = std::fs::read_to_string(&go_mod).at("read", &go_mod)?;
        let mut ours = format!("module testbed/{}\n", self.part.name());
        let _ = writeln!(ours, "{}", go_line(&original));
        let _ = writeln!(ours, "require {} v{}", self.part.module(), self.part.version());
        for (name, version) in extra {
            let _ = writeln!(ours, "require {name} {version}");
        }
        for replace in replacements(&original) {
            let _ = writeln!(ours, "replace {replace}");
        }
        self.write("go.mod", &ours)?;
        let sums = module.join("go.sum");
        self.write("go.sum", &std::fs::read_to_string(&sums).at("read", &sums)?)
    }

    fn compile(&self, paths: &[String]) -> Result<()> {
        let out = format!("{}/", self.bin().display());
        let mut args = vec!["build", "-trimpath", "-ldflags", LINKER_FLAGS, "-o", &out];
        args.extend(paths.iter().map(String::as_str));
        self.go(&args, &[("GOFLAGS", "-mod=mod -buildvcs=false")])
    }

    /// Joins files of the part's module into one of `share/`, as YAML documents.
    pub(super) fn join_files(&self, name: &str, files: &[&str]) -> Result<()> {
        let module = self.source(self.part.module())?;
        let mut joined = String::new();
        for file in files {
            let path = module.join(file);
            joined.push_str("---\n");
            joined.push_str(&std::fs::read_to_string(&path).at("read", &path)?);
            joined.push('\n');
        }
        let path = self.share().join(name);
        std::fs::write(&path, joined).at("write", path)
    }

    /// Downloads a module at the part's version and gives the directory of its source.
    pub(super) fn source(&self, module: &str) -> Result<PathBuf> {
        let mut command = self.command();
        command.args(["mod", "download", "-json", &format!("{module}@v{}", self.part.version())]);
        let said = tool::output(&mut command)?;
        let parsed: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        parsed["Dir"].as_str().map(PathBuf::from).ok_or_else(|| Error::Command {
            command: tool::line(&command),
            status: "no Dir in its answer".into(),
            output: said,
        })
    }

    /// Writes a file of ours beside go.mod.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.src().join(name);
        std::fs::write(&path, content).at("write", path)
    }

    fn path_of(&self, package: &str) -> String {
        let module = self.part.module();
        if package.is_empty() { module.to_owned() } else { format!("{module}/{package}") }
    }
}

/// The `go` line of a go.mod.
pub(super) fn go_line(go_mod: &str) -> &str {
    go_mod.lines().find(|line| line.starts_with("go ")).unwrap_or("go 1.26")
}

/// The replacements of a go.mod that name another module rather than a directory beside it.
pub(super) fn replacements(go_mod: &str) -> Vec<&str> {
    all_replacements(go_mod).filter(|line| !line.contains("=> .")).collect()
}

/// Every replacement of a go.mod, as `OLD => NEW`, in one line or in a block.
pub(super) fn all_replacements(go_mod: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    go_mod.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with("replace (") {
            inside = true;
        } else if line == ")" {
            inside = false;
        } else if let Some(single) = line.strip_prefix("replace ") {
            return Some(single);
        } else if inside && line.contains("=>") {
            return Some(line);
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_read_from_lines_and_blocks() {
        let go_mod = "module x\n\ngo 1.25.0\n\nrequire (\n\ta v1\n)\nreplace a => b v2\nreplace (\n\tc => ./c\n\td => e v3 // why\n)\n";
        assert_eq!(replacements(go_mod), ["a => b v2", "d => e v3 // why"]);
        assert_eq!(all_replacements(go_mod).count(), 3);
        assert_eq!(go_line(go_mod), "go 1.25.0");
    }
}
