//! gRPC over a unix socket: every RPC is a function that may block, found by its path.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixListener;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::error::{At, Error};

/// A request as it arrives, and what becomes of it.
pub(super) type Asked = http::Request<Incoming>;
pub(super) type Answer = http::Response<Body>;

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
        let driver = driver.clone();
        let service = service_fn(move |asked| {
            let answer = answer(driver.clone(), asked);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        // A connection that breaks is the client's to open again.
        tokio::spawn(async move { connection.await.map_err(|error| eprintln!("connection: {error}")) });
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
            let done = tokio::task::spawn_blocking(move || work(&driver, request.into_inner())).await;
            let answer = done.unwrap_or_else(|panic| Err(Status::internal(panic.to_string())));
            match &answer {
                Ok(_) => println!("{name}"),
                Err(status) => println!("{name}: {:?} {}", status.code(), status.message()),
            }
            answer.map(Response::new)
        })
    }
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
