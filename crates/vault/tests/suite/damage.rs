//! Damage to any file of a repository is found and named, and what is undamaged still comes back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::files::copy_directory;
use crate::support::walk;
use holdfast_vault::{
    BlobId, CheckOptions, CheckReport, IndexSource, NodeKind, OpenOptions, Repository, Snapshot,
    WriterOptions,
};

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Deleted,
    Emptied,
    Halved,
    OneByteShort,
    /// One bit at this part of the file, in sixteenths.
    Flipped(usize),
    /// The content of another file of the same kind, or of noise of the same length.
    Replaced,
}

const DAMAGES: [Damage; 8] = [
    Damage::Deleted,
    Damage::Emptied,
    Damage::Halved,
    Damage::OneByteShort,
    Damage::Flipped(0),
    Damage::Flipped(8),
    Damage::Flipped(15),
    Damage::Replaced,
];

/// A repository with two snapshots that share most files.
struct Scene {
    directory: tempfile::TempDir,
    roots: Vec<BlobId>,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("source");
        for n in 0..6u64 {
            let folder = source.join(format!("folder{n}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("text"), crate::support::text(n, 40_000)).unwrap();
            std::fs::write(folder.join("noise"), crate::support::noise(100 + n, 700_000)).unwrap();
        }
        let repository = crate::support::create(&directory.path().join("repository")).await;
        let mut roots = Vec::new();
        for n in 0..2u64 {
            std::fs::write(source.join("folder0/text"), crate::support::text(50 + n, 50_000)).unwrap();
            roots.push(store(&repository, &source).await);
        }
        Self { directory, roots }
    }

    fn pristine(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    /// A copy to be damaged.
    fn copy(&self) -> PathBuf {
        let copy = self.directory.path().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        copy_directory(&self.pristine(), &copy);
        copy
    }

    /// Files of the repository by the directory they lie in, `config` being one of its own.
    fn kinds(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let root = self.pristine();
        let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in files_below(&root) {
            let path = path.strip_prefix(&root).unwrap().to_owned();
            let kind = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            kinds.entry(kind).or_default().push(path);
        }
        kinds
    }
}

async fn store(repository: &Repository, source: &Path) -> BlobId {
    let writer = repository.writer(WriterOptions::default()).await.unwrap();
    let (stores, source) = (writer.clone(), source.to_owned());
    let root = tokio::task::spawn_blocking(move || walk::store_directory(&stores, &source)).await.unwrap();
    writer.commit(Snapshot::new(jiff::Timestamp::UNIX_EPOCH, root)).await.unwrap();
    writer.close().await.unwrap();
    root
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut rest = vec![directory.to_owned()];
    while let Some(next) = rest.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { rest.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn inflict(damage: Damage, path: &Path, sibling: Option<&Path>) {
    let mut bytes = std::fs::read(path).unwrap();
    let length = bytes.len();
    match damage {
        Damage::Deleted => return std::fs::remove_file(path).unwrap(),
        Damage::Emptied => bytes.clear(),
        Damage::Halved => bytes.truncate(length / 2),
        Damage::OneByteShort => bytes.truncate(length - 1),
        Damage::Flipped(sixteenths) => bytes[length * sixteenths / 16] ^= 0x10,
        Damage::Replaced => {
            bytes =
                sibling.map_or_else(|| crate::support::noise(7, length), |path| std::fs::read(path).unwrap());
        }
    }
    std::fs::write(path, bytes).unwrap();
}

/// The files that still come back; each that does must be right, byte for byte.
async fn readable(repository: &Repository, scene: &Scene) -> usize {
    let Ok(reader) = repository.reader().await else { return 0 };
    let wanted = walk::facts(&scene.directory.path().join("source"));
    let mut right = 0;
    let Ok(root) = reader.tree(&scene.roots[1]).await else { return 0 };
    for folder in &root.nodes {
        let Some(subtree) = folder.subtree else { continue };
        let Ok(tree) = reader.tree(&subtree).await else { continue };
        for node in tree.nodes.iter().filter(|node| node.kind == NodeKind::File) {
            let mut content = Vec::new();
            if reader.file(node, &mut content).await.is_err() {
                continue;
            }
            let name = [&folder.name[..], b"/", &node.name].concat();
            assert!(wanted[&name].content == content, "{} came back wrong", String::from_utf8_lossy(&name));
            right += 1;
        }
    }
    right
}

async fn check(repository: &Repository, read_data: bool) -> Result<CheckReport, holdfast_vault::Error> {
    repository.check(CheckOptions { read_data }, |_| {}).await
}

/// Opens the damaged copy and looks at all of it. What was said of the damage, and how many files came back.
async fn examine(copy: &Path, scene: &Scene) -> (Vec<String>, usize) {
    match Repository::open(crate::support::store(copy), &crate::support::password()).await {
        Err(error) => (vec![error.to_string()], 0),
        Ok(repository) => {
            let mut said = Vec::new();
            for read_data in [false, true] {
                match check(&repository, read_data).await {
                    Ok(report) => {
                        said.extend(report.findings.iter().map(|f| format!("{}: {}", f.object, f.problem)))
                    }
                    Err(error) => said.push(error.to_string()),
                }
            }
            // Where index files are damaged, the packs' own headers say where everything is.
            let options = OpenOptions { index: IndexSource::PackHeaders, ..OpenOptions::default() };
            let by_headers =
                Repository::open_with(crate::support::store(copy), &crate::support::password(), options)
                    .await
                    .unwrap();
            let files = readable(&repository, scene).await.max(readable(&by_headers, scene).await);
            (said, files)
        }
    }
}

const ALL_FILES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn an_undamaged_repository_is_clean() {
    let scene = Scene::new().await;
    let (said, files) = examine(&scene.copy(), &scene).await;
    assert_eq!((said, files), (Vec::<String>::new(), ALL_FILES));
}

/// Every file of every kind with every damage: nothing panics, nothing wrong is taken for right, and the file is named.
#[tokio::test(flavor = "multi_thread")]
async fn damage_to_any_file_is_found_and_named() {
    let scene = Scene::new().await;
    let mut overlooked = Vec::new();
    for (kind, files) in scene.kinds() {
        for (at, file) in files.iter().enumerate() {
            for damage in DAMAGES {
                let copy = scene.copy();
                let sibling = files.get((at + 1) % files.len()).filter(|other| *other != file);
                let sibling = sibling.map(|other| scene.pristine().join(other));
                inflict(damage, &copy.join(file), sibling.as_deref());
                let (said, _) = examine(&copy, &scene).await;
                let case = format!("{damage:?} {}", file.display());
                // A snapshot or a lock that is gone has left no trace, as if it had never been.
                if matches!(damage, Damage::Deleted) && kind == "snapshots" {
                    continue;
                }
                // Of an index or key file that is gone only what it was for is missed.
                let indirect =
                    matches!(damage, Damage::Deleted) && ["index", "keys"].contains(&kind.as_str());
                let name = file.file_name().unwrap().to_string_lossy();
                let named = said.iter().any(|text| text.contains(&name[..name.len().min(8)]));
                if said.is_empty() || !(named || indirect) {
                    overlooked.push(format!("{case}: {said:?}"));
                }
            }
        }
    }
    assert!(overlooked.is_empty(), "{overlooked:#?}");
}

/// A damaged pack costs the files in it and no others; a damaged index or snapshot costs none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_undamaged_comes_back() {
    let scene = Scene::new().await;
    let kinds = scene.kinds();
    for file in kinds["index"].iter().chain(&kinds["snapshots"]) {
        let copy = scene.copy();
        inflict(Damage::Halved, &copy.join(file), None);
        let (_, files) = examine(&copy, &scene).await;
        assert_eq!(files, ALL_FILES, "{} costs files", file.display());
    }
    let mut best = 0;
    for file in &kinds["data"] {
        let copy = scene.copy();
        // Near the beginning: one blob of the pack.
        inflict(Damage::Flipped(1), &copy.join(file), None);
        let (_, files) = examine(&copy, &scene).await;
        best = best.max(files);
    }
    assert!(best >= ALL_FILES - 2, "one flipped bit costs at best {} files", ALL_FILES - best);
}
