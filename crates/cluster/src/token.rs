//! Tokens of service accounts, for audiences other than the API server's own.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::transport::Outgoing;
use crate::{kinds, path};

impl Cluster {
    /// A token of a service account that shows to `audience` alone who it is; it ends after `lifetime`.
    ///
    /// # Errors
    /// Whatever the API server answers; it gives out none for less than ten minutes.
    pub async fn token(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        lifetime: Duration,
    ) -> Result<String> {
        let of = kinds::service_accounts();
        let call = Call::resource("create", &of, Some(namespace), Some(account)).subresource(Some("token"));
        let uri = format!("{}/token", path::object(&of, Some(namespace), account));
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": lifetime.as_secs()},
        });
        let body = request.to_string().into_bytes();
        let out = Outgoing::write(call.clone(), Method::POST, uri, "application/json", body.into());
        let answer: Value = self.send_for(out.repeatable(true)).await?;
        let token = answer["status"]["token"].as_str();
        token.map(str::to_owned).ok_or_else(|| self.malformed(&call, "it has no token".to_owned()))
    }
}
