//! `holdfast-testbed`: sites by hand, and the helper processes that sites need.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast_testbed::{
    Cache, KUBERNETES, Part, Reporter, Result, Running, Site, csi, down, guard, images, list, provision,
    sweep,
};

#[derive(Parser)]
#[command(version, about = "Real Kubernetes clusters on one machine, for trying things out")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start sites with real nodes, and leave them running
    Up {
        /// Names of the sites
        #[arg(required = true)]
        names: Vec<String>,
        /// Version of Kubernetes
        #[arg(long, default_value = KUBERNETES)]
        kubernetes: String,
        /// Real nodes of each site
        #[arg(long, default_value_t = 1)]
        nodes: u16,
        /// Nodes without kubelets, beside the real ones
        #[arg(long, default_value_t = 0)]
        kwok_nodes: usize,
        /// With a CSI driver that has snapshots
        #[arg(long)]
        csi: bool,
        /// Image archives for the nodes
        #[arg(long)]
        image: Vec<PathBuf>,
        /// Stay until interrupted, then take the sites down
        #[arg(long)]
        foreground: bool,
    },
    /// Take sites and servers down
    Down {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Show what runs
    List,
    /// Remove what processes left behind that were killed
    Sweep,
    /// Build parts into the cache
    Build {
        /// Names of parts, `kubernetes-1.35.4` for another version, `images`, or `all`
        #[arg(required = true)]
        parts: Vec<String>,
    },
    /// Tidy up after a process has ended; started by every process that has sites
    #[command(hide = true)]
    Guard {
        /// The owner's pid
        pid: i32,
        /// Its start time in clock ticks since boot
        start: u64,
    },
    /// Serve volume claims of a site
    #[command(hide = true)]
    Provision {
        /// Kubeconfig of an administrator
        #[arg(long)]
        kubeconfig: PathBuf,
        /// Directory of all volumes
        #[arg(long)]
        root: PathBuf,
    },
    /// Serve volumes with snapshots to a kubelet
    #[command(hide = true)]
    Csi {
        /// Name of the driver
        #[arg(long)]
        name: String,
        /// Name of the node
        #[arg(long)]
        node: String,
        /// Directory of the pool
        #[arg(long)]
        pool: PathBuf,
        /// Socket to listen on
        #[arg(long)]
        socket: PathBuf,
        /// Socket in the kubelet's directory of plugins
        #[arg(long)]
        registration: Option<PathBuf>,
        /// Serve volumes only
        #[arg(long)]
        without_snapshots: bool,
        #[command(flatten)]
        clients: Option<Clients>,
    },
}

/// How clients in the cluster reach a CSI driver: all of it or nothing.
#[derive(clap::Args)]
struct Clients {
    /// Address and port at which to answer them
    #[arg(long = "clients", required = false, requires_all = ["certificate", "key", "kubeconfig", "audience"])]
    address: SocketAddr,
    /// File of the certificate for them
    #[arg(long, required = false, requires = "address")]
    certificate: PathBuf,
    /// File of its key
    #[arg(long, required = false, requires = "address")]
    key: PathBuf,
    /// Kubeconfig of who may review their tokens and rights
    #[arg(long, required = false, requires = "address")]
    kubeconfig: PathBuf,
    /// Audience of their tokens
    #[arg(long, required = false, requires = "address")]
    audience: String,
}

impl From<Clients> for csi::Clients {
    fn from(Clients { address, certificate, key, kubeconfig, audience }: Clients) -> Self {
        Self { address, certificate, key, kubeconfig, audience }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    let report = Reporter::stderr();
    match command {
        Command::Up { names, kubernetes, nodes, kwok_nodes, csi, image, foreground } => {
            let mut sites = Vec::new();
            for name in names {
                let is_it = |running: &&Running| running.kept && running.name == name && running.node == 0;
                if let Some(kept) = list()?.iter().find(is_it) {
                    println!("{name} is up already; `holdfast-testbed down {name}` ends it");
                    println!("export KUBECONFIG={}", kept.dir.join("admin.kubeconfig").display());
                    continue;
                }
                let site = Site::builder(name).nodes(nodes).kubernetes(&kubernetes).kwok_nodes(kwok_nodes);
                let site = if csi { site.csi() } else { site };
                let site = image.iter().fold(site, |site, image| site.image(image)).start().await?;
                println!("export KUBECONFIG={}", site.kubeconfig().display());
                sites.push(site);
            }
            if foreground {
                interrupted().await;
                for site in sites {
                    site.stop().await?;
                }
                return Ok(());
            }
            sites.into_iter().try_for_each(Site::keep)
        }
        Command::Down { names } => {
            for name in names {
                println!("{name}: {} taken down", down(&name)?);
            }
            Ok(())
        }
        Command::List => {
            for running in list()? {
                println!("{running}");
            }
            Ok(())
        }
        Command::Sweep => sweep(&Cache::of_user()?, &report).map(drop),
        Command::Build { parts } => build(&parts, &report),
        Command::Guard { pid, start } => guard::watch(pid, start),
        Command::Provision { kubeconfig, root } => provision::run(&kubeconfig, &root).await,
        Command::Csi { name, node, pool, socket, registration, without_snapshots, clients } => {
            let (snapshots, clients) = (!without_snapshots, clients.map(Into::into));
            csi::run(csi::Options { name, node, pool, socket, registration, snapshots, clients }).await
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without a handler for it, SIGTERM ends the process, and the guard the sites.
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

fn build(names: &[String], report: &Reporter) -> Result<()> {
    holdfast_testbed::host::prepare(report)?;
    let cache = Cache::of_user()?;
    for name in names {
        match name.as_str() {
            "all" => Part::all().iter().try_for_each(|part| part.build(&cache, report).map(drop))?,
            "images" => {
                for image in [
                    images::pause(&cache)?,
                    images::busybox(&cache)?,
                    images::coredns(&cache, report)?,
                    images::postgres(&cache, report)?,
                ] {
                    println!("{}", image.display());
                }
            }
            name => {
                println!("{}", Part::named(name)?.build(&cache, report)?.bin_dir().display());
            }
        }
    }
    Ok(())
}
