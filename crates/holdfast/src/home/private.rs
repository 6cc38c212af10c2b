//! Files for their owner alone, written so that a crash leaves the old one or the new one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A secret or a manifest is never larger than this; whatever is, is another file.
const LIMIT: u64 = 1 << 20;

/// Replaces or creates `path`: a new file of mode 0600 is written, synced and renamed over it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let directory = directory_of(path)?;
    let temporary = temporary_name(path);
    let written = write_new(&temporary, content)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| sync(&directory));
    written.map_err(|error| {
        // The error is what matters; what is left of the temporary file is replaced next time.
        let _ = std::fs::remove_file(&temporary);
        Error::file("write", path, error)
    })
}

/// Creates `path` with mode 0600; it must not exist.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<()> {
    let directory = directory_of(path)?;
    match write_new(path, content).and_then(|()| sync(&directory)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::FileExists { path: path.to_path_buf() })
        }
        Err(error) => Err(Error::file("create", path, error)),
    }
}

/// Removes `path` for good; that it is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        removed => removed,
    };
    let directory = directory_of(path)?;
    removed.and_then(|()| sync(&directory)).map_err(|error| Error::file("remove", path, error))
}

/// Reads a file with a secret, which others must not be able to read.
pub(crate) fn read_secret(path: &Path) -> Result<String> {
    let failed = |error| Error::file("read", path, error);
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::TooOpen { path: path.to_path_buf(), mode });
    }
    read_bounded(file).map_err(failed)
}

/// Opens a file that is there to be locked, and creates it where it is missing.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    directory_of(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| Error::file("open", path, error))
}

/// Reads a text file of bounded size.
pub(crate) fn read(path: &Path) -> Result<String> {
    File::open(path).and_then(read_bounded).map_err(|error| Error::file("read", path, error))
}

/// Reads a text file of at most so many bytes.
pub(crate) fn read_up_to(path: &Path, limit: u64) -> Result<String> {
    File::open(path)
        .and_then(|file| read_at_most(file, limit))
        .map_err(|error| Error::file("read", path, error))
}

/// Reads text up to the limit of what a file of ours may be.
pub(crate) fn read_bounded(source: impl std::io::Read) -> std::io::Result<String> {
    read_at_most(source, LIMIT)
}

fn read_at_most(source: impl std::io::Read, limit: u64) -> std::io::Result<String> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(source, limit + 1), &mut text)?;
    match text.len() as u64 > limit {
        true => Err(std::io::Error::other(format!("it is larger than {} MiB", limit >> 20))),
        false => Ok(text),
    }
}

fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory of `path`, made with mode 0700 where it is missing.
fn directory_of(path: &Path) -> Result<PathBuf> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.map_err(|error| Error::file("create", &directory, error))?;
    Ok(directory)
}

/// A name beside `path` that no other process uses at the same time.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_private_from_the_start_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/key");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read_secret(&path).unwrap(), "two");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_file_is_never_overwritten_by_create() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create(&path, b"one").unwrap();
        assert_eq!(create(&path, b"two").unwrap_err().code(), "cli.file_exists");
        assert_eq!(read(&path).unwrap(), "one");
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create(&path, b"one").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_secret(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` can be read by others (mode 0640)", path.display()));
        assert!(error.hint().starts_with("chmod 600 "));
    }

    #[test]
    fn a_huge_file_is_not_read_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("huge");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("larger than 1 MiB"));
    }
}
