//! The GroupController service: snapshots of several volumes, of one moment.

use std::collections::BTreeSet;

use tonic::Status;

use super::catalogue::{Group, Kept, Snapshot};
use super::cut::Wanted;
use super::driver::Driver;
use super::request::{check_parameters, no_such, required};
use super::snapshots::{described, timestamp};
use super::wire::{self, CreateGroup, DescribedGroup, Empty, GroupById, ServiceCapabilities};

/// `GroupControllerServiceCapability.RPC` of the specification: create, delete and get.
const GROUP_SNAPSHOTS: i32 = 1;

impl Driver {
    pub(super) fn group_capabilities(&self, _: Empty) -> Result<ServiceCapabilities, Status> {
        Ok(ServiceCapabilities::of(&[GROUP_SNAPSHOTS]))
    }

    pub(super) fn create_group(&self, asked: CreateGroup) -> Result<DescribedGroup, Status> {
        let id = Group::id_of(required("name", &asked.name)?);
        check_parameters(&asked.parameters, &[])?;
        let volumes: BTreeSet<String> = asked.volume_ids.into_iter().collect();
        if volumes.is_empty() {
            return Err(Status::invalid_argument("source_volume_ids is missing"));
        }
        let _held = self.pool.lock()?;
        if let Some(group) = self.catalogue.get::<Group>(&id)? {
            if group.volumes != volumes {
                return Err(Status::already_exists(format!("{} is of other volumes", asked.name)));
            }
            return self.describe(&group);
        }
        let wanted = volumes.iter().map(|volume| self.member(&id, volume)).collect::<Result<Vec<_>, _>>()?;
        let snapshots = self.take_snapshots(&wanted)?;
        let taken = snapshots.first().map_or(0, |snapshot| snapshot.taken);
        let snapshots = snapshots.into_iter().map(|snapshot| snapshot.id).collect();
        let group = Group { id, volumes, snapshots, taken };
        self.catalogue.put(&group)?;
        self.describe(&group)
    }

    /// The snapshot of a volume that a group shall have.
    fn member(&self, group: &str, volume: &str) -> Result<Wanted, Status> {
        let id = Snapshot::id_of(&format!("{group}/{volume}"));
        Ok(Wanted { volume: self.volume(volume)?, id, group: Some(group.to_owned()) })
    }

    pub(super) fn get_group(&self, asked: GroupById) -> Result<DescribedGroup, Status> {
        let id = required("group_snapshot_id", &asked.id)?;
        let group = self.catalogue.get::<Group>(id)?.ok_or_else(|| no_such("group snapshot", id))?;
        check_members(&group, asked.snapshot_ids)?;
        self.describe(&group)
    }

    pub(super) fn delete_group(&self, asked: GroupById) -> Result<Empty, Status> {
        let id = required("group_snapshot_id", &asked.id)?;
        let _held = self.pool.lock()?;
        let Some(group) = self.catalogue.get::<Group>(id)? else { return Ok(Empty {}) };
        check_members(&group, asked.snapshot_ids)?;
        // The group goes last: a call that is cut off here can be made again.
        for member in &group.snapshots {
            if let Some(snapshot) = self.catalogue.get::<Snapshot>(member)? {
                self.remove_snapshot(&snapshot)?;
            }
        }
        self.catalogue.remove(id)?;
        Ok(Empty {})
    }

    fn describe(&self, group: &Group) -> Result<DescribedGroup, Status> {
        let mut snapshots = Vec::new();
        for id in &group.snapshots {
            let member = self.catalogue.get::<Snapshot>(id)?.ok_or_else(|| no_such("snapshot", id))?;
            snapshots.push(described(&member));
        }
        let (group_id, created) = (group.id.clone(), Some(timestamp(group.taken)));
        Ok(DescribedGroup { group: Some(wire::Group { group_id, snapshots, created, ready: true }) })
    }
}

/// Whether a request knows what is in the group that it names.
fn check_members(group: &Group, named: Vec<String>) -> Result<(), Status> {
    if named.into_iter().collect::<BTreeSet<String>>() == group.snapshots {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("snapshot_ids are not those of group snapshot {}", group.id)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::super::catalogue::Mode;
    use super::super::trial::Trial;
    use super::*;

    /// Two volumes of either mode, in the order in which a step is written to them.
    const VOLUMES: [(&str, Mode); 4] = [
        ("files", Mode::Filesystem),
        ("disk", Mode::Block),
        ("more-files", Mode::Filesystem),
        ("more-disk", Mode::Block),
    ];

    /// Where steps are written to: a file of a mounted volume, or the device.
    fn place(shown: &Path, mode: Mode) -> PathBuf {
        if mode == Mode::Block { shown.to_owned() } else { shown.join("step") }
    }

    /// Writes step after step to one file after the other, each surely written before the next.
    fn write_steps(files: &[File], done: &AtomicU64, stop: &AtomicBool) {
        for step in 1_u64.. {
            for file in files {
                file.write_all_at(&step.to_le_bytes(), 0).unwrap();
                file.sync_all().unwrap();
            }
            done.store(step, Ordering::SeqCst);
            if stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    #[test]
    fn a_group_is_never_out_of_step() {
        let trial = Trial::start("csi-group");
        let volumes = VOLUMES.map(|(name, mode)| trial.volume(name, mode, None));
        let open = |(volume, (_, mode)): (&String, (&str, Mode))| {
            let path = place(&trial.publish(volume, mode, false), mode);
            File::options().write(true).create(true).truncate(false).open(path).unwrap()
        };
        let files: Vec<File> = volumes.iter().zip(VOLUMES).map(open).collect();
        let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let groups: Vec<(u64, Vec<String>)> = std::thread::scope(|scope| {
            scope.spawn(|| write_steps(&files, &done, &stop));
            let take = |n: u64| {
                while done.load(Ordering::SeqCst) < 3 * n {
                    std::thread::yield_now();
                }
                (done.load(Ordering::SeqCst), trial.group(&format!("group {n}"), &volumes))
            };
            let groups = (1..=8).map(take).collect();
            stop.store(true, Ordering::SeqCst);
            groups
        });
        for (done_before, snapshots) in groups {
            let steps: Vec<u64> = snapshots
                .iter()
                .zip(VOLUMES)
                .map(|(snapshot, (_, mode))| step_in(&trial, snapshot, mode))
                .collect();
            assert!(steps[0] >= done_before, "{steps:?} of {done_before} that were done");
            assert!(steps.is_sorted_by(|a, b| a >= b) && steps[0] - steps[3] <= 1, "{steps:?}");
        }
    }

    /// What was written last before a snapshot was taken.
    fn step_in(trial: &Trial, snapshot: &str, mode: Mode) -> u64 {
        let volume = trial.volume(snapshot, mode, Some(snapshot));
        let mut step = [0; 8];
        let file = File::open(place(&trial.publish(&volume, mode, true), mode)).unwrap();
        file.read_exact_at(&mut step, 0).unwrap();
        drop(file);
        trial.unpublish(&volume);
        u64::from_le_bytes(step)
    }

    #[test]
    fn a_group_goes_as_a_whole() {
        let trial = Trial::start("csi-whole");
        let volumes = ["a", "b"].map(|name| trial.volume(name, Mode::Block, None));
        let snapshots = trial.group("g", &volumes);
        assert_eq!(trial.group("g", &volumes), snapshots, "asked again");
        let other =
            CreateGroup { name: "g".into(), volume_ids: vec![volumes[0].clone()], ..CreateGroup::default() };
        assert_eq!(trial.driver.create_group(other).unwrap_err().code(), tonic::Code::AlreadyExists);
        let alone = wire::ById { id: snapshots[0].clone() };
        assert_eq!(trial.driver.delete_snapshot(alone).unwrap_err().code(), tonic::Code::InvalidArgument);
        let group = trial.driver.catalogue.all::<Group>().unwrap().remove(0);
        let named =
            |snapshot_ids: &[String]| GroupById { id: group.id.clone(), snapshot_ids: snapshot_ids.to_vec() };
        let known = trial.driver.get_group(named(&snapshots)).unwrap().group.unwrap();
        assert!(known.snapshots.iter().all(|member| member.created == known.created && member.ready));
        let half = trial.driver.delete_group(named(&snapshots[..1])).unwrap_err();
        assert_eq!(half.code(), tonic::Code::InvalidArgument);
        trial.driver.delete_group(named(&snapshots)).unwrap();
        assert!(trial.driver.catalogue.all::<Snapshot>().unwrap().is_empty());
        assert_eq!(trial.driver.get_group(named(&snapshots)).unwrap_err().code(), tonic::Code::NotFound);
        trial.driver.delete_group(named(&[])).unwrap();
    }
}
