//! The small images of every node: the sandbox, a shell, and CoreDNS.

use std::path::PathBuf;

use super::archive::{Image, ImageConfig};
use super::layer::Layer;
use super::{BUSYBOX, COREDNS, PAUSE};
use crate::dirs::Cache;
use crate::error::Result;
use crate::host;
use crate::lock::FileLock;
use crate::parts::Part;
use crate::report::Reporter;

/// Changes when the recipe of an image here does: it is part of the archive's name.
const RECIPE: u32 = 1;

/// The archive of the sandbox image, made if it is not there.
pub fn pause(cache: &Cache) -> Result<PathBuf> {
    let config = ImageConfig {
        entrypoint: words(&["/bin/sleep", "2147483647"]),
        env: words(&["PATH=/bin"]),
        ..ImageConfig::default()
    };
    made(cache, "pause", || {
        let layer =
            Layer::new().host_file("bin/busybox", host::busybox()?, 0o755).link("bin/sleep", "busybox");
        Ok(Image { name: PAUSE.into(), layer, config })
    })
}

/// The archive of the shell image [`BUSYBOX`], made if it is not there.
pub fn busybox(cache: &Cache) -> Result<PathBuf> {
    let config =
        ImageConfig { entrypoint: words(&["/bin/sh"]), env: words(&["PATH=/bin"]), ..ImageConfig::default() };
    made(cache, "busybox", || {
        let layer = Layer::new()
            .accounts("app")
            .directory("tmp", 0o1777, 0)
            .directory("data", 0o777, 0)
            .busybox("bin", host::busybox()?)?;
        Ok(Image { name: BUSYBOX.into(), layer, config })
    })
}

/// The archive of CoreDNS, built and made if it is not there.
pub fn coredns(cache: &Cache, report: &Reporter) -> Result<PathBuf> {
    let program = Part::CoreDns.build(cache, report)?.bin("coredns");
    let config = ImageConfig { entrypoint: words(&["/coredns"]), ..ImageConfig::default() };
    made(cache, "coredns", || {
        let layer = Layer::new().directory("etc", 0o755, 0).host_file("coredns", program, 0o755);
        Ok(Image { name: COREDNS.into(), layer, config })
    })
}

/// The archive called `name` in the cache, made by `image` if it is not there.
fn made(cache: &Cache, name: &str, image: impl FnOnce() -> Result<Image>) -> Result<PathBuf> {
    let path = cache.images().join(format!("{name}-{RECIPE}.tar"));
    if !path.is_file() {
        let _held = FileLock::wait(&cache.images().join(format!("{name}.lock")))?;
        if !path.is_file() {
            image()?.write(&path)?;
        }
    }
    Ok(path)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
