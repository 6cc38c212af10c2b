//! Other names at a target, as they are given on the command line.

use clap::Args;
use holdfast_model::restore::Mapping;

use crate::error::Error;

/// What gets another name at the target.
#[derive(Debug, Args)]
pub(super) struct MappingArgs {
    /// What was in namespace OLD goes to namespace NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    namespace_map: Vec<String>,

    /// Make claims of storage class OLD with class NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    storage_class_map: Vec<String>,

    /// Make claims with access mode NEW instead of OLD, ReadWriteMany=ReadWriteOnce for instance; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    access_mode_map: Vec<String>,
}

impl MappingArgs {
    pub(super) fn mapping(&self) -> anyhow::Result<Mapping> {
        let parsed = Mapping::parse(&self.namespace_map, &self.storage_class_map)
            .and_then(|mapping| mapping.with_access_modes(&self.access_mode_map));
        Ok(parsed.map_err(|invalid| Error::Usage {
            what: invalid.to_string(),
            hint: "see --help of the command",
        })?)
    }
}
