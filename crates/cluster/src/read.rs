//! Reads of single objects.

use bytes::Bytes;
use holdfast_model::ResourceType;
use serde_json::Value;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::object::RawObject;
use crate::path;
use crate::transport::Outgoing;

impl Cluster {
    /// An object; `None` if there is none of that name (or no such namespace).
    pub async fn get(&self, of: &ResourceType, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        let (call, body) = self.fetch(of, namespace, name).await?;
        body.map(|body| self.parse(&call, &body)).transpose()
    }

    /// An object as the server sent it.
    pub async fn get_raw(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<RawObject>> {
        let (call, body) = self.fetch(of, namespace, name).await?;
        body.map(|body| RawObject::whole(body).map_err(|error| self.malformed(&call, error.to_string())))
            .transpose()
    }

    async fn fetch(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<(Call, Option<Bytes>)> {
        let call = Call::resource("get", of, namespace, Some(name));
        let out = Outgoing::get(call.clone(), path::object(of, namespace, name));
        match self.send(&out).await.result {
            Ok(body) => Ok((call, Some(body))),
            Err(error) if error.is_not_found() => Ok((call, None)),
            Err(error) => Err(error),
        }
    }
}
