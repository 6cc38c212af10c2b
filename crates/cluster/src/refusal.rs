//! A failure the API server answered with: what it means, and what a person can do about it.

use std::fmt;

use kube::core::Status;

use crate::call::Call;

/// The server's answer to a [`Call`] that it did not carry out.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The cluster's name.
    pub cluster: String,
    /// What was asked for.
    pub call: Call,
    /// HTTP status.
    pub status: u16,
    /// What the answer means.
    pub reason: Reason,
    /// The server's own words.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// What a failure of the API server means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// 401: the credential is missing, wrong or expired.
    Unauthorized,
    /// 403: a right is missing, or admission or a quota forbids it.
    Forbidden,
    /// 404: no such object, namespace or resource.
    NotFound,
    /// 409: an object of that name exists.
    AlreadyExists,
    /// 409: a precondition does not hold.
    Conflict,
    /// 409: the namespace is being deleted; nothing can be created in it.
    NamespaceTerminating,
    /// 410: the resourceVersion or continue token is too old.
    Expired,
    /// 422 or 400: the object or request is not valid.
    Invalid,
    /// 429: the server, or its priority and fairness, has no room.
    Busy,
    /// An admission webhook said no.
    WebhookDenied(String),
    /// A webhook (admission or conversion) that has to be asked does not answer.
    WebhookDown(String),
    /// 503: the server, or the one behind an APIService, is not serving.
    Unavailable,
    /// 504: the server gave up.
    Timeout,
    /// 500.
    Internal,
    /// Any other status.
    Other,
}

impl Reason {
    /// Stable code, documented in docs/failure-modes.md.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Unauthorized => "cluster.unauthorized",
            Reason::Forbidden => "cluster.forbidden",
            Reason::NotFound => "cluster.not_found",
            Reason::AlreadyExists => "cluster.already_exists",
            Reason::Conflict => "cluster.conflict",
            Reason::NamespaceTerminating => "cluster.namespace_terminating",
            Reason::Expired => "cluster.expired",
            Reason::Invalid => "cluster.invalid",
            Reason::Busy => "cluster.busy",
            Reason::WebhookDenied(_) => "cluster.webhook_denied",
            Reason::WebhookDown(_) => "cluster.webhook_down",
            Reason::Unavailable => "cluster.unavailable",
            Reason::Timeout => "cluster.timeout",
            Reason::Internal => "cluster.internal",
            Reason::Other => "cluster.refused",
        }
    }

    /// What the HTTP status, the reason in the Status object and its message say together.
    pub(crate) fn of(status: u16, reason: &str, message: &str) -> Self {
        if let Some(webhook) = Webhook::in_message(message) {
            return webhook;
        }
        match (status, reason) {
            (401, _) => Reason::Unauthorized,
            (403, _) if message.contains("because it is being terminated") => Reason::NamespaceTerminating,
            (403, _) => Reason::Forbidden,
            (404, _) => Reason::NotFound,
            (409, "AlreadyExists") => Reason::AlreadyExists,
            (409, _) => Reason::Conflict,
            (410, _) | (_, "Expired" | "Gone") => Reason::Expired,
            (400 | 413 | 415 | 422, _) => Reason::Invalid,
            (429, _) => Reason::Busy,
            (502 | 503, _) => Reason::Unavailable,
            (504, _) | (_, "Timeout" | "ServerTimeout") => Reason::Timeout,
            (500, _) => Reason::Internal,
            _ => Reason::Other,
        }
    }
}

/// How the API server words failures of webhooks; there is no machine-readable field for them
/// (k8s.io/apiserver, `admission/plugin/webhook/errors` and `apiextensions-apiserver`'s
/// `conversion/webhook_converter.go`).
struct Webhook;

impl Webhook {
    fn in_message(message: &str) -> Option<Reason> {
        if let Some(rest) = after(message, "admission webhook \"") {
            return Some(Reason::WebhookDenied(until(rest, '"')));
        }
        if let Some(rest) = after(message, "failed calling webhook \"") {
            return Some(Reason::WebhookDown(until(rest, '"')));
        }
        let rest = after(message, "conversion webhook for ")?;
        let kind = rest.split(" failed").next().unwrap_or(rest);
        Some(Reason::WebhookDown(format!("conversion webhook for {kind}")))
    }
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn until(text: &str, end: char) -> String {
    text.split(end).next().unwrap_or(text).to_owned()
}

impl Refusal {
    /// Reads the body of a failed reply, which is a Status object unless a proxy answered.
    pub(crate) fn parse(cluster: &str, call: &Call, status: u16, body: &[u8], attempts: u32) -> Self {
        let parsed: Option<Status> = serde_json::from_slice(body).ok();
        let (reason, message) = match parsed {
            Some(parsed) => (parsed.reason, parsed.message),
            None => (String::new(), excerpt(body)),
        };
        let reason = Reason::of(status, &reason, &message);
        Self { cluster: cluster.to_owned(), call: call.clone(), status, reason, message, attempts }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match &self.reason {
            Reason::Unauthorized => {
                format!("the credential of context {} is not accepted: log in again, or choose another --context", self.cluster)
            }
            Reason::Forbidden if self.message.contains("exceeded quota") => {
                "raise the ResourceQuota of the namespace, or free some of it".to_owned()
            }
            Reason::Forbidden if self.message.contains("cannot ") => format!("it takes {}", self.call.missing_rule()),
            Reason::Forbidden => "admission forbids it; the server's message says which rule".to_owned(),
            Reason::NotFound => "check the name, the namespace, and that its CustomResourceDefinition is installed".to_owned(),
            Reason::AlreadyExists => "choose another name, or update the one that is there".to_owned(),
            Reason::Conflict => "it changed in between: read it again and repeat".to_owned(),
            Reason::NamespaceTerminating => "wait until the namespace is gone, or restore into another one".to_owned(),
            Reason::Expired => "start the list or watch anew".to_owned(),
            Reason::Invalid if self.message.contains("ValidatingAdmissionPolicy") => {
                "change the object, or the policy that the message names".to_owned()
            }
            Reason::Invalid => "the object does not fit this cluster's version or schema; the server's message names the field".to_owned(),
            Reason::Busy => "the API server is overloaded: lower the concurrency, or give Holdfast a priority level of its own".to_owned(),
            Reason::WebhookDenied(name) => format!("change the object, or the policy behind webhook {name}"),
            Reason::WebhookDown(name) => format!("bring the service behind {name} up, or remove its configuration"),
            Reason::Unavailable => "the API server, or the APIService behind this group, is not serving: see `kubectl get apiservices`".to_owned(),
            Reason::Timeout | Reason::Internal => "see the API server's log; the same call may work later".to_owned(),
            Reason::Other => "see the API server's log".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { cluster, call, status, message, .. } = self;
        write!(f, "cannot {call} on cluster {cluster}: {status}: {}", message.trim_end_matches('.'))?;
        if self.attempts > 1 {
            write!(f, " (tried {} times)", self.attempts)?;
        }
        write!(f, "; {}", self.hint())
    }
}

/// The beginning of a body that is no Status object, fit for one line.
fn excerpt(body: &[u8]) -> String {
    const LIMIT: usize = 200;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * LIMIT)]);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None if line.is_empty() => "no explanation given".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::tests::resource;

    fn refusal(status: u16, reason: &str, message: &str) -> Refusal {
        let call = Call::resource("list", &resource("", "v1", "Secret", "secrets", true), Some("shop"), None);
        let body =
            serde_json::json!({"kind": "Status", "reason": reason, "message": message, "code": status});
        Refusal::parse("prod", &call, status, body.to_string().as_bytes(), 1)
    }

    #[test]
    fn a_missing_right_is_spelled_out() {
        let refusal =
            refusal(403, "Forbidden", r#"secrets is forbidden: User "eve" cannot list resource "secrets""#);
        assert_eq!(refusal.reason, Reason::Forbidden);
        assert_eq!(
            refusal.to_string(),
            r#"cannot list secrets in namespace shop on cluster prod: 403: secrets is forbidden: User "eve" cannot list resource "secrets"; it takes a Role in namespace shop with apiGroups [""], resources ["secrets"], verbs ["list"]"#
        );
    }

    #[test]
    fn webhooks_are_named() {
        let down = refusal(
            500,
            "InternalError",
            "conversion webhook for shop.example/v1, Kind=Till failed: Post \"https://x\": connection refused",
        );
        assert_eq!(
            down.reason,
            Reason::WebhookDown("conversion webhook for shop.example/v1, Kind=Till".into())
        );
        assert!(down.to_string().contains("bring the service behind conversion webhook for shop.example/v1"));
        let down = refusal(
            500,
            "InternalError",
            "Internal error occurred: failed calling webhook \"v.x.io\": failed",
        );
        assert_eq!(down.reason, Reason::WebhookDown("v.x.io".into()));
        let no =
            refusal(403, "Forbidden", "admission webhook \"policy.x.io\" denied the request: no latest tags");
        assert_eq!(no.reason, Reason::WebhookDenied("policy.x.io".into()));
    }

    #[test]
    fn a_policy_of_the_cluster_is_not_taken_for_its_schema() {
        let denied = "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
        assert!(refusal(422, "Invalid", denied).to_string().ends_with("the policy that the message names"));
        assert!(refusal(422, "Invalid", "spec.x: Required value").to_string().contains("version or schema"));
    }

    #[test]
    fn a_proxy_that_answers_in_html_is_quoted_briefly() {
        let call = Call::path("get", "/version");
        let body = format!("<html>\n<h1>502 Bad Gateway</h1>{}", "x".repeat(5000));
        let refusal = Refusal::parse("prod", &call, 502, body.as_bytes(), 4);
        assert_eq!(refusal.reason, Reason::Unavailable);
        let text = refusal.to_string();
        assert!(
            text.starts_with("cannot get /version on cluster prod: 502: <html> <h1>502 Bad Gateway</h1>xxx")
        );
        assert!(text.contains("… (tried 4 times); "), "{text}");
        assert!(text.len() < 500);
    }

    #[test]
    fn reasons_follow_status_and_reason() {
        assert_eq!(refusal(409, "AlreadyExists", "").reason, Reason::AlreadyExists);
        assert_eq!(refusal(409, "Conflict", "").reason, Reason::Conflict);
        assert_eq!(refusal(410, "Expired", "").reason, Reason::Expired);
        assert_eq!(refusal(429, "TooManyRequests", "").reason, Reason::Busy);
        let ending = "unable to create new content in namespace x because it is being terminated";
        assert_eq!(refusal(403, "Forbidden", ending).reason, Reason::NamespaceTerminating);
    }
}
