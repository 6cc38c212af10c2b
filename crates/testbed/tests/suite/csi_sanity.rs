//! The CSI driver against the conformance test of its specification, and what it leaves.

use std::path::Path;
use std::process::Command;

use holdfast_testbed::{Cache, Part, Reporter, Result, csi::Alone};

#[tokio::test]
async fn the_driver_conforms_with_mounted_volumes() -> Result<()> {
    conforms("mount", "").await
}

#[tokio::test]
async fn the_driver_conforms_with_mounted_images() -> Result<()> {
    conforms("mount", "form: image").await
}

#[tokio::test]
async fn the_driver_conforms_with_block_volumes() -> Result<()> {
    conforms("block", "").await
}

#[tokio::test]
async fn the_driver_conforms_with_images_as_devices() -> Result<()> {
    conforms("block", "form: image").await
}

/// Drivers beside each other find loop devices of each other's in the moment in which they are taken.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Tries volumes that are shown as `mode` says and have `parameters`, which are YAML.
async fn conforms(mode: &str, parameters: &str) -> Result<()> {
    let _alone = ALONE.lock().await;
    let cache = Cache::of_user()?;
    let program = Part::CsiSanity.build(&cache, &Reporter::stderr())?.bin("csi-sanity");
    let name = if parameters.is_empty() { format!("sanity-{mode}") } else { format!("sanity-image-{mode}") };
    let driver = Alone::start(&name, cache, Reporter::stderr()).await?;
    let dir = driver.dir();
    let said = sanity(&program, &driver, mode, parameters);
    driver.stop().await?;
    assert!(said.contains("SUCCESS!"), "{said}");
    println!("{}", said.lines().rev().take(4).collect::<Vec<_>>().join("\n"));
    leaves_nothing(dir.parent().expect("its directory"));
    Ok(())
}

fn sanity(program: &Path, driver: &Alone, mode: &str, parameters: &str) -> String {
    let under = |name: &str| driver.dir().join(name).display().to_string();
    std::fs::write(under("parameters.yaml"), parameters).expect("a file");
    let done = Command::new(program)
        .args(["-csi.endpoint", &format!("unix://{}", driver.socket().display())])
        .args(["-csi.mountdir", &under("mount"), "-csi.stagingdir", &under("stage")])
        .args(["-csi.testvolumesize", "1073741824", "-csi.testvolumeaccesstype", mode])
        .args(["-csi.testvolumeparameters", &under("parameters.yaml")])
        .arg("-ginkgo.no-color")
        .output()
        .expect("csi-sanity runs");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// No mount and no loop device of the pool is left, whoever asks.
fn leaves_nothing(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(&*dir.to_string_lossy()), "{mounts}");
    let devices = std::fs::read_dir("/sys/block").expect("block devices").flatten();
    let files = devices.filter_map(|d| std::fs::read_to_string(d.path().join("loop/backing_file")).ok());
    let left: Vec<String> = files.filter(|file| Path::new(file.trim()).starts_with(dir)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!dir.join("csi").exists(), "the pool's file");
}
