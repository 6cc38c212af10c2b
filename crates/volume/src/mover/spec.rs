//! The instructions of one mover, and how they reach it without ever lying on a disk.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_model::RunId;
use holdfast_model::hook::LatePath;
use holdfast_vault::SnapshotId;
use serde::{Deserialize, Serialize};

use super::changes::MetadataAccess;
use crate::blocks::Before;
use crate::error::{Error, Result};
use crate::files::{Compare, Extras, Selection, Verify};
use crate::settings::RepositoryAccess;

/// Version of the form of [`MoverSpec`]; a mover refuses any other.
pub const SPEC_VERSION: u32 = 1;

/// Instructions longer than this are refused; a Secret holds at most 1 MiB.
const MAX_SPEC: u64 = 1 << 20;

/// What one mover is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoverSpec {
    /// [`SPEC_VERSION`] of the writer.
    pub version: u32,
    /// The run it belongs to.
    pub run: RunId,
    /// The repository.
    pub repository: RepositoryAccess,
    /// Capture or restore.
    pub work: Work,
}

/// Capture or restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::large_enum_variant, reason = "there is one in a mover")]
pub enum Work {
    /// Capture one volume.
    Capture(CaptureWork),
    /// Restore one or several volumes.
    Restore(RestoreWork),
}

/// Capture one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaptureWork {
    /// Namespace of the claim.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// Directory of the volume in the mover, or the device.
    pub path: PathBuf,
    /// As what it is captured; files where the control side does not say.
    #[serde(default, skip_serializing_if = "CaptureMode::is_files")]
    pub mode: CaptureMode,
    /// Name of the cluster, which becomes the snapshot's host.
    pub cluster: String,
    /// Tags of the snapshot.
    pub tags: Vec<String>,
    /// The snapshot it is incremental to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotId>,
    /// Globs that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
    /// Paths that are captured last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LatePath>,
    /// Seconds to wait for each of the phases `begin` and `late`.
    pub patience_seconds: u64,
}

impl CaptureWork {
    /// How long each phase is waited for.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds)
    }
}

/// As what a volume is captured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CaptureMode {
    /// A directory with all below it.
    #[default]
    Files,
    /// A block device. Nothing in it can be left out or captured late.
    Blocks(BlockSource),
}

impl CaptureMode {
    fn is_files(&self) -> bool {
        *self == CaptureMode::Files
    }
}

/// What is known of a block device before it is read. Ranges that are not asked for are in a file in the mover that must
/// be there when it begins: a line `OFFSET LENGTH` each, in bytes, and `end` as the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BlockSource {
    /// Nothing.
    Whole,
    /// Everything beside the ranges in this file is zero.
    Allocated(PathBuf),
    /// Everything beside the ranges in this file is as in the parent snapshot.
    Changed(PathBuf),
    /// What its driver says, of all that is allocated or of what changed since the parent snapshot.
    Told(Box<MetadataAccess>),
}

/// As what a volume is restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestoreMode {
    /// A directory with all below it.
    #[default]
    Files,
    /// A block device.
    Blocks(BlockRestore),
}

impl RestoreMode {
    fn is_files(&self) -> bool {
        *self == RestoreMode::Files
    }
}

/// How a block device is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockRestore {
    /// What it holds before.
    pub before: Before,
    /// Read all of it back and compare.
    pub verify: bool,
}

/// Restore volumes, all by one pod so that they end on storage that one node reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreWork {
    /// The volumes.
    pub volumes: Vec<VolumeRestore>,
    /// Make device files.
    pub devices: bool,
    /// Restore setuid bits and file capabilities.
    pub setuid: bool,
}

/// Restore one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeRestore {
    /// Namespace of the claim it is for.
    pub namespace: String,
    /// The claim it is for.
    pub claim: String,
    /// The snapshot that holds it.
    pub snapshot: SnapshotId,
    /// Directory of the volume in the mover, or the device.
    pub path: PathBuf,
    /// As what it is restored; files where the control side does not say.
    #[serde(default, skip_serializing_if = "RestoreMode::is_files")]
    pub mode: RestoreMode,
    /// How its files are restored; into a new volume where the control side does not say.
    #[serde(default, skip_serializing_if = "FileRestore::is_new")]
    pub files: FileRestore,
}

/// How the files of one volume are restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileRestore {
    /// What is done about what is there already.
    pub mode: FileMode,
    /// What is restored; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub select: Vec<Wanted>,
    /// A directory of the volume that is restored into instead of the volume's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// What is read back at the end.
    #[serde(default)]
    pub verify: Verify,
}

/// What is done about what is in the volume already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileMode {
    /// Into a new volume.
    #[default]
    New,
    /// Onto whatever is there.
    Exact {
        /// What becomes of what the snapshot does not have.
        extras: Extras,
        /// What tells that a file differs.
        compare: Compare,
    },
    /// Onto what is known to be the volume of another snapshot.
    Delta {
        /// The other snapshot.
        base: SnapshotId,
    },
}

/// Files that are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// The entry at this path, in the bytes of the file system.
    Path(Vec<u8>),
    /// What this pattern matches.
    Pattern(String),
}

impl FileRestore {
    fn is_new(&self) -> bool {
        *self == Self::default()
    }

    /// What is selected; `None` if all is restored.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn selection(&self) -> Result<Option<Selection>> {
        let mut selection = Selection::default();
        for wanted in &self.select {
            match wanted {
                Wanted::Path(path) => selection.add_path(path),
                Wanted::Pattern(pattern) => selection
                    .add_pattern(pattern)
                    .map_err(|invalid| Error::Spec { reason: invalid.to_string() })?,
            }
        }
        Ok((!self.select.is_empty()).then_some(selection))
    }
}

impl MoverSpec {
    /// Reads the instructions and unlinks them: from here on the keys are in this process alone.
    ///
    /// # Errors
    /// A file that cannot be read or removed, or is of another version.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let name = path.display();
        let mut text = Vec::new();
        let file = File::open(path).map_err(|error| Error::io(format!("read {name}"), error))?;
        std::fs::remove_file(path).map_err(|error| Error::io(format!("remove {name}"), error))?;
        file.take(MAX_SPEC)
            .read_to_end(&mut text)
            .map_err(|error| Error::io(format!("read {name}"), error))?;
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // serde_json's message could quote what it did not understand, which may be a key.
        let unreadable = |what: &str| Error::Spec { reason: format!("they are not {what}") };
        let Versioned { version } =
            serde_json::from_slice(text).map_err(|_| unreadable("JSON with a version"))?;
        if version != SPEC_VERSION {
            let reason = format!("their version is {version}, this program knows {SPEC_VERSION}");
            return Err(Error::Spec { reason });
        }
        serde_json::from_slice(text).map_err(|_| unreadable("of the form that this program knows"))
    }
}

/// Copies the instructions out of the Secret's mount, which cannot be written, to a place from
/// which they can be removed.
///
/// # Errors
/// Either file cannot be used.
pub(super) fn hand_off(from: &Path, to: &Path) -> Result<()> {
    let mut source =
        File::open(from).map_err(|error| Error::io(format!("read {}", from.display()), error))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .and_then(|mut target| std::io::copy(&mut source, &mut target))
        .map_err(|error| Error::io(format!("write {}", to.display()), error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> MoverSpec {
        let options = holdfast_vault::StoreOptions::default();
        let credentials = holdfast_vault::Credentials::s3("id", "storage-secret");
        let password = holdfast_vault::RepositoryPassword::new("repository-secret");
        MoverSpec {
            version: SPEC_VERSION,
            run: "r1".parse().unwrap(),
            repository: RepositoryAccess::new("s3://b", &options, &credentials, "p", &password),
            work: Work::Restore(RestoreWork { volumes: Vec::new(), devices: false, setuid: false }),
        }
    }

    #[test]
    fn instructions_are_gone_once_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, memory) = (dir.path().join("secret"), dir.path().join("memory"));
        std::fs::write(&secret, serde_json::to_vec(&spec()).unwrap()).unwrap();
        hand_off(&secret, &memory).unwrap();
        assert_eq!(MoverSpec::take(&memory).unwrap(), spec());
        assert!(!memory.exists());
    }

    #[test]
    fn instructions_that_do_not_speak_of_blocks_are_of_files() {
        let volume = json!({"namespace": "shop", "claim": "data", "snapshot": "00".repeat(32), "path": "/v"});
        let restore: VolumeRestore = serde_json::from_value(volume.clone()).unwrap();
        assert_eq!(restore.mode, RestoreMode::Files);
        assert_eq!(serde_json::to_value(&restore).unwrap(), volume, "a mover that knows no blocks reads it");
        let mut device = restore;
        device.mode = RestoreMode::Blocks(BlockRestore { before: Before::Alike, verify: true });
        let said = serde_json::to_value(&device).unwrap();
        assert_eq!(said["mode"], json!({"blocks": {"before": "alike", "verify": true}}));
        assert_eq!(serde_json::from_value::<VolumeRestore>(said).unwrap(), device);
    }

    #[test]
    fn a_block_device_is_captured_whole_or_by_ranges_in_a_file() {
        for (mode, said) in [
            (CaptureMode::Files, json!("files")),
            (CaptureMode::Blocks(BlockSource::Whole), json!({"blocks": "whole"})),
            (CaptureMode::Blocks(BlockSource::Changed("/r".into())), json!({"blocks": {"changed": "/r"}})),
        ] {
            assert_eq!(serde_json::to_value(&mode).unwrap(), said);
            assert_eq!(serde_json::from_value::<CaptureMode>(said).unwrap(), mode);
        }
        assert!(serde_json::from_value::<CaptureMode>(json!({"blocks": "some"})).is_err());
    }

    #[test]
    fn instructions_that_do_not_say_how_are_of_a_new_volume() {
        let volume = serde_json::json!({"namespace": "shop", "claim": "data", "snapshot": "00".repeat(32), "path": "/v"});
        let restore: VolumeRestore = serde_json::from_value(volume.clone()).unwrap();
        assert_eq!(restore.files, FileRestore::default());
        assert_eq!(serde_json::to_value(&restore).unwrap(), volume);
        let files = FileRestore {
            mode: FileMode::Exact { extras: Extras::Delete, compare: Compare::Content },
            select: vec![Wanted::Path(b"a/\xff".to_vec()), Wanted::Pattern("*.conf".into())],
            at: "here".into(),
            verify: Verify::All,
        };
        let said = serde_json::to_string(&VolumeRestore { files: files.clone(), ..restore }).unwrap();
        assert_eq!(serde_json::from_str::<VolumeRestore>(&said).unwrap().files, files);
    }

    #[test]
    fn an_error_never_quotes_the_instructions() {
        let mut value = serde_json::to_value(spec()).unwrap();
        value["repository"]["password"] = serde_json::json!({"x": "repository-secret"});
        let error = MoverSpec::parse(&serde_json::to_vec(&value).unwrap()).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        value["version"] = 9.into();
        let error = MoverSpec::parse(&serde_json::to_vec(&value).unwrap()).unwrap_err();
        assert!(error.to_string().contains("version is 9"), "{error}");
    }
}
