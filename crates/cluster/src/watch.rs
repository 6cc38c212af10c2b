//! Watches: one request whose reply is a line of JSON for each change.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use holdfast_model::ResourceType;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio_util::io::StreamReader;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::list::ListOptions;
use crate::object::RawObject;
use crate::path::{self, Query};
use crate::refusal::Refusal;
use crate::retry::Failure;
use crate::transport::Outgoing;

/// One change.
#[derive(Debug)]
pub enum Change {
    /// The object was added or changed; as it is now.
    Applied(RawObject),
    /// The object was deleted; as it was last.
    Deleted(RawObject),
    /// Nothing changed up to this resourceVersion.
    Bookmark(String),
}

#[derive(Deserialize)]
struct Line<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The body of an ERROR event, which is a Status.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Code {
    code: u16,
}

impl Cluster {
    /// Changes since `resource_version`, for at most `seconds`; then the stream ends, as it does
    /// when the connection breaks. Whoever needs all changes lists again and watches from there.
    /// A resourceVersion that is too old is an error with [`Error::is_expired`].
    pub async fn watch(
        &self,
        of: &ResourceType,
        options: &ListOptions,
        resource_version: &str,
        seconds: u32,
    ) -> Result<impl Stream<Item = Result<Change>> + Send + use<>> {
        let namespace = options.namespace.as_deref();
        let uri = Query::of(path::collection(of, namespace))
            .flag("watch", true)
            .flag("allowWatchBookmarks", true)
            .add("resourceVersion", resource_version)
            .add("timeoutSeconds", &seconds.to_string())
            .add_some("labelSelector", options.labels.as_deref())
            .add_some("fieldSelector", options.fields.as_deref())
            .finish();
        let call = Call::resource("watch", of, namespace, None);
        let body = self.open(Outgoing::get(call.clone(), uri)).await?;
        let lines = lines(StreamReader::new(body.into_data_stream().map_err(std::io::Error::other)));
        let cluster = self.clone();
        Ok(lines.map(move |line| cluster.change(&call, line)))
    }

    fn change(&self, call: &Call, line: std::io::Result<Bytes>) -> Result<Change> {
        let line = line.map_err(|error| self.error(call, Failure::Lost { reason: error.to_string() }))?;
        let malformed = |error: serde_json::Error| self.malformed(call, error.to_string());
        let event: Line<'_> = serde_json::from_slice(&line).map_err(malformed)?;
        let json = event.object.get();
        if event.r#type == "ERROR" {
            let Code { code } = serde_json::from_str(json).unwrap_or_default();
            let refusal = Refusal::parse(self.name(), call, code, json.as_bytes(), 1);
            return Err(Error::Refused(Box::new(refusal)));
        }
        let object = RawObject::whole(Bytes::copy_from_slice(json.as_bytes())).map_err(malformed)?;
        Ok(match event.r#type {
            "BOOKMARK" => Change::Bookmark(object.metadata.resource_version),
            "DELETED" => Change::Deleted(object),
            _ => Change::Applied(object),
        })
    }
}

/// Whole lines of a reader. What a broken connection left of a line is dropped: it is no event.
fn lines<R: AsyncBufRead + Unpin>(reader: R) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line).await {
            Ok(_) if line.last() == Some(&b'\n') => Some((Ok(Bytes::from(line)), Some(reader))),
            Ok(_) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_a_line_is_no_event() {
        let whole: Vec<_> = lines(&b"{1}\n{2}\n{3"[..]).map(|line| line.unwrap()).collect().await;
        assert_eq!(whole, ["{1}\n", "{2}\n"]);
    }
}
