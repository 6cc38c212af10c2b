//! gRPC, over a unix socket or any other stream: every RPC is a function that may block, found by its path.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::error::{At, Error};

/// A request as it arrives, and what becomes of it.
pub(super) type Asked = http::Request<Incoming>;
pub(super) type Answer = http::Response<Body>;

/// How many answers of a stream wait for their client before their maker does.
const BACKLOG: usize = 4;

/// Answers on `socket` until it fails; what an earlier process left at that path is replaced.
pub(super) async fn serve<D, F>(
    socket: &Path,
    driver: Arc<D>,
    answer: fn(Arc<D>, Asked) -> F,
) -> Result<(), Error>
where
    D: Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = listen(socket)?;
    loop {
        let (stream, _) = listener.accept().await.at("accept on", socket)?;
        tokio::spawn(converse(stream, driver.clone(), answer));
    }
}

/// Answers all that a client asks on one connection; one that breaks is the client's to open again.
pub(super) async fn converse<S, D, F>(stream: S, driver: Arc<D>, answer: fn(Arc<D>, Asked) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |asked| {
        let answer = answer(driver.clone(), asked);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let server = http2::Builder::new(TokioExecutor::new());
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        eprintln!("connection: {error}");
    }
}

fn listen(socket: &Path) -> Result<UnixListener, Error> {
    if let Some(parent) = socket.parent() {
        std::fs::create_dir_all(parent).at("create", parent)?;
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).at("remove", socket),
        _ => {}
    }
    UnixListener::bind(socket).at("listen on", socket)
}

/// Decodes a request, has `work` done off the async threads, and encodes what it gives.
pub(super) async fn unary<D, Q, A>(
    driver: Arc<D>,
    asked: Asked,
    work: fn(&D, Q) -> Result<A, Status>,
) -> Answer
where
    D: Send + Sync + 'static,
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let name = asked.uri().path().to_owned();
    Grpc::new(ProstCodec::<A, Q>::default()).unary(Work { driver, work, name }, asked).await
}

struct Work<D, Q, A> {
    driver: Arc<D>,
    work: fn(&D, Q) -> Result<A, Status>,
    name: String,
}

impl<D, Q, A> UnaryService<Q> for Work<D, Q, A>
where
    D: Send + Sync + 'static,
    Q: Send + 'static,
    A: Send + 'static,
{
    type Response = A;
    type Future = BoxFuture<'static, Result<Response<A>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (driver, work, name) = (self.driver.clone(), self.work, self.name.clone());
        Box::pin(async move {
            let answer = apart(move || work(&driver, request.into_inner())).await;
            tell(&name, &answer);
            answer.map(Response::new)
        })
    }
}

/// As [`unary`], for an RPC with a stream of answers, which `work` gives one by one.
pub(super) async fn streaming<D, Q, A, F>(
    driver: Arc<D>,
    asked: Asked,
    work: fn(Arc<D>, Q, Answers<A>) -> F,
) -> Answer
where
    D: Send + Sync + 'static,
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let name = asked.uri().path().to_owned();
    Grpc::new(ProstCodec::<A, Q>::default()).server_streaming(Flow { driver, work, name }, asked).await
}

/// Where the answers of a stream go.
#[derive(Debug)]
pub(super) struct Answers<A>(mpsc::Sender<Result<A, Status>>);

impl<A> Answers<A> {
    /// Sends the next, when the client has taken enough of those before; not to be called by async tasks.
    pub(super) fn send(&self, answer: A) -> Result<(), Status> {
        self.0.blocking_send(Ok(answer)).map_err(|_| Status::cancelled("the client is gone"))
    }
}

#[cfg(test)]
impl<A> Answers<A> {
    /// All answers that `work` gives, at most a few thousand.
    pub(super) fn of(work: impl FnOnce(&Self) -> Result<(), Status>) -> Result<Vec<A>, Status> {
        let (sender, mut receiver) = mpsc::channel(4096);
        work(&Self(sender))?;
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }
}

struct Flow<D, Q, A, F> {
    driver: Arc<D>,
    work: fn(Arc<D>, Q, Answers<A>) -> F,
    name: String,
}

impl<D, Q, A, F> ServerStreamingService<Q> for Flow<D, Q, A, F>
where
    D: Send + Sync + 'static,
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    type Response = A;
    type ResponseStream = BoxStream<'static, Result<A, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (sender, mut receiver) = mpsc::channel(BACKLOG);
        let (name, last) = (self.name.clone(), sender.clone());
        let work = (self.work)(self.driver.clone(), request.into_inner(), Answers(sender));
        tokio::spawn(async move {
            // Of a task of its own: without an error, an end of the answers would mean that there are no more.
            let done = tokio::spawn(work).await;
            let done = done.unwrap_or_else(|panic| Err(Status::internal(panic.to_string())));
            tell(&name, &done);
            if let Err(status) = done {
                // A client that is gone needs no reason.
                let _ = last.send(Err(status)).await;
            }
        });
        let answers = stream::poll_fn(move |context| receiver.poll_recv(context)).boxed();
        Box::pin(async move { Ok(Response::new(answers)) })
    }
}

/// Does work that blocks off the async threads.
pub(super) async fn apart<A: Send + 'static>(
    work: impl FnOnce() -> Result<A, Status> + Send + 'static,
) -> Result<A, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(Status::internal(panic.to_string())))
}

/// Says in the log what became of a request.
fn tell<A>(name: &str, answer: &Result<A, Status>) {
    match answer {
        Ok(_) => println!("{name}"),
        Err(status) => println!("{name}: {:?} {}", status.code(), status.message()),
    }
}

/// The answer to an RPC that fails whatever it asks.
pub(super) fn refused(asked: &Asked, status: Status) -> Answer {
    tell::<()>(asked.uri().path(), &Err(status.clone()));
    status.into_http()
}

/// The answer to an RPC that is not served here.
pub(super) fn unknown(asked: &Asked) -> Answer {
    Status::unimplemented(format!("{} is not served here", asked.uri().path())).into_http()
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::internal(error.to_string())
    }
}
