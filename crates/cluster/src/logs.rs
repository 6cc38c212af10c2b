//! Logs of containers.

use futures::TryStreamExt;
use http_body_util::BodyExt;
use tokio::io::AsyncBufRead;
use tokio_util::io::StreamReader;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::kinds;
use crate::path::{self, Query};
use crate::transport::Outgoing;

/// Which part of a log.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The container; may be left out if the pod has only one.
    pub container: Option<String>,
    /// Go on until the container ends.
    pub follow: bool,
    /// Of the container's previous life.
    pub previous: bool,
    /// Only this many lines from the end.
    pub tail: Option<u32>,
    /// Put the time in front of each line.
    pub timestamps: bool,
}

impl Cluster {
    /// The log of a container, to be read line by line. A connection that breaks is an error of the
    /// reader, unlike the end of the log.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: &LogOptions,
    ) -> Result<impl AsyncBufRead + Send + Unpin + use<>> {
        let pods = kinds::pods();
        let call = Call::resource("get", &pods, Some(namespace), Some(pod)).subresource(Some("log"));
        let uri = Query::of(format!("{}/log", path::object(&pods, Some(namespace), pod)))
            .add_some("container", options.container.as_deref())
            .flag("follow", options.follow)
            .flag("previous", options.previous)
            .flag("timestamps", options.timestamps)
            .add_some("tailLines", options.tail.map(|lines| lines.to_string()).as_deref())
            .finish();
        let body = self.open(Outgoing::get(call, uri).accept("*/*")).await?;
        Ok(StreamReader::new(body.into_data_stream().map_err(std::io::Error::other)))
    }
}
