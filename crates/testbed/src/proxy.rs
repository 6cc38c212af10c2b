//! A TCP relay that can be slow, narrow or broken: what lies between two centres, for tests.
//!
//! It has a thread of its own, so that it works for tests that block theirs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::error::{At, Result};

/// Bytes read at once, and how many such pieces may be on their way in one direction of one connection.
const PIECE: usize = 64 << 10;
const PIECES: usize = 64;

/// How the line behaves from now on. The default is a perfect one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// How much later every byte arrives, each way.
    pub latency: Duration,
    /// Bytes per second each way, over all connections together.
    pub bandwidth: Option<u64>,
    /// New connections are closed at once; open ones go on.
    pub refuse: bool,
    /// Nothing is passed on, nothing is closed.
    pub stall: bool,
}

/// A relay in front of one address. Dropping it closes everything.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    line: Arc<Line>,
    /// The relay's thread ends when this is dropped.
    _open: oneshot::Sender<()>,
}

/// What all connections share.
#[derive(Debug)]
struct Line {
    upstream: SocketAddr,
    faults: watch::Sender<Faults>,
    /// Counts cuts; a connection ends when it changes.
    cuts: watch::Sender<u64>,
    to_server: Direction,
    to_client: Direction,
    connections: AtomicU64,
    /// Bytes to the server after which all connections are cut; `u64::MAX` for never.
    cut_at: AtomicU64,
}

/// One way over the line.
#[derive(Debug, Default)]
struct Direction {
    passed: AtomicU64,
    /// When the line is free for the next piece, where bandwidth is bounded.
    free_at: Mutex<Option<Instant>>,
}

impl FaultProxy {
    /// Relays from a free port of `listen` (an address of this machine) to `upstream`.
    pub fn start(listen: &str, upstream: SocketAddr) -> Result<Self> {
        let listener = std::net::TcpListener::bind((listen, 0)).at("listen on", listen)?;
        let address = listener.local_addr().at("listen on", listen)?;
        listener.set_nonblocking(true).at("listen on", listen)?;
        let line = Arc::new(Line {
            upstream,
            faults: watch::Sender::default(),
            cuts: watch::Sender::default(),
            to_server: Direction::default(),
            to_client: Direction::default(),
            connections: AtomicU64::new(0),
            cut_at: AtomicU64::new(u64::MAX),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.at("start a thread for", "the relay")?;
        let (open, closed) = oneshot::channel();
        let shared = line.clone();
        std::thread::spawn(move || {
            // Dropping the runtime at the end closes every connection.
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = closed => {}
                }
            });
        });
        Ok(Self { address, line, _open: open })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS:PORT` of where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Behaves so from now on, for open connections too.
    pub fn set(&self, faults: Faults) {
        self.line.faults.send_replace(faults);
    }

    /// Closes every open connection, in the middle of whatever it carries.
    pub fn cut(&self) {
        self.line.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every connection, once, as soon as `bytes` more went to the server.
    pub fn cut_after(&self, bytes: u64) {
        self.line.cut_at.store(self.sent() + bytes, Ordering::SeqCst);
    }

    /// Bytes passed on to the server so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.line.to_server.passed.load(Ordering::SeqCst)
    }

    /// Bytes passed on to clients so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.line.to_client.passed.load(Ordering::SeqCst)
    }

    /// Connections taken so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.line.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, line: Arc<Line>) {
    // Accepting fails for one connection, or for want of descriptors, which the next cut frees.
    while let Ok((client, _)) = listener.accept().await {
        line.connections.fetch_add(1, Ordering::SeqCst);
        if !line.faults.borrow().refuse {
            tokio::spawn(relay(client, line.clone()));
        }
    }
}

/// Carries one connection until both ways ended, one broke, or it is cut.
async fn relay(client: TcpStream, line: Arc<Line>) {
    let mut cuts = line.cuts.subscribe();
    let Ok(server) = TcpStream::connect(line.upstream).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let both = async {
        tokio::join!(
            line.carry(from_client, to_server, &line.to_server),
            line.carry(from_server, to_client, &line.to_client)
        )
    };
    tokio::select! {
        _ = both => {}
        _ = cuts.changed() => {}
    }
}

impl Line {
    /// One way of one connection: pieces wait their latency in a bounded queue, so that delay is not less bandwidth.
    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: &Direction) {
        let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
        let read = async {
            let mut buffer = vec![0; PIECE];
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                let due = Instant::now() + self.faults.borrow().latency;
                if queue.send((due, buffer[..count].to_vec())).await.is_err() {
                    break;
                }
            }
            drop(queue);
        };
        let write = async {
            while let Some((due, piece)) = queued.recv().await {
                tokio::time::sleep_until(due).await;
                self.wait_for_turn(direction, piece.len()).await;
                if to.write_all(&piece).await.is_err() {
                    break;
                }
                self.count(direction, piece.len());
            }
            // The other end may be gone already.
            let _ = to.shutdown().await;
            queued.close();
        };
        tokio::join!(read, write);
    }

    /// Waits while the line is stalled, and for this piece's time on a narrow one.
    async fn wait_for_turn(&self, direction: &Direction, length: usize) {
        let mut faults = self.faults.subscribe();
        // The sender lives as long as `self`.
        let _ = faults.wait_for(|now| !now.stall).await;
        let Some(rate) = faults.borrow().bandwidth else { return };
        let mut free_at = direction.free_at.lock().await;
        let now = Instant::now();
        let begin = free_at.unwrap_or(now).max(now);
        let end = begin + Duration::from_secs_f64(length as f64 / rate.max(1) as f64);
        *free_at = Some(end);
        drop(free_at);
        tokio::time::sleep_until(end).await;
    }

    fn count(&self, direction: &Direction, length: usize) {
        let passed = direction.passed.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
        if std::ptr::eq(direction, &raw const self.to_server) && passed >= self.cut_at.load(Ordering::SeqCst)
        {
            self.cut_at.store(u64::MAX, Ordering::SeqCst);
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn round_trip(proxy: &FaultProxy, data: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(proxy.address()).await?;
        let (mut from, mut to) = stream.split();
        let send = async {
            to.write_all(data).await?;
            to.shutdown().await
        };
        let mut back = Vec::new();
        let (sent, read) = tokio::join!(send, from.read_to_end(&mut back));
        sent.and(read)?;
        Ok(back)
    }

    #[tokio::test]
    async fn a_perfect_line_passes_everything_and_counts_it() {
        let proxy = FaultProxy::start("127.0.0.1", echo().await).unwrap();
        let data = vec![7; 1 << 20];
        assert_eq!(round_trip(&proxy, &data).await.unwrap(), data);
        assert_eq!((proxy.sent(), proxy.received(), proxy.connections()), (1 << 20, 1 << 20, 1));
    }

    #[tokio::test]
    async fn latency_and_bandwidth_take_their_time() {
        let proxy = FaultProxy::start("127.0.0.1", echo().await).unwrap();
        proxy.set(Faults { latency: Duration::from_millis(50), ..Faults::default() });
        let begun = Instant::now();
        round_trip(&proxy, b"x").await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
        proxy.set(Faults { bandwidth: Some(1 << 20), ..Faults::default() });
        let begun = Instant::now();
        round_trip(&proxy, &vec![0; 256 << 10]).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(240), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_cut_comes_in_the_middle_and_only_once() {
        let proxy = FaultProxy::start("127.0.0.1", echo().await).unwrap();
        proxy.cut_after(128 << 10);
        let data = vec![1; 4 << 20];
        assert_ne!(round_trip(&proxy, &data).await.unwrap_or_default(), data);
        assert_eq!(round_trip(&proxy, &data).await.unwrap(), data);
    }

    #[tokio::test]
    async fn a_refusing_line_closes_and_a_stalled_one_hangs_until_it_does_not() {
        let proxy = FaultProxy::start("127.0.0.1", echo().await).unwrap();
        proxy.set(Faults { refuse: true, ..Faults::default() });
        assert_ne!(round_trip(&proxy, b"x").await.unwrap_or_default(), b"x");
        proxy.set(Faults { stall: true, ..Faults::default() });
        let hanging = round_trip(&proxy, b"x");
        tokio::pin!(hanging);
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut hanging).await.is_err());
        proxy.set(Faults::default());
        assert_eq!(hanging.await.unwrap(), b"x");
    }
}
