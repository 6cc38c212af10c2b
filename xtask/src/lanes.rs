//! Test programs run in two lanes side by side: the one with the scenarios of the whole product, and all others in turn.
//!
//! Most of a scenario is waiting for clusters, and so is most of the other tests. One after the other they would
//! leave processors idle for minutes; more than two at once would be more clusters than the machine has memory for.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use crate::workspace::cargo;

/// The program with the longest tests, which has a lane of its own.
const LONGEST: &str = "scenario";

/// The program whose tests look at what is left on the machine: others would leave something there meanwhile.
const ALONE: &str = "leftovers";

/// A built test program.
#[derive(Debug, Clone)]
pub struct TestProgram {
    /// What it is called: `package target`.
    name: String,
    executable: PathBuf,
    /// Where its package lies, and its tests run.
    package: PathBuf,
}

/// What cargo says of something that it has built.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    profile: Profile,
}

#[derive(Deserialize, Default)]
struct Target {
    name: String,
}

#[derive(Deserialize, Default)]
struct Profile {
    test: bool,
}

impl TestProgram {
    /// All test programs of the workspace; what is not built yet is built.
    pub fn all() -> Result<Vec<Self>> {
        let mut command = cargo(&["test", "--workspace", "--no-run", "--quiet", "--message-format=json"]);
        let done = command.stderr(Stdio::inherit()).output().context("cannot start `cargo test --no-run`")?;
        ensure!(done.status.success(), "`cargo test --no-run` ended with {}", done.status);
        Self::among(&done.stdout)
    }

    /// The test programs among what cargo says that it has built, one JSON object a line.
    fn among(said: &[u8]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for line in said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let artifact: Artifact =
                serde_json::from_slice(line).context("cargo said something unexpected")?;
            all.extend(Self::of(artifact));
        }
        Ok(all)
    }

    fn of(artifact: Artifact) -> Option<Self> {
        let is_test = artifact.reason == "compiler-artifact" && artifact.profile.test;
        let executable = artifact.executable.filter(|_| is_test)?;
        let package = artifact.manifest_path.parent()?.to_owned();
        let of = package.file_name().unwrap_or_default().to_string_lossy();
        Some(Self { name: format!("{of} {}", artifact.target.name), executable, package })
    }

    fn is(&self, target: &str) -> bool {
        self.name.rsplit(' ').next() == Some(target)
    }

    /// Runs all its tests. Each line that it prints is shown at once, behind its name.
    fn run(&self, environment: &[(&str, PathBuf)], arguments: &[String]) -> Result<Outcome> {
        let begun = Instant::now();
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package);
        command.args(arguments).envs(environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().with_context(|| format!("cannot start the tests of {}", self.name))?;
        let (out, error) = (child.stdout.take(), child.stderr.take());
        let counts = std::thread::scope(|threads| {
            threads.spawn(|| error.map(|lines| self.show(lines)));
            out.map(|lines| self.show(lines)).unwrap_or_default()
        });
        let status = child.wait().with_context(|| format!("cannot wait for the tests of {}", self.name))?;
        let verdict = if status.success() { "passed".to_owned() } else { format!("FAILED ({status})") };
        println!("{}: {verdict} in {:.1} s", self.name, begun.elapsed().as_secs_f64());
        let failed = if status.success() { Vec::new() } else { vec![self.name.clone()] };
        Ok(Outcome { counts, failed })
    }

    /// Shows all lines, and adds up what they count.
    fn show(&self, output: impl Read) -> Counts {
        let mut output = BufReader::new(output);
        let (mut line, mut counts) = (Vec::new(), Counts::default());
        // What a test prints need not be UTF-8.
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            println!("{}: {}", self.name, text.trim_end());
            counts += Counts::of(&text);
            line.clear();
        }
        counts
    }
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// What the last line of a test program counts; nothing if it is another line.
    fn of(line: &str) -> Self {
        let Some(counted) = line.strip_prefix("test result: ") else { return Self::default() };
        let count = |what: &str| {
            let before = counted.split(['.', ';']).find_map(|part| part.trim().strip_suffix(what));
            before.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
        };
        Self { passed: count("passed"), failed: count("failed"), ignored: count("ignored") }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// What came of test programs.
#[derive(Debug, Default)]
struct Outcome {
    counts: Counts,
    /// The programs that failed.
    failed: Vec<String>,
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.counts += other.counts;
        self.failed.extend(other.failed);
    }
}

/// Runs all programs; every one that failed is named, after all have run. The last line counts their tests.
pub fn run(programs: &[TestProgram], environment: &[(&str, PathBuf)], arguments: &[String]) -> Result<()> {
    let (alone, shared): (Vec<_>, Vec<_>) = programs.iter().partition(|program| program.is(ALONE));
    let (longest, others): (Vec<_>, Vec<_>) = shared.into_iter().partition(|program| program.is(LONGEST));
    let lane = |programs: Vec<&TestProgram>| -> Result<Outcome> {
        let mut all = Outcome::default();
        for program in programs {
            all.add(program.run(environment, arguments)?);
        }
        Ok(all)
    };
    let Outcome { counts, failed } = std::thread::scope(|threads| {
        let beside = threads.spawn(|| lane(longest));
        let mut all = lane(others)?;
        all.add(beside.join().map_err(|_| anyhow!("the lane of `{LONGEST}` has died"))??);
        all.add(lane(alone)?);
        Ok::<_, anyhow::Error>(all)
    })?;
    println!("\n{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.ignored);
    ensure!(failed.is_empty(), "tests failed in: {}", failed.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_that_cargo_built_only_test_programs_are_run() {
        let artifact = |executable: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/crates/vault/Cargo.toml","target":{{"name":"damage"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let said = [
            artifact(r#""/t/damage-1""#, true),
            artifact(r#""/t/program""#, false),
            artifact("null", true),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let found = TestProgram::among(said.join("\n").as_bytes()).unwrap();
        let [program] = &found[..] else { panic!("{found:?}") };
        assert_eq!(program.name, "vault damage");
        assert_eq!(program.package, PathBuf::from("/w/crates/vault"));
        assert!(TestProgram::among(b"error: nothing").is_err());
    }

    #[test]
    fn tests_are_counted_by_the_last_line_of_their_program() {
        let line = "test result: FAILED. 40 passed; 2 failed; 6 ignored; 0 measured; 0 filtered out; finished in 1.5s\n";
        assert_eq!(Counts::of(line), Counts { passed: 40, failed: 2, ignored: 6 });
        assert_eq!(Counts::of("test killed::a_backup ... ok"), Counts::default());
    }

    #[test]
    fn a_program_that_fails_is_named_and_the_others_run() {
        let directory = std::env::temp_dir();
        let program = |name: &str, executable: &str| TestProgram {
            name: name.to_owned(),
            executable: executable.into(),
            package: directory.clone(),
        };
        let programs = [
            program("a leftovers", "/bin/false"),
            program("a scenario", "/bin/false"),
            program("b", "/bin/true"),
            program("c", "/bin/false"),
        ];
        let error = run(&programs, &[], &[]).unwrap_err().to_string();
        assert_eq!(error, "tests failed in: c, a scenario, a leftovers");
        assert!(run(&programs[2..3], &[], &[]).is_ok());
    }
}
