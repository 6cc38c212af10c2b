//! Running a program of the machine to its end.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::error::{At, Error, Result};
use crate::report::{Event, Reporter};

/// How often a long command is reported as still running.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Runs `program` with `args` and gives its standard output.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args);
    output(&mut command)
}

/// Runs `command` and gives its standard output; a failure carries what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output().at("run", command.get_program())?;
    finished(&line(command), done)
}

/// Turns an ended program into its output or an error.
pub(crate) fn finished(command: &str, done: Output) -> Result<String> {
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let mut said = String::from_utf8_lossy(&done.stderr).into_owned();
    said.push_str(&String::from_utf8_lossy(&done.stdout));
    Err(Error::Command {
        command: command.to_owned(),
        status: done.status.to_string(),
        output: tail_of(&said, 20),
    })
}

/// Variables that send a program of ours to a proxy which knows no way into the machine's network namespaces.
pub(crate) const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The command line of `command`, as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs a command that takes long with its output in `log`, reporting every 15 s that it still runs.
pub(crate) fn long(command: &mut Command, log: &Path, what: &str, report: &Reporter) -> Result<ExitStatus> {
    let file = File::options().create(true).append(true).open(log).at("open", log)?;
    let errors = file.try_clone().at("open", log)?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    let mut child = command.spawn().at("run", command.get_program())?;
    let (sender, ended) = mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(child.wait()));
    let begun = Instant::now();
    loop {
        match ended.recv_timeout(HEARTBEAT) {
            Ok(status) => return status.at("wait for", command.get_program()),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                report.event(Event::Running { what, elapsed: begun.elapsed() });
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Error::Interrupted { what: "a build" });
            }
        }
    }
}

/// Runs work that blocks off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Interrupted { what }))
}

/// Where `program` is on the search path (with the directories of an administrator), if anywhere.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/go/bin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The last `lines` lines of a file, or a word about why there are none.
pub(crate) fn tail(file: &Path, lines: usize) -> String {
    match std::fs::read(file) {
        Ok(bytes) => tail_of(&String::from_utf8_lossy(&bytes), lines),
        Err(error) => format!("(no log: {error})"),
    }
}

fn tail_of(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = run("sh", &["-c", "echo no such thing >&2; exit 3"]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh -c") && text.contains("no such thing"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        assert_eq!(tail_of("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail_of("", 2), "");
    }
}
