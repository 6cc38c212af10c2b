//! The SnapshotMetadata service: which blocks of a snapshot have data, and which changed since another.

use std::fs::File;
use std::ops::Range;

use tonic::Status;

use super::catalogue::{Form, Snapshot};
use super::changes::changes;
use super::driver::Driver;
use super::request::{no_such, required, signed};
use super::rpc::Answers;
use super::wire::{Block, GetAllocated, GetDelta, Metadata};
use crate::error::{At, Result};
use crate::kernel::extents::Extents;

/// `BlockMetadataType` of the specification.
const VARIABLE_LENGTH: i32 = 2;

/// How many ranges an answer has: unless asked for fewer, and at most.
const USUAL: usize = 1024;
const MOST: usize = 8192;

/// The unit in which data is shared: a client that goes on behind a range need not get less than one.
const UNIT: u64 = 4096;

/// The image of a snapshot, which stays readable if the snapshot is deleted meanwhile.
struct Image {
    snapshot: Snapshot,
    file: File,
}

impl Image {
    fn extents(self, driver: &Driver, from: u64) -> Extents {
        let path = driver.pool.snapshot(&self.snapshot);
        Extents::of(self.file, &path, from)
    }
}

impl Driver {
    pub(super) fn allocated(&self, asked: &GetAllocated, answers: &Answers<Metadata>) -> Result<(), Status> {
        let per_answer = per_answer(asked.max_results)?;
        let [image] = self.images([("snapshot_id", &asked.snapshot_id)])?;
        let size = image.snapshot.size;
        let within = within(asked.starting_offset, size)?;
        let extents = image.extents(self, within.start);
        self.send(changes(std::iter::empty(), extents, within), size, per_answer, answers)
    }

    pub(super) fn delta(&self, asked: &GetDelta, answers: &Answers<Metadata>) -> Result<(), Status> {
        let per_answer = per_answer(asked.max_results)?;
        let named = [("base_snapshot_id", &asked.base_id), ("target_snapshot_id", &asked.target_id)];
        let [base, target] = self.images(named)?;
        let (older, newer) = (&base.snapshot, &target.snapshot);
        if older.volume != newer.volume || older.taken > newer.taken {
            let text = format!("{} is no earlier snapshot of the volume of {}", older.id, newer.id);
            return Err(Status::invalid_argument(text));
        }
        let size = newer.size;
        let within = within(asked.starting_offset, size)?;
        let (base, target) = (base.extents(self, within.start), target.extents(self, within.start));
        self.send(changes(base, target, within), size, per_answer, answers)
    }

    /// Opens the images of snapshots, each given with the name of the field that names it.
    fn images<const N: usize>(&self, named: [(&str, &String); N]) -> Result<[Image; N], Status> {
        let _held = self.pool.lock()?;
        let mut images = Vec::with_capacity(N);
        for (field, id) in named {
            let id = required(field, id)?;
            let snapshot = self.catalogue.get::<Snapshot>(id)?.ok_or_else(|| no_such("snapshot", id))?;
            if snapshot.form == Form::Tree {
                let text = format!("snapshot {id} is of a directory: no blocks are known of it");
                return Err(Status::failed_precondition(text));
            }
            let path = self.pool.snapshot(&snapshot);
            let file = File::open(&path).at("open", path)?;
            images.push(Image { snapshot, file });
        }
        images.try_into().map_err(|_| Status::internal("an image is missing"))
    }

    /// Sends ranges as they are found; the size of the volume is sent even if there are none.
    fn send(
        &self,
        mut ranges: impl Iterator<Item = Result<Range<u64>>>,
        size: u64,
        per_answer: usize,
        answers: &Answers<Metadata>,
    ) -> Result<(), Status> {
        let block =
            |range: Range<u64>| Block { offset: signed(range.start), size: signed(range.end - range.start) };
        let breaks = self.next_stream_breaks()?;
        let per_answer = if breaks { 1 } else { per_answer };
        let mut sent = false;
        loop {
            let blocks = ranges.by_ref().take(per_answer).map(|range| range.map(block));
            let blocks = blocks.collect::<Result<Vec<Block>>>()?;
            if blocks.is_empty() && sent {
                return Ok(());
            }
            answers.send(Metadata { block_type: VARIABLE_LENGTH, capacity: signed(size), blocks })?;
            if breaks {
                return Err(Status::unavailable("the stream breaks off"));
            }
            sent = true;
        }
    }
}

/// The bytes that are asked about.
fn within(starting_offset: i64, size: u64) -> Result<Range<u64>, Status> {
    let start = u64::try_from(starting_offset).ok().filter(|start| *start <= size);
    let start = start.ok_or_else(|| {
        Status::out_of_range(format!("starting_offset {starting_offset} is not in 0 to {size}"))
    })?;
    Ok(start - start % UNIT..size)
}

fn per_answer(max_results: i32) -> Result<usize, Status> {
    match usize::try_from(max_results) {
        Ok(0) => Ok(USUAL),
        Ok(most) => Ok(most.min(MOST)),
        Err(_) => Err(Status::invalid_argument(format!("max_results is {max_results}, below zero"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use tonic::Code;

    use super::super::catalogue::Mode;
    use super::super::trial::{SIZE, Trial};
    use super::*;

    const UNIT_SIZE: usize = 4096;

    /// A device that is written to, and the snapshots that are taken of it.
    struct Disk {
        device: File,
        volume: String,
        // Last, as it takes the device away.
        trial: Trial,
    }

    impl Disk {
        fn new(name: &str) -> Self {
            let trial = Trial::start(name);
            let volume = trial.volume("disk", Mode::Block, None);
            let device = trial.publish(&volume, Mode::Block, false);
            let device = File::options().write(true).open(device).unwrap();
            Self { device, volume, trial }
        }

        /// Writes `byte` to blocks, so many units apart that there is something between them.
        fn write(&self, byte: u8, first: u64, apart: usize) {
            for unit in (first..SIZE / UNIT).step_by(apart) {
                self.device.write_all_at(&[byte; UNIT_SIZE], unit * UNIT).unwrap();
            }
            self.device.sync_all().unwrap();
        }

        fn snapshot(&self, name: &str) -> String {
            self.trial.snapshot(name, &self.volume)
        }

        fn bytes(&self, snapshot: &str) -> Vec<u8> {
            let snapshot = self.trial.driver.catalogue.get::<Snapshot>(snapshot).unwrap().unwrap();
            std::fs::read(self.trial.driver.pool.snapshot(&snapshot)).unwrap()
        }

        fn allocated(&self, id: &str, offset: i64, most: i32) -> Result<Vec<Metadata>, Status> {
            let asked = GetAllocated { snapshot_id: id.into(), starting_offset: offset, max_results: most };
            Answers::of(|answers| self.trial.driver.allocated(&asked, answers))
        }

        fn delta(&self, base: &str, target: &str, offset: i64, most: i32) -> Result<Vec<Metadata>, Status> {
            let (base_id, target_id) = (base.into(), target.into());
            let asked = GetDelta { base_id, target_id, starting_offset: offset, max_results: most };
            Answers::of(|answers| self.trial.driver.delta(&asked, answers))
        }
    }

    /// The units that answers name, which are in order and do not overlap.
    fn units(answers: &[Metadata], most: usize) -> Vec<u64> {
        let mut units = Vec::new();
        let mut end = 0;
        for answer in answers {
            assert_eq!((answer.block_type, answer.capacity), (VARIABLE_LENGTH, signed(SIZE)));
            assert!(answer.blocks.len() <= most);
            for block in &answer.blocks {
                assert!(block.offset >= end && block.size > 0, "{block:?} behind {end}");
                end = block.offset + block.size;
                let unit = |bytes: i64| u64::try_from(bytes).unwrap() / UNIT;
                units.extend(unit(block.offset)..unit(end));
            }
        }
        units
    }

    fn differing(base: &[u8], target: &[u8]) -> Vec<u64> {
        let pairs = base.chunks(UNIT_SIZE).zip(target.chunks(UNIT_SIZE));
        (0..).zip(pairs).filter(|(_, (was, is))| was != is).map(|(unit, _)| unit).collect()
    }

    #[test]
    fn exactly_what_was_written_is_found() {
        let disk = Disk::new("csi-delta");
        disk.write(1, 0, 5);
        let base = disk.snapshot("base");
        disk.write(2, 7, 31);
        let target = disk.snapshot("target");
        disk.write(3, 0, 3);
        let (was, is) = (disk.bytes(&base), disk.bytes(&target));
        let zeros = vec![0; was.len()];
        assert_eq!(units(&disk.allocated(&base, 0, 0).unwrap(), USUAL), differing(&zeros, &was));
        assert_eq!(units(&disk.allocated(&target, 0, 100).unwrap(), 100), differing(&zeros, &is));
        let found = disk.delta(&base, &target, 0, 7).unwrap();
        assert_eq!(units(&found, 7), differing(&was, &is));
        assert!(found.len() > 50, "more than one batch of the kernel's: {}", found.len());
        assert_eq!(units(&disk.delta(&base, &base, 0, 0).unwrap(), USUAL), [0; 0]);
    }

    #[test]
    fn what_was_interrupted_goes_on_where_it_was() {
        let disk = Disk::new("csi-offset");
        disk.write(1, 0, 2);
        let base = disk.snapshot("base");
        disk.write(2, 3, 9);
        let target = disk.snapshot("target");
        let all = units(&disk.delta(&base, &target, 0, 0).unwrap(), USUAL);
        for from in [0, all[10] * UNIT, all[10] * UNIT + 1, (all[10] + 1) * UNIT, SIZE] {
            let rest: Vec<u64> = all.iter().copied().filter(|unit| (unit + 1) * UNIT > from).collect();
            assert_eq!(units(&disk.delta(&base, &target, signed(from), 0).unwrap(), USUAL), rest, "{from}");
        }
    }

    #[test]
    fn holes_that_were_punched_have_changed() {
        let disk = Disk::new("csi-holes");
        disk.write(1, 0, 1);
        let base = disk.snapshot("base");
        let range = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&disk.device, range, 64 * UNIT, 8 * UNIT).unwrap();
        disk.device.sync_all().unwrap();
        let target = disk.snapshot("target");
        assert_eq!(units(&disk.delta(&base, &target, 0, 0).unwrap(), USUAL), Vec::from_iter(64..72));
    }

    #[test]
    fn what_cannot_be_answered_is_refused_as_specified() {
        let disk = Disk::new("csi-refused");
        let (base, target) = (disk.snapshot("base"), disk.snapshot("target"));
        let code = |answer: Result<Vec<Metadata>, Status>| answer.unwrap_err().code();
        assert_eq!(code(disk.allocated("", 0, 0)), Code::InvalidArgument);
        assert_eq!(code(disk.allocated(&base, 0, -1)), Code::InvalidArgument);
        assert_eq!(code(disk.allocated("s-nothing", 0, 0)), Code::NotFound);
        assert_eq!(code(disk.allocated(&base, -1, 0)), Code::OutOfRange);
        assert_eq!(code(disk.delta(&base, &target, signed(SIZE + 1), 0)), Code::OutOfRange);
        assert_eq!(code(disk.delta(&target, &base, 0, 0)), Code::InvalidArgument, "the other way round");
        let empty = disk.delta(&base, &target, 0, 0).unwrap();
        assert_eq!(empty.len(), 1, "the capacity is told even of nothing");
        disk.trial.driver.delete_snapshot(super::super::wire::ById { id: base.clone() }).unwrap();
        assert_eq!(code(disk.delta(&base, &target, 0, 0)), Code::NotFound, "a base has to exist");
    }
}
