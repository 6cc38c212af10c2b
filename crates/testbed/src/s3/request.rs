//! Requests that make buckets, signed with AWS Signature Version 4.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::exchange::exchange;

/// Every region is this one.
pub(super) const REGION: &str = "us-east-1";

/// One request without a connection yet.
pub(super) struct Request {
    method: &'static str,
    path: String,
    query: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

impl Request {
    pub(super) fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), query: "", headers: Vec::new(), body: "" }
    }

    /// A query of one name without a value.
    pub(super) fn query(mut self, name: &'static str) -> Self {
        self.query = name;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    /// Sends it and gives the body of a good answer.
    pub(super) async fn send(self, to: SocketAddr, access: &str, secret: &str) -> Result<String> {
        let what = format!("{} {}", self.method, self.path);
        let request = self.signed(&to.to_string(), access, secret, &now());
        exchange(to, None, &what, &request).await
    }

    /// The bytes of the request; `time` is as in `20261122T101500Z`.
    fn signed(&self, host: &str, access: &str, secret: &str, time: &str) -> String {
        let body_hash = hex::encode(Sha256::digest(self.body));
        let mut headers = vec![("host", host), ("x-amz-content-sha256", &body_hash), ("x-amz-date", time)];
        headers.extend(self.headers.iter().copied());
        headers.sort_unstable();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let query = if self.query.is_empty() { String::new() } else { format!("{}=", self.query) };
        let canonical = format!("{}\n{}\n{query}\n{lines}\n{names}\n{body_hash}", self.method, self.path);
        let date = &time[..8];
        let scope = format!("{date}/{REGION}/s3/aws4_request");
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [date, REGION, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = hex::encode(mac(&key, &to_sign));
        let target = if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) };
        let sent: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "{} {target} HTTP/1.1\r\n{sent}authorization: AWS4-HMAC-SHA256 Credential={access}/{scope}, \
             SignedHeaders={names}, Signature={signature}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
            self.method,
            self.body.len(),
            self.body
        )
    }
}

pub(crate) fn mac(key: &[u8], message: &str) -> Vec<u8> {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The time in the signature's form.
#[allow(
    clippy::disallowed_methods,
    reason = "a server takes only requests signed within minutes of its own clock"
)]
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Bucket Lifecycle" of the specification.
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let request = Request::new("GET", "/").query("lifecycle").signed(
            "examplebucket.s3.amazonaws.com",
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "20130524T000000Z",
        );
        let expected = "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
        assert!(request.contains(expected), "{request}");
    }
}
