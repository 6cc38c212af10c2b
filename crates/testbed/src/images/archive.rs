//! One image as an OCI archive: <https://github.com/opencontainers/image-spec>, image-layout.md.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::layer::Layer;
use crate::error::{At, Result};

/// How a container of an image runs.
#[derive(Debug, Default, Clone)]
pub struct ImageConfig {
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Environment as `NAME=value`.
    pub env: Vec<String>,
    /// Numeric user, root when empty.
    pub user: String,
    /// Directory it starts in.
    pub working_dir: String,
}

/// An image of one layer.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its whole name with a tag, as pods name it.
    pub name: String,
    /// Its files.
    pub layer: Layer,
    /// How it runs.
    pub config: ImageConfig,
}

/// Digest and length of something in the archive.
struct Blob {
    digest: String,
    size: u64,
}

impl Image {
    /// Writes the archive to `path`, whole or not at all. The same input gives the same bytes.
    pub fn write(&self, path: &Path) -> Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).at("create", dir)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = dir.join(format!(".{name}.{}", std::process::id()));
        let layer_file = dir.join(format!(".{name}.{}.layer", std::process::id()));
        let written = self
            .write_through(&unfinished, &layer_file)
            .and_then(|()| std::fs::rename(&unfinished, path).at("rename", &unfinished));
        // The layer is copied into the archive by now, or the error below is what counts.
        let _ = std::fs::remove_file(&layer_file);
        if written.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
        written
    }

    fn write_through(&self, archive: &Path, layer_file: &Path) -> Result<()> {
        let (layer, diff_id) = self.write_layer(layer_file)?;
        let config = self.config_json(&diff_id).to_string().into_bytes();
        let config_blob = Blob::of(&config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config_blob.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
        })
        .to_string()
        .into_bytes();
        let mut entry = Blob::of(&manifest).descriptor("application/vnd.oci.image.manifest.v1+json");
        entry["annotations"] = json!({ "io.containerd.image.name": self.name });
        entry["platform"] = json!({ "architecture": architecture(), "os": "linux" });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();

        let file = File::create(archive).at("create", archive)?;
        let mut tar = tar::Builder::new(BufWriter::new(file));
        let mut put = |path: &str, size: u64, content: &mut dyn Read| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(size);
            header.set_mtime(0);
            tar.append_data(&mut header, path, content).at("write", archive)
        };
        let layout: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
        put("oci-layout", layout.len() as u64, &mut Cursor::new(layout))?;
        put("index.json", index.len() as u64, &mut Cursor::new(&index))?;
        put(&config_blob.path(), config_blob.size, &mut Cursor::new(&config))?;
        let manifest_blob = Blob::of(&manifest);
        put(&manifest_blob.path(), manifest_blob.size, &mut Cursor::new(&manifest))?;
        let mut content = BufReader::new(File::open(layer_file).at("open", layer_file)?);
        put(&layer.path(), layer.size, &mut content)?;
        let mut sink = tar.into_inner().at("write", archive)?;
        sink.flush().at("write", archive)
    }

    /// Writes the compressed layer once, hashing it before and after compression on the way.
    fn write_layer(&self, path: &Path) -> Result<(Blob, String)> {
        let file = File::create(path).at("create", path)?;
        let compressed = Hashing::new(BufWriter::with_capacity(1 << 20, file));
        let plain = Hashing::new(GzEncoder::new(compressed, Compression::fast()));
        let mut buffered = BufWriter::with_capacity(1 << 18, plain);
        self.layer.write(&mut buffered)?;
        let plain = buffered.into_inner().map_err(io::IntoInnerError::into_error).at("write", path)?;
        let diff_id = digest(plain.hash);
        let compressed = plain.inner.finish().at("write", path)?;
        let mut file =
            compressed.inner.into_inner().map_err(io::IntoInnerError::into_error).at("write", path)?;
        let size = file.seek(SeekFrom::End(0)).at("measure", path)?;
        Ok((Blob { digest: digest(compressed.hash), size }, diff_id))
    }

    fn config_json(&self, diff_id: &str) -> Value {
        json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.config.entrypoint,
                "Env": self.config.env,
                "User": self.config.user,
                "WorkingDir": self.config.working_dir,
            },
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        })
    }
}

impl Blob {
    fn of(bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(bytes);
        Self { digest: digest(hash), size: bytes.len() as u64 }
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest, "size": self.size })
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }
}

/// A sink that hashes what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new() }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.hash.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn digest(hash: Sha256) -> String {
    format!("sha256:{}", hex::encode(hash.finalize()))
}

/// The machine's architecture, in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_writings_are_one_and_every_blob_has_its_digest_as_name() {
        let dir = tempfile::tempdir().unwrap();
        let image = Image {
            name: "testbed.local/x:1".into(),
            layer: Layer::new().text("a", &"text ".repeat(1000)),
            config: ImageConfig::default(),
        };
        let (one, two) = (dir.path().join("1.tar"), dir.path().join("2.tar"));
        image.write(&one).unwrap();
        image.write(&two).unwrap();
        let bytes = std::fs::read(&one).unwrap();
        assert_eq!(bytes, std::fs::read(&two).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing unfinished is left");
        let mut blobs = 0;
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if let Some(name) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(name, hex::encode(Sha256::digest(&content)));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
    }
}
