//! Starting one of the two programs in a slot of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::{Credentials, Make, S3};
use crate::component::{Component, Spec};
use crate::dirs::Cache;
use crate::error::{At, Result};
use crate::kernel::bridge::{self, HOST_ADDRESS};
use crate::lease::Lease;
use crate::parts::Part;
use crate::record::Record;
use crate::report::Reporter;
use crate::{guard, host, sweep};

/// The port of slot 0; a server's port is this plus its slot.
const PORTS: u16 = 19_000;

/// Builds what is missing and starts the server; it is not waited for.
pub(super) fn launch(name: &str, make: Make, cache: &Cache, report: &Reporter) -> Result<S3> {
    host::prepare(report)?;
    let built = match make {
        Make::VersityGw => Part::VersityGw.build(cache, report)?,
        Make::Minio => Part::Minio.build(cache, report)?,
    };
    sweep::sweep(cache, report)?;
    guard::ensure(cache)?;
    let lease = Lease::take(name, cache)?;
    let credentials = Credentials { access: format!("AK{}", random()?), secret: random()? };
    let started = serve(make, lease.record(), &built.bin_dir(), &credentials);
    let record = lease.record().clone();
    match started {
        Ok((address, component)) => {
            Ok(S3 { make, credentials, address, record, component, lease: Some(lease) })
        }
        Err(error) => lease.end().and(Err(error)),
    }
}

fn serve(
    make: Make,
    record: &Record,
    bin: &Path,
    credentials: &Credentials,
) -> Result<(SocketAddr, Component)> {
    bridge::ensure()?;
    record.cgroup().create()?;
    let address = free_address(record.slot)?;
    let (data, versions) = (record.dir.join("data"), record.dir.join("versions"));
    for dir in [&data, &versions] {
        std::fs::create_dir_all(dir).at("create", dir)?;
    }
    let Credentials { access, secret } = credentials;
    let listen = address.to_string();
    let spec = match make {
        // The versions must not lie below the root: they would be buckets.
        Make::VersityGw => Spec::new("s3", bin.join("versitygw"))
            .env("ROOT_ACCESS_KEY", access)
            .env("ROOT_SECRET_KEY", secret)
            .flag("port", listen)
            .arg("posix")
            .flag("versioning-dir", versions)
            .arg(data),
        Make::Minio => Spec::new("s3", bin.join("minio"))
            .env("MINIO_ROOT_USER", access)
            .env("MINIO_ROOT_PASSWORD", secret)
            .env("HOME", &record.dir.to_string_lossy())
            .arg("server")
            .arg(data)
            .flag("address", listen),
    };
    Ok((address, Component::start(spec.on_host_network(), record)?))
}

/// The slot's own port on the bridge, or any free one if another program has it.
fn free_address(slot: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind((HOST_ADDRESS, PORTS + slot))
        .or_else(|_| TcpListener::bind((HOST_ADDRESS, 0)))
        .at("listen on", HOST_ADDRESS)?;
    listener.local_addr().at("listen on", HOST_ADDRESS)
}

/// Twenty random hexadecimal digits.
fn random() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0; 10];
    let source = "/dev/urandom";
    std::fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).at("read", source)?;
    Ok(hex::encode(bytes))
}
