//! What the server's refusal of a dry run means for the restore: that it cannot be, or that something
//! is missing which an earlier level brings.

use holdfast_cluster::{Error as Cause, Reason};
use holdfast_model::restore::order;
use holdfast_model::restore::plan::Verdict;
use holdfast_model::{GroupKind, Problem};

use super::findings::{Findings, until};
pub(super) use crate::restore::booking::is_fatal as is_fatal_to_all;

/// How admission words that something is missing, and what that is. There is no field for it (all of
/// k8s.io/kubernetes: `plugin/pkg/admission/serviceaccount`, `…/priority`, `…/runtimeclass`, and
/// `pkg/registry/rbac`).
const MISSING: &[(&str, &str, &str)] = &[
    ("error looking up service account", "", "ServiceAccount"),
    ("no PriorityClass with name", "scheduling.k8s.io", "PriorityClass"),
    ("pod rejected: RuntimeClass", "node.k8s.io", "RuntimeClass"),
];

/// How it words that the role of a binding is missing: the whole of its message.
const MISSING_ROLES: &[(&str, &str)] = &[
    ("clusterroles.rbac.authorization.k8s.io \"", "ClusterRole"),
    ("roles.rbac.authorization.k8s.io \"", "Role"),
];

/// What becomes of an object that the server would not take now.
pub(super) fn verdict(findings: &Findings, error: &Cause) -> Verdict {
    if let Some(kind) = missing(error).filter(|kind| findings.promises_kind(kind)) {
        return until(order::level(&kind), format!("it needs a {kind} that is created first"));
    }
    if let Some(Reason::WebhookDown(name)) = error.reason()
        && findings.holds_workloads()
    {
        let workloads = order::level(&GroupKind::new("apps", "Deployment"));
        return until(workloads, format!("webhook {name} does not answer; a restored workload may serve it"));
    }
    cannot(error)
}

/// What the server misses, if it says so.
fn missing(error: &Cause) -> Option<GroupKind> {
    let Cause::Refused(refusal) = error else { return None };
    let message = refusal.message.as_str();
    let named = MISSING.iter().find(|(mark, _, _)| message.contains(mark));
    let named = named.map(|(_, group, kind)| GroupKind::new(*group, *kind));
    named.or_else(|| {
        let of_role = |(mark, _): &&(&str, &str)| message.starts_with(mark) && message.ends_with("not found");
        let (_, kind) = MISSING_ROLES.iter().find(of_role)?;
        Some(GroupKind::new("rbac.authorization.k8s.io", *kind))
    })
}

/// It cannot be restored: the server's words, and what to do.
pub(super) fn cannot(error: &Cause) -> Verdict {
    let Cause::Refused(refusal) = error else {
        return Verdict::cannot(Problem::new(error.code(), "", error.to_string()));
    };
    let code = match refusal.message.contains("exceeded quota") {
        true => "restore.quota",
        false => error.code(),
    };
    Verdict::cannot(Problem::new(code, "", refusal.message.clone()).hint(refusal.hint()))
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::{Call, Refusal, Target};

    use super::*;

    fn refused(message: &str) -> Cause {
        let call = Call { verb: "create", target: Target::Path("/x".to_owned()) };
        let (cluster, message) = ("b".to_owned(), message.to_owned());
        let reason = Reason::Forbidden;
        Cause::Refused(Box::new(Refusal { cluster, call, status: 403, reason, message, attempts: 1 }))
    }

    fn missed(message: &str) -> Option<String> {
        missing(&refused(message)).map(|kind| kind.to_string())
    }

    #[test]
    fn what_is_missing_is_told_by_the_servers_words() {
        let account = r#"pods "web" is forbidden: error looking up service account shop/web: serviceaccount "web" not found"#;
        assert_eq!(missed(account).as_deref(), Some("ServiceAccount"));
        let role = |kind: &str| missed(&format!(r#"{kind}.rbac.authorization.k8s.io "web" not found"#));
        assert_eq!(role("roles").as_deref(), Some("Role.rbac.authorization.k8s.io"));
        assert_eq!(role("clusterroles").as_deref(), Some("ClusterRole.rbac.authorization.k8s.io"));
        let escalation =
            r#"roles.rbac.authorization.k8s.io "web" is forbidden: user "eve" is attempting to grant"#;
        assert_eq!(missed(escalation), None);
        assert_eq!(missed(r#"admission webhook "x" denied the request"#), None);
    }

    #[test]
    fn what_no_level_brings_cannot_be_and_quotas_have_a_code_of_their_own() {
        let findings = Findings::silent();
        let code = |message: &str| match verdict(&findings, &refused(message)) {
            Verdict::Cannot { code, .. } => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code("error looking up service account shop/web"), "cluster.forbidden");
        assert_eq!(code(r#"secrets "x" is forbidden: exceeded quota: q"#), "restore.quota");
    }
}
