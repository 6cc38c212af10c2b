//! The Identity service, and the registration with the kubelet.

use tonic::Status;

use super::driver::Driver;
use super::wire::{
    BoolValue, Empty, PluginCapabilities, PluginCapability, PluginInfo, Probe, Registration,
    RegistrationStatus, Rpc,
};

/// `PluginCapability.Service` and `PluginCapability.VolumeExpansion` of the specification.
const CONTROLLER_SERVICE: i32 = 1;
const VOLUME_ACCESSIBILITY_CONSTRAINTS: i32 = 2;
const GROUP_CONTROLLER_SERVICE: i32 = 3;
const SNAPSHOT_METADATA_SERVICE: i32 = 4;
const ONLINE: i32 = 1;

impl Driver {
    pub(super) fn plugin_info(&self, _: Empty) -> Result<PluginInfo, Status> {
        Ok(PluginInfo { name: self.name.clone(), vendor_version: env!("CARGO_PKG_VERSION").into() })
    }

    pub(super) fn plugin_capabilities(&self, _: Empty) -> Result<PluginCapabilities, Status> {
        let service = |kind| PluginCapability { service: Some(Rpc { kind }), volume_expansion: None };
        let expansion = PluginCapability { service: None, volume_expansion: Some(Rpc { kind: ONLINE }) };
        let mut services = vec![CONTROLLER_SERVICE, VOLUME_ACCESSIBILITY_CONSTRAINTS];
        if self.snapshots {
            services.extend([GROUP_CONTROLLER_SERVICE, SNAPSHOT_METADATA_SERVICE]);
        }
        Ok(PluginCapabilities {
            capabilities: services.into_iter().map(service).chain([expansion]).collect(),
        })
    }

    pub(super) fn probe(&self, _: Empty) -> Result<Probe, Status> {
        Ok(Probe { ready: Some(BoolValue { value: true }) })
    }

    /// What the kubelet asks a plugin that it finds in its registry.
    pub(super) fn registration(&self, _: Empty) -> Result<Registration, Status> {
        Ok(Registration {
            kind: "CSIPlugin".into(),
            name: self.name.clone(),
            endpoint: self.socket.to_string_lossy().into_owned(),
            supported_versions: vec!["1.0.0".into()],
        })
    }

    pub(super) fn registered(&self, status: RegistrationStatus) -> Result<Empty, Status> {
        if !status.registered {
            eprintln!("the kubelet does not register {}: {}", self.name, status.error);
        }
        Ok(Empty {})
    }
}
