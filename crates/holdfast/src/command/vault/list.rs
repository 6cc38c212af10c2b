//! `holdfast vault list`: the vaults that this machine knows. Nothing is asked of them.

use holdfast_model::Outcome;
use holdfast_model::manifest::{CredentialsSource, Document, VaultSpec};

use crate::home::manifests::Kind;
use crate::output::{Cell, Column, Table, Tone, View};
use crate::session::Session;

pub(super) fn run(session: &Session) -> anyhow::Result<Outcome> {
    let names = session.home.names(Kind::Vault)?;
    let vaults = names.iter().map(|name| session.home.vault(name)).collect::<Result<Vec<_>, _>>()?;
    let with_key: Vec<bool> = names.iter().map(|name| session.home.has_key(name)).collect();
    session.output.show(&vaults, |view| table(&vaults, &with_key, view))?;
    if vaults.is_empty() && !session.output.format().is_machine() {
        session.note("no vaults yet: make one with `holdfast vault init NAME --url URL --recovery-key FILE`");
    }
    Ok(Outcome::Completed)
}

fn table(vaults: &[Document<VaultSpec>], with_key: &[bool], view: &View) -> String {
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("URL"),
        Column::new("SITE"),
        Column::new("KEY"),
        Column::wide("ENDPOINT"),
        Column::wide("CREDENTIALS"),
    ]);
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    for (vault, with_key) in vaults.iter().zip(with_key) {
        let spec = &vault.spec;
        let key = if *with_key { Cell::from("here") } else { Cell::toned(Tone::Warning, "missing") };
        let credentials = match &spec.credentials {
            CredentialsSource::Environment => "environment".to_owned(),
            CredentialsSource::File(path) => path.clone(),
        };
        table.row([
            (&vault.metadata.name).into(),
            (&spec.url).into(),
            or_dash(&spec.site).into(),
            key,
            or_dash(&spec.endpoint).into(),
            credentials.into(),
        ]);
    }
    table.render(view)
}
