//! An image around one program of ours and the few libraries it is linked with.

use std::path::{Path, PathBuf};

use super::archive::{Image, ImageConfig};
use super::layer::Layer;
use crate::error::{Error, Result};
use crate::tool;

/// Where a certificate bundle is on the host, and in the image.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes the image `name` (with its tag) whose entrypoint is `binary`, as an OCI archive at `out`.
///
/// In it: the program as `/usr/local/bin/<its file name>`, the loader and libraries that `ldd` names at
/// the same paths, accounts, `/tmp`, the host's certificate bundle if it has one, and `extra` files as
/// (path on the host, path in the image), executable. No shell. The same files give the same bytes.
pub fn archive_of_binary(name: &str, binary: &Path, extra: &[(PathBuf, String)], out: &Path) -> Result<()> {
    let file = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !binary.is_file() {
        return Err(Error::MissingTool {
            tool: binary.display().to_string(),
            hint: "build it first: it goes into the image".into(),
        });
    }
    let inside = format!("/usr/local/bin/{file}");
    let mut layer = Layer::new()
        .accounts("holdfast")
        .text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
        .directory("tmp", 0o1777, 0)
        .host_file(&inside, binary, 0o755);
    for library in libraries(binary)? {
        layer = layer.host_file(&library.to_string_lossy(), &library, 0o755);
    }
    if Path::new(CERTIFICATES).is_file() {
        layer = layer.host_file(CERTIFICATES, CERTIFICATES, 0o644);
    }
    for (host, path) in extra {
        layer = layer.host_file(path, host, 0o755);
    }
    let config = ImageConfig {
        entrypoint: vec![inside],
        env: vec!["PATH=/usr/local/bin".into(), format!("SSL_CERT_FILE={CERTIFICATES}")],
        ..ImageConfig::default()
    };
    Image { name: name.into(), layer, config }.write(out)
}

/// What the loader maps for a program, by the paths it looks them up under; none for a static one.
fn libraries(binary: &Path) -> Result<Vec<PathBuf>> {
    let said = match tool::run("ldd", &[binary]) {
        Ok(said) => said,
        Err(Error::Command { output, .. }) if output.contains("not a dynamic") => String::new(),
        Err(error) => return Err(error),
    };
    Ok(parse_ldd(&said))
}

fn parse_ldd(said: &str) -> Vec<PathBuf> {
    said.lines()
        .filter_map(|line| {
            let line = line.trim();
            let path = line.split_once("=>").map_or(line, |(_, path)| path.trim());
            path.split(" (").next().filter(|path| path.starts_with('/')).map(PathBuf::from)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_names_loader_and_libraries() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tstatically linked\n";
        let paths = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse_ldd(said), paths.map(PathBuf::from));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = archive_of_binary("x:1", Path::new("/no/such"), &[], Path::new("/tmp/x.tar"));
        assert!(error.unwrap_err().to_string().contains("/no/such"));
    }
}
