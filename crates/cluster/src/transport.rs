//! One request to the API server: sent within the limit, repeated where that is safe, and its
//! failure told in full.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::failure;
use crate::login::Session;
use crate::refusal::{Reason, Refusal};
use crate::retry::{Attempts, Failure};
use crate::warning;

/// A request to be sent, as often as it takes.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    call: Call,
    method: Method,
    uri: String,
    accept: &'static str,
    content_type: Option<&'static str>,
    body: Bytes,
    repeatable: bool,
    first_contact: bool,
}

impl Outgoing {
    /// A read.
    pub(crate) fn get(call: Call, uri: String) -> Self {
        Self {
            call,
            method: Method::GET,
            uri,
            accept: "application/json",
            content_type: None,
            body: Bytes::new(),
            repeatable: true,
            first_contact: false,
        }
    }

    /// A write of a JSON body.
    pub(crate) fn write(
        call: Call,
        method: Method,
        uri: String,
        content_type: &'static str,
        body: Bytes,
    ) -> Self {
        Self { method, content_type: Some(content_type), body, ..Self::get(call, uri) }
    }

    /// Sets the Accept header.
    pub(crate) fn accept(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    /// Whether it may be sent again when the first may have been carried out.
    pub(crate) fn repeatable(self, repeatable: bool) -> Self {
        Self { repeatable, ..self }
    }

    /// The first request of all: if the server cannot be reached, or does not accept a credential
    /// that is new, waiting will not help.
    pub(crate) fn first_contact(self) -> Self {
        Self { first_contact: true, ..self }
    }

    fn request(&self) -> Result<Request<Body>, Failure> {
        let mut builder =
            Request::builder().method(self.method.clone()).uri(&self.uri).header(header::ACCEPT, self.accept);
        if let Some(content_type) = self.content_type {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        builder
            .body(Body::from(self.body.clone()))
            .map_err(|error| Failure::NotSent { reason: error.to_string(), permanent: true })
    }
}

/// The outcome of a request and whether an earlier attempt of it may have had an effect.
pub(crate) struct Sent {
    pub(crate) result: Result<Bytes>,
    pub(crate) reply_lost: bool,
    /// What the server remarked about it.
    pub(crate) warnings: Vec<String>,
}

impl Cluster {
    /// Sends a request and parses its reply.
    pub(crate) async fn send_for<T: DeserializeOwned>(&self, out: Outgoing) -> Result<T> {
        let body = self.send(&out).await.result?;
        self.parse(&out.call, &body)
    }

    /// Parses a reply to `call`.
    pub(crate) fn parse<T: DeserializeOwned>(&self, call: &Call, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| self.malformed(call, error.to_string()))
    }

    pub(crate) fn malformed(&self, call: &Call, reason: String) -> Error {
        Error::Malformed { cluster: self.name().to_owned(), call: Box::new(call.clone()), reason }
    }

    /// Sends a request until it succeeds, fails for good, or patience ends.
    pub(crate) async fn send(&self, out: &Outgoing) -> Sent {
        let mut attempts = Attempts::within(self.settings().patience);
        let mut may_log_in = !out.first_contact;
        loop {
            let session = self.login().session();
            let failure = match self.attempt(&session, out, attempts.made()).await {
                Ok((body, warnings)) => {
                    return Sent { result: Ok(body), reply_lost: attempts.reply_lost(), warnings };
                }
                Err(failure) => failure,
            };
            if failure.is_unauthorized()
                && std::mem::take(&mut may_log_in)
                && self.login().again(&session).await
            {
                continue;
            }
            let final_already = out.first_contact && matches!(failure, Failure::NotSent { .. });
            match attempts.next(&failure, out.repeatable, rand::random()).filter(|_| !final_already) {
                Some(wait) => {
                    tracing::debug!(call = %out.call, ?failure, ?wait, "trying again");
                    tokio::time::sleep(wait).await;
                }
                None => {
                    let result = Err(self.error(&out.call, failure));
                    return Sent { result, reply_lost: attempts.reply_lost(), warnings: Vec::new() };
                }
            }
        }
    }

    /// The body of a successful reply, and what the server remarked.
    async fn attempt(
        &self,
        session: &Session,
        out: &Outgoing,
        number: u32,
    ) -> Result<(Bytes, Vec<String>), Failure> {
        let permit = self.limiter().acquire().await;
        let limit = self.settings().timeout;
        let (status, headers, body) =
            tokio::time::timeout(limit, exchange(session, out)).await.map_err(|_| silence(limit))??;
        self.server_clock().note(&headers);
        if (200..300).contains(&status) {
            permit.served();
            return Ok((body, warning::texts(&headers)));
        }
        let refusal = Refusal::parse(self.name(), &out.call, status, &body, number);
        if refusal.reason == Reason::Busy {
            permit.refused();
        }
        Err(Failure::Refused { refusal: Box::new(refusal), retry_after: retry_after(&headers) })
    }

    /// Opens a stream (watch, log): the reply's head decides, its body is read by the caller.
    pub(crate) async fn open(&self, out: Outgoing) -> Result<Body> {
        let session = self.login().session();
        let outcome = match self.open_once(&session, &out).await {
            Err(failure) if failure.is_unauthorized() && self.login().again(&session).await => {
                self.open_once(&self.login().session(), &out).await
            }
            outcome => outcome,
        };
        outcome.map_err(|failure| self.error(&out.call, failure))
    }

    async fn open_once(&self, session: &Session, out: &Outgoing) -> Result<Body, Failure> {
        let limit = self.settings().timeout;
        let request = out.request()?;
        let reply = tokio::time::timeout(limit, async {
            session.client.send(request).await.map_err(failure::classify)
        })
        .await
        .map_err(|_| silence(limit))??;
        self.server_clock().note(reply.headers());
        let (head, body) = reply.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let body = tokio::time::timeout(limit, body.collect()).await.map_err(|_| silence(limit))?;
        let body = body.map_err(failure::lost)?.to_bytes();
        let refusal = Refusal::parse(self.name(), &out.call, head.status.as_u16(), &body, 1);
        Err(Failure::Refused { refusal: Box::new(refusal), retry_after: retry_after(&head.headers) })
    }

    pub(crate) fn error(&self, call: &Call, failure: Failure) -> Error {
        let (cluster, address) = (self.name().to_owned(), self.address().to_owned());
        match failure {
            Failure::Refused { refusal, .. } => Error::Refused(refusal),
            Failure::NotSent { reason, .. } => {
                Error::Unreachable { cluster, address, call: Box::new(call.clone()), reason }
            }
            Failure::Lost { reason } => {
                Error::Interrupted { cluster, address, call: Box::new(call.clone()), reason }
            }
            Failure::Credential { reason } => Error::Credential { cluster, reason },
        }
    }
}

async fn exchange(session: &Session, out: &Outgoing) -> Result<(u16, HeaderMap, Bytes), Failure> {
    let reply = session.client.send(out.request()?).await.map_err(failure::classify)?;
    let (head, body) = reply.into_parts();
    let body = body.collect().await.map_err(failure::lost)?.to_bytes();
    Ok((head.status.as_u16(), head.headers, body))
}

fn silence(limit: Duration) -> Failure {
    Failure::Lost { reason: format!("no answer within {} s", limit.as_secs()) }
}

/// Seconds of a `Retry-After` header; API servers send no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
