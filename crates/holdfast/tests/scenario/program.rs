//! The program under test, with a home, a vault and credentials of one scenario.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::stand::{self, Stand};

/// One scenario's way to run `holdfast`.
pub struct Program {
    name: String,
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// Address of the scenario's vault.
    pub vault_url: String,
    /// Endpoint of the S3 server, as the program is told; empty for a vault in a directory.
    pub endpoint: String,
}

/// What a run of the program printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// The standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

impl Program {
    /// A program with an empty home and a bucket of its own.
    pub fn new(stand: &Stand, name: &str) -> Self {
        let bucket = format!("{name}-vault");
        stand.block_on(stand.s3.bucket(&bucket)).expect("a bucket");
        let home = tempfile::Builder::new().prefix(name).tempdir().expect("a home");
        let kubeconfig = std::env::join_paths([stand.a.kubeconfig(), stand.b.kubeconfig()]).expect("paths");
        let environment = vec![
            ("KUBECONFIG".to_owned(), kubeconfig.to_string_lossy().into_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), stand.s3.access_key().to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), stand.s3.secret_key().to_owned()),
        ];
        Self {
            name: name.to_owned(),
            home,
            environment,
            vault_url: format!("s3://{bucket}/dr"),
            endpoint: stand.s3.endpoint(),
        }
    }

    /// Another value for a variable of the program's environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(existing, _)| existing != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A path in the scenario's home directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The command with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg("--home").arg(self.path("home")).args(arguments).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // With it the program reads its own debugging information, which is larger than itself.
        command.env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs it to its end, whatever that is.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("the program starts");
        let said = Said {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        };
        stand::evidence(&self.name, &format!("$ holdfast {}\n{said:#?}\n", arguments.join(" ")));
        said
    }

    /// Runs it and expects exit code 0.
    pub fn ok(&self, arguments: &[&str]) -> Said {
        self.expect(0, arguments)
    }

    /// Runs it and expects this exit code.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "holdfast {}\n{}\n{}", arguments.join(" "), said.stdout, said.stderr);
        said
    }

    /// Starts it without waiting, its output kept in files of the evidence.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(stand::evidence_file(&self.name))
            .expect("the evidence file");
        let mut command = self.command(arguments);
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        command.spawn().expect("the program starts")
    }

    /// Makes the scenario's vault, named `main`.
    pub fn init_vault(&self) {
        let key = self.path("recovery.key");
        let key = key.to_str().expect("a path in UTF-8");
        let mut arguments = vec!["vault", "init", "main", "--url", &self.vault_url, "--recovery-key", key];
        if !self.endpoint.is_empty() {
            arguments.extend(["--endpoint", &self.endpoint]);
        }
        self.ok(&arguments);
    }

    /// Protects an application by its manifest.
    pub fn add(&self, name: &str, manifest: &str) {
        let path = self.path(&format!("{name}.yaml"));
        std::fs::write(&path, manifest).expect("the manifest");
        self.ok(&["app", "add", name, "-f", path.to_str().expect("a path in UTF-8")]);
    }

    /// Ids of all runs so far, killed ones too, as they are named in what the program printed.
    pub fn runs(&self) -> Vec<String> {
        let said = std::fs::read_to_string(stand::evidence_file(&self.name)).unwrap_or_default();
        let id = |word: &&str| word.len() == 22 && word.starts_with("20") && word.as_bytes()[15] == b'-';
        let mut runs: Vec<String> = said
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter(id)
            .map(str::to_owned)
            .collect();
        runs.sort();
        runs.dedup();
        runs
    }

    /// Environment for the stock `restic` on an application's repository.
    pub fn restic(&self, application: &str, arguments: &[&str]) -> Said {
        let exports = self.ok(&["vault", "restic-env", application]).stdout;
        let mut command = Command::new(stand::restic());
        command.args(arguments).arg("--no-cache").stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        for (name, value) in exports.lines().filter_map(|l| l.trim().strip_prefix("export ")?.split_once('='))
        {
            command.env(name, value.trim_matches(['\'', '"']));
        }
        let Output { status, stdout, stderr } = command.output().expect("restic starts");
        let said = Said {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        };
        assert_eq!(said.code, 0, "restic {}: {said:#?}", arguments.join(" "));
        said
    }
}
