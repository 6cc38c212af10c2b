//! How each of the two programs is started.

use std::net::SocketAddr;
use std::path::Path;

use super::{Credentials, Make};
use crate::component::Spec;
use crate::error::{At, Result};
use crate::parts::{Built, Part};

impl Make {
    pub(super) fn part(self) -> Part {
        match self {
            Make::VersityGw => Part::VersityGw,
            Make::Minio => Part::Minio,
        }
    }

    /// What to run, with all its data below `dir`.
    pub(super) fn spec(
        self,
        built: &Built,
        dir: &Path,
        address: SocketAddr,
        credentials: &Credentials,
    ) -> Result<Spec> {
        let (data, versions) = (dir.join("data"), dir.join("versions"));
        for dir in [&data, &versions] {
            std::fs::create_dir_all(dir).at("create", dir)?;
        }
        let Credentials { access, secret } = credentials;
        let listen = address.to_string();
        Ok(match self {
            // The versions must not lie below the root: they would be buckets.
            Make::VersityGw => Spec::new("s3", built.bin("versitygw"))
                .env("ROOT_ACCESS_KEY", access)
                .env("ROOT_SECRET_KEY", secret)
                .flag("port", listen)
                .arg("posix")
                .flag("versioning-dir", versions)
                .arg(data),
            Make::Minio => Spec::new("s3", built.bin("minio"))
                .env("MINIO_ROOT_USER", access)
                .env("MINIO_ROOT_PASSWORD", secret)
                .env("HOME", &dir.to_string_lossy())
                .arg("server")
                .arg(data)
                .flag("address", listen),
        })
    }
}
