//! All of Kubernetes and etcd as one program that answers to many names.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;

use super::go::{Build, all_replacements, go_line};
use crate::error::{At, Error, Result};

/// The names the program answers to.
const COMPONENTS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

/// Our main package: picks the component by the name it is called by.
const MAIN: &str = include_str!("../../assets/kubernetes/main.go.txt");

/// Builds Kubernetes `version` (as in `1.36.3`) with links for its components.
pub(super) fn build(build: &Build<'_>, version: &str) -> Result<()> {
    let (major, rest) = version.split_once('.').ok_or_else(|| bad_version(version))?;
    let minor = rest.split('.').next().unwrap_or_default();
    let module = build.source("k8s.io/kubernetes")?.join("go.mod");
    let original = std::fs::read_to_string(&module).at("read", &module)?;
    build.write("main.go", MAIN)?;
    build.write("go.mod", &go_mod(&original, version, rest))?;
    build.go(&["mod", "tidy"], &[])?;
    let v = "k8s.io/component-base/version";
    let flags = format!("-s -w -X {v}.gitVersion=v{version} -X {v}.gitMajor={major} -X {v}.gitMinor={minor}");
    let out = build.bin().join("kube");
    let out_path = out.to_string_lossy();
    build.go(&["build", "-trimpath", "-ldflags", &flags, "-o", &out_path, "."], &[])?;
    for name in COMPONENTS {
        let link = build.bin().join(name);
        symlink("kube", &link).at("link", link)?;
    }
    Ok(())
}

/// Requires Kubernetes; its staging directories become the modules of the same release.
fn go_mod(original: &str, version: &str, rest: &str) -> String {
    let mut ours =
        format!("module kube\n{}\nrequire k8s.io/kubernetes v{version}\nreplace (\n", go_line(original));
    for line in all_replacements(original).filter(|line| line.contains("=> ./staging")) {
        if let Some(name) = line.split_whitespace().next() {
            let _ = writeln!(ours, "  {name} => {name} v0.{rest}");
        }
    }
    ours.push_str(")\n");
    ours
}

fn bad_version(version: &str) -> Error {
    Error::MissingTool { tool: format!("kubernetes {version}"), hint: "name a release as in 1.36.3".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_modules_are_pinned_to_the_release() {
        let original = "module k8s.io/kubernetes\ngo 1.26.0\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tx => y v1\n)\n";
        let ours = go_mod(original, "1.36.3", "36.3");
        assert!(ours.contains("k8s.io/api => k8s.io/api v0.36.3"), "{ours}");
        assert!(!ours.contains("x =>"), "{ours}");
    }
}
