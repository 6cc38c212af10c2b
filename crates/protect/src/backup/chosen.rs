//! What is asked of the capture of each claim: by rules and hooks.

use holdfast_model::hook::Hooks;
use holdfast_model::volume::VolumeRules;
use holdfast_volume::jobs::CaptureRequest;

use crate::capture::Claim;

/// The capture of a claim, as the application's rules and hooks want it.
pub(super) fn capture_request(claim: &Claim, rules: &VolumeRules, hooks: &Hooks) -> CaptureRequest {
    let mut request = CaptureRequest::new(&claim.namespace, &claim.name);
    if let Some(rule) = rules.of(&claim.namespace, &claim.name) {
        request.from = rule.from;
        request.form = rule.form;
        request.snapshot_class.clone_from(&rule.snapshot_class);
        request.excludes.clone_from(&rule.exclude);
    }
    for hook in &hooks.hold {
        // A hook without a namespace belongs to an application with only one.
        if hook.target.namespace.as_ref().is_none_or(|namespace| *namespace == claim.namespace) {
            request.late.extend(hook.late.iter().filter(|late| late.claim == claim.name).cloned());
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_model::hook::{HoldHook, HookTarget, LatePath};

    #[test]
    fn late_paths_belong_to_the_claim_of_the_hooks_namespace() {
        let late =
            |claim: &str, path: &str| LatePath { claim: claim.into(), path: path.into(), store_as: None };
        let hold = HoldHook {
            name: "pg".into(),
            target: HookTarget {
                namespace: Some("shop".into()),
                labels: Default::default(),
                container: None,
            },
            command: vec!["psql".into()],
            begin: String::new(),
            before_late: String::new(),
            marker: "{token}".into(),
            timeout_seconds: 1,
            max_hold_seconds: 1,
            late: vec![late("data", "pg_wal"), late("other", "x")],
        };
        let hooks = Hooks { hold: vec![hold], ..Hooks::default() };
        let claim = |namespace: &str| Claim {
            namespace: namespace.into(),
            name: "data".into(),
            object: Default::default(),
        };
        let rules = VolumeRules::default();
        assert_eq!(capture_request(&claim("shop"), &rules, &hooks).late, [late("data", "pg_wal")]);
        assert!(capture_request(&claim("bank"), &rules, &hooks).late.is_empty());
    }
}
