//! What a restore would do, as people read it: counts first, then what is not simply created or there.

use holdfast_model::restore::plan::{Plan, Planned, SkipRule, Verdict, VerdictKind};

use super::{SHOWN, change, problems};
use crate::output::amount::{between, count, span};
use crate::output::{Cell, Column, Details, Table, Tone, View};

/// The whole plan; with `diff`, or wide, values are shown and nothing is cut.
pub(crate) fn plan(plan: &Plan, diff: bool, view: &View) -> String {
    let mut details = Details::new();
    details
        .field("Plan of", &plan.point)
        .field("Application", &plan.application_name)
        .field("Cluster", &plan.cluster)
        .field("Would be", Cell::outcome(plan.outcome))
        .field("Took", format!("{}; {}", span(between(plan.started, plan.finished)), asked(plan)));
    details.section("Objects").text(&counts(plan, view));
    let shown = Shown { all: view.wide, values: diff || view.wide };
    for (heading, verdict) in [
        ("Would be changed", VerdictKind::Update),
        ("Would be deleted, since the point does not have it", VerdictKind::Delete),
        ("Left alone although it differs", VerdictKind::Conflict),
        ("Cannot be restored", VerdictKind::Cannot),
        ("Left out", VerdictKind::Skip),
    ] {
        objects(plan, (heading, verdict), &shown, &mut details);
    }
    waiting(plan, &mut details);
    reverters(plan, &mut details);
    privileged(plan, &shown, &mut details);
    let deletes = plan.terms.existing.deletes();
    if !plan.notes.is_empty() || deletes {
        details.section("To know");
        if deletes {
            details.item("before anything is deleted, a point is made of what is there");
        }
        for note in &plan.notes {
            details.item(note);
        }
    }
    problems(&plan.problems, &mut details);
    details.render(view)
}

/// How much is shown.
struct Shown {
    all: bool,
    values: bool,
}

impl Shown {
    fn most(&self, length: usize) -> usize {
        if self.all { length } else { SHOWN.min(length) }
    }
}

fn asked(plan: &Plan) -> String {
    let runs = plan.dry_runs;
    format!("{} dry runs, {} objects judged by one like them", count(runs.made), count(runs.inferred))
}

/// A verdict as one word.
pub(crate) fn word(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Create => "create",
        VerdictKind::Update => "update",
        VerdictKind::Delete => "delete",
        VerdictKind::Identical => "identical",
        VerdictKind::Skip => "skip",
        VerdictKind::Unknown => "unknown",
        VerdictKind::Conflict => "conflict",
        VerdictKind::Cannot => "cannot",
    }
}

fn counts(plan: &Plan, view: &View) -> String {
    let mut table = Table::new([
        Column::wide("LEVEL"),
        Column::new("KIND"),
        Column::new("CREATE"),
        Column::new("UPDATE"),
        Column::new("DELETE"),
        Column::new("IDENTICAL"),
        Column::new("SKIP"),
        Column::new("UNKNOWN"),
        Column::new("CONFLICT"),
        Column::new("CANNOT"),
    ]);
    let row = |level: Cell, name: Cell, count_of: &dyn Fn(VerdictKind) -> u64| {
        let [create, update, delete, identical, skip, unknown, conflict, cannot] =
            VerdictKind::ALL.map(|verdict| number(verdict, count_of(verdict)));
        [level, name, create, update, delete, identical, skip, unknown, conflict, cannot]
    };
    for level in &plan.levels {
        for kind in &level.kinds {
            let of = |verdict| kind.verdicts.get(&verdict).copied().unwrap_or_default();
            table.row(row((&level.name).into(), (&kind.resource).into(), &of));
        }
    }
    let all = Cell::toned(Tone::Strong, "all");
    table.row(row("".into(), all, &|verdict| plan.count(verdict)));
    table.render(view)
}

/// A count, or a dash that the eye passes over.
fn number(verdict: VerdictKind, number: u64) -> Cell {
    match (number, tone(verdict)) {
        (0, _) => Cell::toned(Tone::Faint, "-"),
        (number, tone) => Cell::toned(tone, count(number)),
    }
}

fn tone(verdict: VerdictKind) -> Tone {
    match verdict {
        VerdictKind::Update | VerdictKind::Delete | VerdictKind::Unknown => Tone::Warning,
        VerdictKind::Conflict | VerdictKind::Cannot => Tone::Bad,
        VerdictKind::Create | VerdictKind::Identical | VerdictKind::Skip => Tone::Plain,
    }
}

fn objects(plan: &Plan, (heading, verdict): (&str, VerdictKind), shown: &Shown, details: &mut Details) {
    let found: Vec<&Planned> = plan.objects.iter().filter(|one| one.verdict.kind() == verdict).collect();
    if found.is_empty() {
        return;
    }
    details.section(format!("{heading} ({})", count(found.len() as u64)));
    let most = shown.most(found.len());
    for planned in &found[..most] {
        object(planned, shown, details);
    }
    if most < found.len() {
        details.item(format!("and {} more: -o wide shows them", count((found.len() - most) as u64)));
    }
}

fn object(planned: &Planned, shown: &Shown, details: &mut Details) {
    let mut line = planned.object.to_string();
    let reason = match &planned.verdict {
        Verdict::Conflict { reason, .. }
        | Verdict::Cannot { reason, .. }
        | Verdict::Unknown { reason, .. } => reason.clone(),
        Verdict::Skip { rule, reason, .. } => format!("{reason} ({})", rule_name(*rule)),
        Verdict::Create | Verdict::Update { .. } | Verdict::Delete | Verdict::Identical => String::new(),
    };
    if !reason.is_empty() {
        line.push_str(&format!(": {reason}"));
    }
    details.item(Cell::toned(tone(planned.verdict.kind()), line));
    if let Verdict::Cannot { hint, .. } = &planned.verdict
        && !hint.is_empty()
    {
        details.item(format!("  {hint}"));
    }
    let difference = planned.verdict.difference();
    if shown.values {
        for one in difference {
            details.item(format!("    {}", change(one)));
        }
    } else if !difference.is_empty() {
        details.item(format!("    {}", places(planned)));
    }
    for by in &planned.may_revert {
        details.item(format!("    {by} may undo it {}", by.tool.when()));
    }
}

/// Where an object differs, in one line.
fn places(planned: &Planned) -> String {
    const MOST: usize = 4;
    let difference = planned.verdict.difference();
    let shown: Vec<&str> = difference.iter().take(MOST).map(|change| change.path.as_str()).collect();
    let more = match difference.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more places"),
    };
    format!("at {}{more}", shown.join(", "))
}

fn rule_name(rule: SkipRule) -> &'static str {
    match rule {
        SkipRule::NotSent => "never sent",
        SkipRule::LeftToOwner => "its owner makes it",
        SkipRule::DescribesTarget => "the target's own",
        SkipRule::MadeByController => "a controller's",
        SkipRule::HoldsData => "data is never deleted",
    }
}

fn waiting(plan: &Plan, details: &mut Details) {
    if plan.waiting.is_empty() {
        return;
    }
    details.section("Would be created, but cannot be judged yet");
    for waiting in &plan.waiting {
        let objects = count(waiting.objects);
        details.item(format!("{objects} objects until `{}` exist: {}", waiting.until, waiting.reason));
    }
}

fn reverters(plan: &Plan, details: &mut Details) {
    if plan.may_revert.is_empty() {
        return;
    }
    details.section("Others manage what would be written");
    for reverted in &plan.may_revert {
        let (by, objects) = (&reverted.by, count(reverted.objects));
        let line = format!("{by}: {objects} objects, which it may undo {}", by.tool.when());
        details.item(Cell::toned(Tone::Warning, line));
    }
}

fn privileged(plan: &Plan, shown: &Shown, details: &mut Details) {
    if plan.privileged.is_empty() {
        return;
    }
    details.section(format!("Gives power ({})", count(plan.privileged.len() as u64)));
    let most = shown.most(plan.privileged.len());
    for one in &plan.privileged[..most] {
        details.item(format!("{}: {}", one.object, one.why.join("; ")));
    }
    if most < plan.privileged.len() {
        details.item(format!("and {} more: -o wide shows them", plan.privileged.len() - most));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn example() -> Plan {
        let with = |mut base: Value, more: Value| {
            base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            base
        };
        let of = |group: &str, plural: &str| json!({"group": group, "version": "v1", "kind": "X", "plural": plural, "namespaced": true});
        let object =
            |plural: &str, name: &str| with(of("", plural), json!({"namespace": "shop", "name": name}));
        let planned = |plural: &str, name: &str, verdict: Value| {
            with(json!({"object": object(plural, name), "level": 3}), verdict)
        };
        serde_json::from_value(json!({
            "format": 1, "point": "20261122t101500-3fa9c1", "application": "a1", "applicationName": "shop",
            "cluster": "osaka", "outcome": "Partial", "existing": {"default": "replace"},
            "started": "2026-11-22T12:00:00Z", "finished": "2026-11-22T12:00:04Z",
            "mapping": {"namespaces": {}, "storageClasses": {}},
            "dryRuns": {"made": 42, "inferred": 30_950},
            "levels": [
                {"level": 3, "name": "identities and configuration", "kinds": [
                    with(of("", "secrets"), json!({"verdicts": {"create": 1, "identical": 28_000, "update": 2998, "skip": 1}})),
                    with(of("", "configmaps"), json!({"verdicts": {"conflict": 1, "cannot": 1, "update": 1}}))]},
                {"level": 8, "name": "custom resources", "kinds": [
                    with(of("shop.example", "tills"), json!({"verdicts": {"unknown": 7}}))]},
            ],
            "objects": [
                planned("configmaps", "web", json!({"verdict": "update", "difference": [
                    {"path": "data.size", "kind": "changed", "before": "1", "after": "2"},
                    {"path": "data.colour", "kind": "removed", "before": "red"}],
                    "mayRevert": [{"tool": "argo-cd", "instance": "shop"}]})),
                planned("configmaps", "till", json!({"verdict": "conflict", "reason": "an object of this name is there and was left as it is",
                    "difference": [{"path": "data.a", "kind": "changed", "before": "1", "after": "2"}]})),
                planned("configmaps", "plain", json!({"verdict": "cannot", "code": "cluster.invalid",
                    "reason": "ValidatingAdmissionPolicy 'no-plain' denied request", "hint": "change the object, or the policy"})),
                planned("secrets", "token", json!({"verdict": "skip", "rule": "not-sent", "reason": "token of the old cluster"})),
            ],
            "waiting": [{"until": "custom resource definitions", "reason": "the definition of tills.shop.example is created first", "objects": 7}],
            "mayRevert": [{"tool": "argo-cd", "instance": "shop", "objects": 1}],
            "privileged": [{"object": with(of("rbac.authorization.k8s.io", "rolebindings"), json!({"namespace": "shop", "name": "web"})),
                "why": ["grants Role web to ServiceAccount shop/web"]}],
            "notes": ["claims come back empty"],
            "problems": [{"code": "restore.node_port_taken", "subject": "services shop/door", "message": "it got another", "hint": "free it"}],
        }))
        .unwrap()
    }

    #[test]
    fn a_plan_says_first_how_many_and_then_which() {
        insta::assert_snapshot!(plan(&example(), false, &View::plain(false)));
    }

    #[test]
    fn values_are_shown_on_demand() {
        let shown = plan(&example(), true, &View::plain(false));
        assert!(
            shown.contains("~ data.size: \"1\" → \"2\"") && shown.contains("- data.colour: \"red\""),
            "{shown}"
        );
        assert!(!plan(&example(), false, &View::plain(false)).contains('→'));
    }
}
