//! S3 servers of two makes: buckets, versions, and a stock client's opinion.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

use holdfast_testbed::{Cache, FaultProxy, Faults, HOST_ADDRESS, Make, Part, Reporter, Result, S3};

#[tokio::test]
async fn restic_works_on_versitygw_through_a_faulty_line() -> Result<()> {
    let mut s3 = S3::start_as("store", Make::VersityGw, Cache::of_user()?, Reporter::stderr()).await?;
    s3.bucket("plain").await?;
    s3.versioned_bucket("versioned").await?;
    s3.object_lock_bucket("locked").await?;
    let again = s3.bucket("plain").await.unwrap_err().to_string();
    assert!(again.contains("PUT /plain"), "{again}");
    let line = FaultProxy::start(HOST_ADDRESS, s3.address())?;
    restic_round(&s3, &line.endpoint(), "plain")?;
    assert!(line.sent() > 100_000 && line.received() > 1_000, "{} {}", line.sent(), line.received());
    assert!(s3.data_dir().join("plain/repo/config").is_file(), "objects are plain files");

    line.set(Faults { refuse: true, ..Faults::default() });
    let mut refused = TcpStream::connect(line.address()).expect("a connection");
    assert!(matches!(refused.read(&mut [0; 1]), Ok(0) | Err(_)), "nobody answers");
    line.set(Faults::default());
    s3.kill()?;
    assert!(s3.bucket("nobody").await.is_err());
    s3.restart().await?;
    assert!(restic(&s3, &s3.endpoint(), "plain", &["check"]).is_some(), "data outlives the server");
    s3.stop().await
}

#[tokio::test]
#[ignore = "long: builds MinIO where it is not cached"]
async fn long_restic_works_on_minio() -> Result<()> {
    let s3 = S3::minio().await?;
    s3.versioned_bucket("versioned").await?;
    s3.object_lock_bucket("locked").await?;
    restic_round(&s3, &s3.endpoint(), "versioned")?;
    s3.stop().await
}

/// Makes a repository, backs something up, and has it checked.
fn restic_round(s3: &S3, endpoint: &str, bucket: &str) -> Result<()> {
    let source = tempfile::tempdir().expect("a directory");
    let noise: Vec<u8> = (0u32..100_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(source.path().join("file"), noise).expect("a file");
    let path = source.path().to_string_lossy();
    for args in [&["init"][..], &["backup", &path], &["check", "--read-data"]] {
        assert!(restic(s3, endpoint, bucket, args).is_some(), "restic {args:?}");
    }
    Ok(())
}

/// What restic says, or nothing if it failed or took too long.
fn restic(s3: &S3, endpoint: &str, bucket: &str, args: &[&str]) -> Option<String> {
    let cache = Cache::of_user().expect("a cache");
    let program = Part::Restic.build(&cache, &Reporter::stderr()).expect("built").bin("restic");
    let done = Command::new("timeout")
        .arg("30")
        .arg(program)
        .args(["--no-cache", "--insecure-no-password", "-r", &format!("s3:{endpoint}/{bucket}/repo")])
        .args(args)
        .envs(s3.env())
        .output()
        .expect("restic runs");
    eprint!("{}", String::from_utf8_lossy(&done.stderr));
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}
