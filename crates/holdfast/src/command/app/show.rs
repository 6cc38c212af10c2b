//! `holdfast app show`: what an application consists of, and the hooks that go with it.

use holdfast_model::Outcome;
use holdfast_model::hook::{ExecHook, HookTarget};
use holdfast_model::manifest::Manifest;

use crate::catalogue::Application;
use crate::interrupt;
use crate::output::{Details, View};
use crate::session::Session;

pub(super) fn run(session: &Session, name: &str) -> anyhow::Result<Outcome> {
    let found = interrupt::query(async || session.find_application(name).await)?;
    let (application, vault) = (&found.application, found.vault.name());
    // The manifest itself is what machines get: it can be applied again.
    let manifest = Manifest::Application(application.manifest());
    session.output.show(&manifest, |view| details(application, vault, view))?;
    Ok(Outcome::Completed)
}

fn details(application: &Application, vault: &str, view: &View) -> String {
    let spec = &application.spec;
    let mut details = Details::new();
    details.field("Name", &application.name).field("Id", &application.id);
    if application.removed {
        details.field("State", "removed; its points are kept");
    }
    details
        .field("Vault", vault)
        .field_if("Cluster", spec.cluster.as_deref().unwrap_or_default())
        .field_if("Policy", spec.policy.as_deref().unwrap_or_default())
        .field("Epoch", application.epoch)
        .field_if("Namespaces", spec.scope.namespaces.join(", "))
        .field(
            "Kinds",
            if spec.scope.kinds.is_empty() { "all".to_owned() } else { spec.scope.kinds.join(", ") },
        )
        .field_if("Labels", &spec.scope.labels);
    let cluster = &spec.scope.cluster;
    let mut cluster_scope = cluster.kinds.clone();
    if cluster.related {
        cluster_scope.push("what the objects need".to_owned());
    }
    details.field_if("Cluster scope", cluster_scope.join(", ")).field_if("Cluster labels", &cluster.labels);
    if !spec.scope.without_data.is_empty() {
        details.section("Claims without data");
        for claim in &spec.scope.without_data {
            details.item(format!("{}: {}", claim.claim, claim.reason));
        }
    }
    hooks(application, &mut details);
    details.render(view)
}

fn hooks(application: &Application, details: &mut Details) {
    let hooks = &application.spec.hooks;
    if hooks.is_empty() {
        return;
    }
    details.section("Hooks");
    let exec = |phase: &str, hook: &ExecHook| {
        format!("{phase:5}{}: {} in {}", hook.name, hook.command.join(" "), target(&hook.target))
    };
    for hook in &hooks.pre {
        details.item(exec("pre", hook));
    }
    for hook in &hooks.hold {
        details.item(format!("hold {}: {} in {}", hook.name, hook.command.join(" "), target(&hook.target)));
        for late in &hook.late {
            details.item(format!("     late: {} of claim {}", late.path, late.claim));
        }
    }
    for hook in &hooks.post {
        details.item(exec("post", hook));
    }
    for hook in &hooks.restored {
        details.item(exec("restored ", &hook.exec(hook.target.clone())));
    }
}

fn target(target: &HookTarget) -> String {
    let labels: Vec<_> = target.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match &target.namespace {
        Some(namespace) => format!("{namespace}/{}", labels.join(",")),
        None => labels.join(","),
    }
}
