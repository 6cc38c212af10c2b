//! `holdfast app list`: the applications of all vaults.

use holdfast_model::Outcome;
use serde::Serialize;

use crate::catalogue::{Application, Found};
use crate::interrupt;
use crate::output::{Column, Table, View};
use crate::session::Session;

#[derive(Serialize)]
struct Row<'a> {
    vault: &'a str,
    #[serde(flatten)]
    application: &'a Application,
}

pub(super) fn run(session: &Session) -> anyhow::Result<Outcome> {
    let found = interrupt::query(async || session.applications().await)?;
    let present: Vec<&Found> = found.iter().filter(|found| !found.application.removed).collect();
    let rows: Vec<Row<'_>> =
        present.iter().map(|f| Row { vault: f.vault.name(), application: &f.application }).collect();
    session.output.show(&rows, |view| table(&rows, view))?;
    if rows.is_empty() && !session.output.format().is_machine() {
        session.note("no applications yet: declare one with `holdfast app add NAME --namespace NAMESPACE`");
    }
    Ok(Outcome::Completed)
}

fn table(rows: &[Row<'_>], view: &View) -> String {
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("NAMESPACES"),
        Column::new("CLUSTER"),
        Column::new("VAULT"),
        Column::new("HOOKS"),
        Column::wide("POLICY"),
        Column::wide("EPOCH"),
        Column::wide("ID"),
    ]);
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    for Row { vault, application } in rows {
        let spec = &application.spec;
        let hooks = spec.hooks.pre.len() + spec.hooks.hold.len() + spec.hooks.post.len();
        table.row([
            (&application.name).into(),
            namespaces(&spec.scope.namespaces).into(),
            or_dash(&spec.cluster).into(),
            vault.into(),
            hooks.into(),
            or_dash(&spec.policy).into(),
            application.epoch.into(),
            (&application.id).into(),
        ]);
    }
    table.render(view)
}

/// The first few namespaces, and how many more there are.
fn namespaces(names: &[String]) -> String {
    match names {
        [] => "-".to_owned(),
        [a, b, c, rest @ ..] if !rest.is_empty() => format!("{a},{b},{c} + {} more", rest.len()),
        names => names.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_namespaces_are_cut() {
        let names = |n: usize| (0..n).map(|i| format!("n{i}")).collect::<Vec<_>>();
        assert_eq!(namespaces(&[]), "-");
        assert_eq!(namespaces(&names(3)), "n0,n1,n2");
        assert_eq!(namespaces(&names(5)), "n0,n1,n2 + 2 more");
    }
}
