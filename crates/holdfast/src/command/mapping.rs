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

    /// Pull images whose names begin with OLD from NEW instead, docker.io=registry.bank/hub for instance; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    image_map: Vec<String>,

    /// Give Ingresses and routes for domain OLD, and for what is below it, the domain NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    host_map: Vec<String>,

    /// Give Ingresses of class OLD the class NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    ingress_class_map: Vec<String>,

    /// Let pods that choose nodes with label KEY=OLD choose those with KEY=NEW; may be given several times
    #[arg(long, value_name = "KEY=OLD:NEW")]
    node_label_map: Vec<String>,
}

impl MappingArgs {
    pub(super) fn mapping(&self) -> anyhow::Result<Mapping> {
        let parsed = Mapping::parse(&self.namespace_map, &self.storage_class_map)
            .and_then(|mapping| mapping.with_access_modes(&self.access_mode_map))
            .and_then(|mapping| mapping.with_images(&self.image_map))
            .and_then(|mapping| mapping.with_hosts(&self.host_map))
            .and_then(|mapping| mapping.with_ingress_classes(&self.ingress_class_map))
            .and_then(|mapping| mapping.with_node_labels(&self.node_label_map));
        Ok(parsed.map_err(|invalid| Error::Usage {
            what: invalid.to_string(),
            hint: "see --help of the command",
        })?)
    }
}
