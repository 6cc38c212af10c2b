//! What a request asks for, checked once, in the driver's own terms.

use std::collections::BTreeMap;

use tonic::Status;

use super::catalogue::{Form, Mode, Origin};
use super::wire::{CapacityRange, ContentSource, CreateVolume, VolumeCapability};
use super::{FORM, IMAGE, SHARED, TOPOLOGY};

/// Size of a volume for which none is asked.
const DEFAULT_SIZE: u64 = 1 << 30;

/// No volume is larger; the pool would say so only when it is full.
const LARGEST: u64 = 1 << 50;

/// `AccessMode.Mode` of the specification: for readers only, at one node and at several; and for writers of several.
const READERS: [i32; 2] = [2, 3];
const SEVERAL_WRITERS: [i32; 2] = [4, 5];

/// The specification's limit for a name or an id.
const NAME_LIMIT: usize = 128;

/// A field that must not be empty.
pub(super) fn required<'a>(field: &str, value: &'a str) -> Result<&'a str, Status> {
    if value.is_empty() {
        return Err(Status::invalid_argument(format!("{field} is missing")));
    }
    if value.len() > NAME_LIMIT && !field.ends_with("path") {
        return Err(Status::invalid_argument(format!("{field} is longer than {NAME_LIMIT} bytes")));
    }
    Ok(value)
}

/// The one mode of all capabilities.
pub(super) fn mode(capabilities: &[VolumeCapability]) -> Result<Mode, Status> {
    let mut modes = capabilities.iter().map(mode_of).collect::<Result<Vec<Mode>, Status>>()?;
    modes.dedup();
    match modes[..] {
        [mode] => Ok(mode),
        [] => Err(Status::invalid_argument("volume_capabilities is missing")),
        _ => Err(Status::invalid_argument("a volume is a block device or a file system, not both")),
    }
}

/// Whether a capability is for readers only.
pub(super) fn is_read_only(capability: &VolumeCapability) -> bool {
    capability.access_mode.as_ref().is_some_and(|access| READERS.contains(&access.mode))
}

/// Refuses access that a volume of this form does not bear: a directory has any number of pods beside each other,
/// the file system on an image one node that writes to it.
pub(super) fn check_access<'a>(
    mut capabilities: impl Iterator<Item = &'a VolumeCapability>,
    form: Form,
) -> Result<(), Status> {
    let several = |capability: &VolumeCapability| {
        capability.access_mode.as_ref().is_some_and(|access| SEVERAL_WRITERS.contains(&access.mode))
    };
    if form == Form::Image && capabilities.any(several) {
        return Err(Status::invalid_argument("an image of a disk is written to at one node at a time"));
    }
    Ok(())
}

/// The mode of one capability.
pub(super) fn mode_of(capability: &VolumeCapability) -> Result<Mode, Status> {
    match (&capability.block, &capability.mount) {
        (Some(_), None) => Ok(Mode::Block),
        (None, Some(_)) => Ok(Mode::Filesystem),
        _ => Err(Status::invalid_argument("access_type is missing")),
    }
}

/// Refuses parameters of a class that nobody knows, as a driver does whose storage would ignore them silently.
pub(super) fn check_parameters(parameters: &BTreeMap<String, String>, known: &[&str]) -> Result<(), Status> {
    // Kubernetes adds some of its own.
    let is_known = |key: &str| key.starts_with("csi.storage.k8s.io/") || known.contains(&key);
    match parameters.keys().find(|key| !is_known(key)) {
        Some(unknown) => Err(Status::invalid_argument(format!("there is no parameter {unknown}"))),
        None => Ok(()),
    }
}

/// The form that a StorageClass asks for, if it does.
pub(super) fn form(parameters: &BTreeMap<String, String>) -> Result<Option<Form>, Status> {
    match parameters.get(FORM).map(String::as_str) {
        None => Ok(None),
        Some(IMAGE) => Ok(Some(Form::Image)),
        Some(other) => Err(Status::invalid_argument(format!("{FORM}: {other} is not {IMAGE}"))),
    }
}

/// Bounds of a size in bytes, 0 for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Size {
    pub(super) fn of(range: Option<&CapacityRange>) -> Result<Self, Status> {
        let bytes = |bytes: i64| {
            u64::try_from(bytes).map_err(|_| Status::invalid_argument(format!("{bytes} is no size")))
        };
        let Some(range) = range else { return Ok(Self { least: 0, most: 0 }) };
        Ok(Self { least: bytes(range.required_bytes)?, most: bytes(range.limit_bytes)? })
    }

    /// Whether a volume of `size` bytes is what is asked for.
    pub(super) fn allows(self, size: u64) -> bool {
        size >= self.least && (self.most == 0 || size <= self.most)
    }

    /// The size to make, in whole pages and not below `floor`.
    pub(super) fn chosen(self, floor: u64) -> Result<u64, Status> {
        let asked = [self.least, self.most, DEFAULT_SIZE.max(floor)].into_iter().find(|size| *size > 0);
        let size = asked.unwrap_or(DEFAULT_SIZE).next_multiple_of(4096);
        if size < floor || size > LARGEST || (self.most > 0 && size > self.most) {
            let text = format!("{size} bytes are less than the source's {floor} or beyond the limit");
            return Err(Status::out_of_range(text));
        }
        Ok(size)
    }
}

/// What a volume is to be filled with.
pub(super) fn origin(source: Option<&ContentSource>) -> Result<Option<Origin>, Status> {
    let Some(source) = source else { return Ok(None) };
    match (&source.snapshot, &source.volume) {
        (Some(snapshot), None) => {
            Ok(Some(Origin::Snapshot(required("snapshot_id", &snapshot.id)?.to_owned())))
        }
        (None, Some(volume)) => Ok(Some(Origin::Volume(required("volume_id", &volume.id)?.to_owned()))),
        _ => Err(Status::invalid_argument("volume_content_source is neither snapshot nor volume")),
    }
}

/// The node from which a volume is to be reached: of a claim that waits for its pod, that pod's, else the one that
/// is liked best. None, which means all, if no node is named or the volume is to be shared.
pub(super) fn node(asked: &CreateVolume) -> Option<String> {
    if asked.parameters.get(SHARED).is_some_and(|shared| shared == "true") {
        return None;
    }
    let requirement = asked.accessibility.as_ref()?;
    let mut choices = requirement.preferred.iter().chain(&requirement.requisite);
    choices.find_map(|topology| topology.segments.get(TOPOLOGY).cloned())
}

/// Bytes as the protocol has them.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The error for an id that nothing has.
pub(super) fn no_such(what: &str, id: &str) -> Status {
    Status::not_found(format!("there is no {what} {id}"))
}

#[cfg(test)]
mod tests {
    use super::super::volumes::topology;
    use super::super::wire::{AccessMode, Empty, TopologyRequirement};
    use super::*;

    #[test]
    fn a_volume_is_at_the_node_that_is_liked_best_unless_it_is_shared() {
        let nodes = |names: &[&str]| names.iter().map(|name| topology(name)).collect();
        let mut asked = CreateVolume::default();
        assert_eq!(node(&asked), None);
        let required = TopologyRequirement { requisite: nodes(&["a", "b"]), preferred: nodes(&["b", "a"]) };
        asked.accessibility = Some(required);
        assert_eq!(node(&asked).as_deref(), Some("b"));
        asked.parameters.insert(SHARED.into(), "true".into());
        assert_eq!(node(&asked), None);
    }

    #[test]
    fn only_parameters_that_are_known_are_taken() {
        let check = |key: &str| check_parameters(&[(key.to_owned(), "x".to_owned())].into(), &[SHARED, FORM]);
        for known in [SHARED, FORM, "csi.storage.k8s.io/pvc/name"] {
            check(known).unwrap();
        }
        assert_eq!(check("replication").unwrap_err().code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn a_size_is_what_is_asked_for_or_an_error() {
        let size = |least, most| Size { least, most };
        assert_eq!(size(0, 0).chosen(0).unwrap(), DEFAULT_SIZE);
        assert_eq!(size(5000, 0).chosen(0).unwrap(), 8192);
        assert_eq!(size(0, 8192).chosen(0).unwrap(), 8192);
        assert_eq!(size(0, 0).chosen(2 << 30).unwrap(), 2 << 30, "a copy is as large as its source");
        for bad in [size(4096, 0).chosen(8192), size(5000, 6000).chosen(0), size(1 << 51, 0).chosen(0)] {
            assert_eq!(bad.unwrap_err().code(), tonic::Code::OutOfRange);
        }
    }

    #[test]
    fn only_a_directory_has_writers_at_several_nodes() {
        let capability = |mode| VolumeCapability {
            block: None,
            mount: Some(Empty {}),
            access_mode: Some(AccessMode { mode }),
        };
        for several in SEVERAL_WRITERS.map(capability) {
            check_access(std::iter::once(&several), Form::Tree).unwrap();
            let refused = check_access(std::iter::once(&several), Form::Image).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
        for other in [1, 2, 3, 6, 7].map(capability) {
            check_access(std::iter::once(&other), Form::Image).unwrap();
            assert_eq!(is_read_only(&other), READERS.contains(&other.access_mode.unwrap().mode));
        }
    }
}
