//! Which extents are read.

use super::parent::ParentDevice;
use super::{Reading, Source};
use crate::blocks::device::Device;
use crate::blocks::extents::ExtentSet;
use crate::blocks::geometry::Geometry;
use crate::blocks::ranges::Ranges;
use crate::findings::Recorder;

/// The extents to read, and what that says of all others.
pub(super) struct Selection {
    pub(super) extents: ExtentSet,
    pub(super) reading: Reading,
}

impl Selection {
    /// What is to be read by what the source says; everything, where it does not say enough.
    pub(super) fn of(
        source: Source,
        device: &Device,
        geometry: &Geometry,
        parent: Option<&ParentDevice>,
        recorder: &Recorder,
    ) -> Self {
        let named = match source {
            Source::Whole if parent.is_some() => {
                Err("no changed ranges were given; nothing that the vault holds was stored again".to_owned())
            }
            Source::Whole => return Self::whole(device, geometry),
            Source::Allocated(ranges) => Self::allocated(ranges, geometry),
            Source::Changed(ranges) => Self::changed(ranges, geometry, parent),
        };
        named.unwrap_or_else(|reason| {
            recorder.note(format!("all of the volume was read: {reason}"));
            Self::whole(device, geometry)
        })
    }

    /// Everything but the holes that the system knows of.
    pub(super) fn whole(device: &Device, geometry: &Geometry) -> Self {
        Self { extents: device.data(geometry), reading: Reading::Whole }
    }

    fn allocated(ranges: Ranges, geometry: &Geometry) -> Result<Self, String> {
        let extents = covering(ranges, geometry)
            .map_err(|error| format!("the allocated ranges could not be had: {error}"))?;
        Ok(Self { extents, reading: Reading::Allocated })
    }

    fn changed(ranges: Ranges, geometry: &Geometry, parent: Option<&ParentDevice>) -> Result<Self, String> {
        let parent = parent.ok_or("there is no parent snapshot that the changed ranges could refer to")?;
        let (before, now) = (parent.geometry().size(), geometry.size());
        if now < before {
            return Err(format!("it shrank from {before} to {now} bytes since the parent snapshot"));
        }
        let mut extents = covering(ranges, geometry)
            .map_err(|error| format!("the changed ranges could not be had: {error}"))?;
        // Whoever compares with the parent need not speak of what the parent did not have.
        extents.insert(geometry.covering(before..now));
        Ok(Self { extents, reading: Reading::Changed })
    }
}

fn covering(ranges: Ranges, geometry: &Geometry) -> std::io::Result<ExtentSet> {
    let mut extents = ExtentSet::none(geometry.extents());
    for range in ranges {
        extents.insert(geometry.covering(range?));
    }
    Ok(extents)
}
