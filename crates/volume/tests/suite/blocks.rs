//! Block devices go into the vault and come back as they were.

use std::ops::Range;

use crate::support::blocks::{Image, Loop, Stored, capture, ranges, restore, run};
use crate::support::{Bench, noise};
use holdfast_volume::blocks::{Before, Reading, RestoreOptions, SEGMENT, Source};
use proptest::prelude::*;

const EXTENT: u64 = 128 << 10;
const MIB: u64 = 1 << 20;

fn options(before: Before) -> RestoreOptions {
    RestoreOptions { before, sync: false, verify: true, ..RestoreOptions::default() }
}

async fn whole(bench: &Bench, image: &Image) -> Stored {
    capture(&bench.repository, &image.path, None, Source::Whole).await.unwrap()
}

async fn changed(bench: &Bench, image: &Image, parent: &Stored, named: Vec<Range<u64>>) -> Stored {
    let source = Source::Changed(ranges(named));
    capture(&bench.repository, &image.path, Some(parent), source).await.unwrap()
}

/// Restores in all three ways and compares.
async fn comes_back(bench: &Bench, stored: &Stored, expected: &[u8]) {
    for before in [Before::Zeros, Before::Unknown, Before::Alike] {
        let target = Image::new(bench.dir.path(), "restored", expected.len() as u64);
        if before != Before::Zeros {
            target.write(0, &noise(99, expected.len()));
        }
        let restored = restore(&bench.repository, &stored.snapshot, &target.path, options(before)).await;
        let restored = restored.unwrap();
        assert_eq!(restored.findings.problem_count, 0, "{:?}", restored.findings);
        assert!(target.content() == expected, "{before:?}: something else was restored");
    }
}

#[derive(Debug, Clone)]
struct Write {
    /// Part of the image at which it begins.
    at: f64,
    length: usize,
    /// Zeros, or noise of this seed.
    seed: Option<u64>,
}

fn write() -> impl Strategy<Value = Write> {
    let length = prop_oneof![1..5_000_usize, Just(EXTENT as usize), 1..400_000_usize];
    (0.0..1.0, length, prop::option::weighted(0.8, 1..1000_u64)).prop_map(|(at, length, seed)| Write {
        at,
        length,
        seed,
    })
}

fn apply(image: &Image, writes: &[Write]) -> Vec<Range<u64>> {
    let range = |write: &Write| {
        let start = (image.size() as f64 * write.at) as u64;
        start..(start + write.length as u64).min(image.size())
    };
    for write in writes {
        let Range { start, end } = range(write);
        let length = (end - start) as usize;
        image.write(start, &write.seed.map_or(vec![0; length], |seed| noise(seed, length)));
    }
    writes.iter().map(range).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_image_comes_back_and_an_increment_is_as_good_as_a_whole(
        size in prop_oneof![0..600_000_u64, (0..24u64).prop_map(|n| n * EXTENT)],
        first in prop::collection::vec(write(), 0..8),
        second in prop::collection::vec(write(), 0..5),
        grows in prop_oneof![Just(0u64), 1..400_000u64],
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let bench = Bench::new().await;
            let image = Image::new(bench.dir.path(), "image", size);
            apply(&image, &first);
            let parent = whole(&bench, &image).await;
            comes_back(&bench, &parent, &image.content()).await;
            image.resize(size + grows);
            let named = apply(&image, &second);
            let child = changed(&bench, &image, &parent, named).await;
            comes_back(&bench, &child, &image.content()).await;
            let source = Source::Whole;
            let again = capture(&bench.repository, &image.path, Some(&parent), source).await.unwrap();
            assert_eq!(child.tree(), again.tree());
            assert_eq!(child.captured.report.allocated, again.captured.report.allocated);
            assert_eq!(child.captured.report.changed, again.captured.report.changed);
            assert_eq!(again.stats.bytes_added, 0, "nothing is new to the vault");
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_is_read_and_unchanged_segments_are_kept() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 3 * SEGMENT + 12_345);
    for offset in [0, SEGMENT - 100_000, 2 * SEGMENT + 5, 3 * SEGMENT + 1] {
        image.write(offset, &noise(offset, 200_000.min((image.size() - offset) as usize)));
    }
    let parent = whole(&bench, &image).await;
    let report = parent.captured.report;
    assert_eq!((report.size, report.reading), (image.size(), Reading::Whole));
    assert_eq!((report.allocated, report.changed), (report.read, report.read), "holes are not read");
    assert!(report.read < 2 * MIB, "{report:?}");
    image.write(2 * SEGMENT + 5 * MIB + 4096, &noise(8, MIB as usize));
    let named = 2 * SEGMENT + 5 * MIB + 4096..2 * SEGMENT + 6 * MIB + 4096;
    let child = changed(&bench, &image, &parent, vec![named]).await;
    let report = child.captured.report;
    assert_eq!((report.reading, report.read), (Reading::Changed, 9 * EXTENT));
    assert_eq!(report.changed, 9 * EXTENT);
    assert_eq!(report.allocated, parent.captured.report.allocated + 9 * EXTENT);
    assert!(child.captured.findings.notes.is_empty(), "{:?}", child.captured.findings.notes);
    // The segment, the volume and the root; and the report of the capture is the same.
    assert_eq!(child.stats.tree_blobs, 3);
    let target = Image::new(bench.dir.path(), "restored", image.size());
    let restored =
        restore(&bench.repository, &child.snapshot, &target.path, options(Before::Zeros)).await.unwrap();
    assert_eq!(restored.bytes, image.size());
    assert!(target.allocated() < 4 * MIB, "holes stay holes: {}", target.allocated());
    run("cmp", &[image.path.to_str().unwrap(), target.path.to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn allocated_ranges_are_all_that_is_read() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 8 * MIB);
    image.write(0, &noise(1, 8 << 20));
    let source = Source::Allocated(ranges([MIB..2 * MIB, 5 * MIB + 1..5 * MIB + 2]));
    let stored = capture(&bench.repository, &image.path, None, source).await.unwrap();
    let report = stored.captured.report;
    assert_eq!((report.reading, report.read, report.allocated), (Reading::Allocated, 9 * EXTENT, 9 * EXTENT));
    let mut expected = vec![0; 8 << 20];
    for Range { start, end } in [MIB..2 * MIB, 5 * MIB..5 * MIB + EXTENT] {
        expected[start as usize..end as usize].copy_from_slice(&image.read(start, (end - start) as usize));
    }
    comes_back(&bench, &stored, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_are_stored_once_whether_written_or_not() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 20 * MIB + 1);
    let holes = whole(&bench, &image).await;
    assert_eq!((holes.captured.report.read, holes.captured.report.allocated), (0, 0));
    // A whole extent of zeros, the last one of one byte, the description, and the report.
    assert_eq!(holes.stats.data_blobs, 4);
    image.write(0, &vec![0; 20 << 20]);
    let written = whole(&bench, &image).await;
    assert!(written.captured.report.read >= 20 * MIB);
    assert_eq!((written.tree(), written.stats.data_blobs), (holes.tree(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_changed_ranges_everything_is_read_and_nothing_stored_twice() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 4 * MIB);
    image.write(0, &noise(1, 4 << 20));
    let parent = whole(&bench, &image).await;
    image.write(MIB, &noise(2, 1000));
    let cut = || Box::new([Ok(0..10), Err(std::io::Error::other("stream closed"))].into_iter());
    for (source, why) in
        [(Source::Whole, "no changed ranges were given"), (Source::Changed(cut()), "stream closed")]
    {
        let child = capture(&bench.repository, &image.path, Some(&parent), source).await.unwrap();
        let report = child.captured.report;
        assert_eq!((report.reading, report.read, report.changed), (Reading::Whole, 4 * MIB, EXTENT));
        let notes = &child.captured.findings.notes;
        assert!(notes.len() == 1 && notes[0].contains(why), "{notes:?}");
        assert_eq!(child.captured.findings.problem_count, 0);
        assert!(child.stats.bytes_added < 2 * EXTENT, "{:?}", child.stats);
        comes_back(&bench, &child, &image.content()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shrunk_device_is_read_anew_and_says_so() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 3 * MIB);
    image.write(0, &noise(1, 3 << 20));
    let parent = whole(&bench, &image).await;
    image.resize(2 * MIB - 77);
    let child = changed(&bench, &image, &parent, Vec::new()).await;
    assert!(child.captured.findings.notes[0].contains("shrank"), "{:?}", child.captured.findings.notes);
    comes_back(&bench, &child, &image.content()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grown_device_keeps_the_extents_of_its_parent() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 64 * SEGMENT);
    image.write(64 * SEGMENT - 10, &noise(1, 10));
    let parent = whole(&bench, &image).await;
    image.resize(65 * SEGMENT);
    image.write(64 * SEGMENT, &noise(2, 10));
    let child = changed(&bench, &image, &parent, Vec::new()).await;
    let report = child.captured.report;
    assert_eq!((report.extent_size, report.reading), (EXTENT as u32, Reading::Changed));
    assert_eq!((report.read, report.allocated), (SEGMENT, 2 * EXTENT));
    let alone = whole(&bench, &image).await;
    assert_eq!(alone.captured.report.extent_size, 256 << 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_place_only_what_differs_is_written() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 16 * MIB);
    image.write(0, &noise(1, 12 << 20));
    let stored = whole(&bench, &image).await;
    let before = image.content();
    image.write(3 * MIB + 7, b"other");
    image.write(5 * MIB, &vec![0; EXTENT as usize]);
    image.write(14 * MIB, b"what was zero");
    let restored =
        restore(&bench.repository, &stored.snapshot, &image.path, options(Before::Alike)).await.unwrap();
    assert_eq!(restored.bytes_written, 2 * EXTENT, "and a hole is made without writing");
    assert!(image.content() == before);
    let again =
        restore(&bench.repository, &stored.snapshot, &image.path, options(Before::Alike)).await.unwrap();
    assert_eq!(again.bytes_written, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_too_small_is_refused_and_a_larger_one_keeps_its_end() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", MIB + 5);
    image.write(0, &noise(1, MIB as usize + 5));
    let stored = whole(&bench, &image).await;
    let target = Image::new(bench.dir.path(), "onto", MIB + 4);
    let error = restore(&bench.repository, &stored.snapshot, &target.path, options(Before::Unknown)).await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), "volume.too_small");
    assert!(error.to_string().contains("1048580") && error.to_string().contains("1048581"), "{error}");
    target.resize(2 * MIB);
    target.write(MIB + 5, b"not ours");
    restore(&bench.repository, &stored.snapshot, &target.path, options(Before::Unknown)).await.unwrap();
    assert!(target.read(0, MIB as usize + 5) == image.content());
    assert_eq!((target.size(), target.read(MIB + 5, 8)), (2 * MIB, b"not ours".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_captured_and_restored_like_a_file() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 9 * MIB + 512);
    image.write(2 * MIB + 9, &noise(1, 3 << 20));
    image.write(9 * MIB, &noise(2, 512));
    let device = Loop::over(&image);
    let stored = capture(&bench.repository, device.path(), None, Source::Whole).await.unwrap();
    assert_eq!(stored.captured.report.size, 9 * MIB + 512);
    for before in [Before::Unknown, Before::Alike] {
        let target = Image::new(bench.dir.path(), "onto", 10 * MIB);
        target.write(0, &noise(3, 10 << 20));
        let onto = Loop::over(&target);
        let restored = restore(&bench.repository, &stored.snapshot, onto.path(), options(before)).await;
        assert_eq!(restored.unwrap().findings.problem_count, 0);
        drop(onto);
        assert!(target.read(0, 9 * MIB as usize + 512) == image.content(), "{before:?}");
        assert!(target.read(9 * MIB + 512, 100) == noise(3, 10 << 20)[9 * MIB as usize + 512..][..100]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_in_use_is_not_written_to() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 32 * MIB);
    let stored = whole(&bench, &image).await;
    run("mkfs.ext4", &["-q", image.path.to_str().unwrap()]);
    let device = Loop::over(&image);
    run("mount", &[device.path().to_str().unwrap(), bench.target().to_str().unwrap()]);
    let error = restore(&bench.repository, &stored.snapshot, device.path(), options(Before::Unknown)).await;
    run("umount", &[bench.target().to_str().unwrap()]);
    let error = error.unwrap_err();
    assert_eq!(error.code(), "volume.device");
    assert!(error.to_string().contains("busy"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_cannot_be_read_ends_the_capture_and_the_byte_is_named() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 4 * MIB);
    image.write(0, &noise(1, 4 << 20));
    let device = Loop::over(&image);
    // The kernel answers with EIO where the file below the device has ended.
    image.resize(3 * MIB);
    let error = capture(&bench.repository, device.path(), None, Source::Whole).await.err().unwrap();
    assert_eq!(error.code(), "volume.read");
    assert!(error.to_string().contains("byte 3145728"), "{error}");
    assert!(bench.repository.snapshots().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mounted_file_system_writes_is_seen_by_the_next_capture() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 64 * MIB);
    run("mkfs.ext4", &["-q", image.path.to_str().unwrap()]);
    let device = Loop::over(&image);
    let mount = bench.target();
    run("mount", &[device.path().to_str().unwrap(), mount.to_str().unwrap()]);
    let first = capture(&bench.repository, device.path(), None, Source::Whole).await.unwrap();
    let needle = noise(77, EXTENT as usize * 4);
    std::fs::write(mount.join("f"), &needle).unwrap();
    run("sync", &["--file-system", mount.to_str().unwrap()]);
    let second = capture(&bench.repository, device.path(), Some(&first), Source::Whole).await.unwrap();
    run("umount", &[mount.to_str().unwrap()]);
    let target = Image::new(bench.dir.path(), "restored", 64 * MIB);
    restore(&bench.repository, &second.snapshot, &target.path, options(Before::Zeros)).await.unwrap();
    let content = target.content();
    assert!(content.chunks(1024).any(|block| block == &needle[..1024]), "pages of the device were stale");
}
