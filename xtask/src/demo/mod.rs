//! The main job, told on real clusters: an application lost at one site runs at another.

mod ground;
mod orders;
pub(crate) mod program;
mod proof;
mod sites;
mod story;
mod telling;

use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave everything running at the end and print what to try
    #[arg(long)]
    keep: bool,
    /// Tell the story on two clusters of your own: contexts of the current kubeconfig, source first
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "vault")]
    contexts: Vec<String>,
    /// Your own bucket for it, e.g. s3://BUCKET/PREFIX; credentials from the environment
    #[arg(long, value_name = "URL", requires = "contexts")]
    vault: Option<String>,
    /// Endpoint of an S3 server that is not AWS
    #[arg(long, value_name = "URL", requires = "vault")]
    endpoint: Option<String>,
    /// Registry that holds copies of the images `testbed.local/…` and of the mover image, for clusters of your own
    #[arg(long, value_name = "PREFIX", requires = "contexts")]
    registry: Option<String>,
}

/// Tells the story once.
pub fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match (&arguments.contexts[..], &arguments.vault) {
            ([], None) => story::on_sites(arguments.keep).await,
            ([a, b], Some(vault)) => story::on_clusters(arguments, a, b, vault),
            (other, _) => bail!("--contexts takes two contexts, source first; {} given", other.len()),
        }
    })
}
