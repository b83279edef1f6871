//! The files of this repository, for the tests that read it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is where it was built")
}

/// Every text file that is ours and has one of these extensions, with its text: its path from the
/// root, sorted. What is built or fetched is left out.
pub(crate) fn texts(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let root = root();
    let mut texts = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory of the repository is readable") {
            let path = entry.expect("an entry of the repository is readable").path();
            let local = path.strip_prefix(&root).expect("the walk began at the root").to_owned();
            let name = local.file_name().expect("an entry has a name");
            let is_foreign = [".git", "target", "node_modules"].iter().any(|known| name == *known)
                || local == Path::new("data");
            if is_foreign {
                continue;
            }
            let kind = path.symlink_metadata().expect("an entry of the repository has metadata");
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file()
                && local.extension().is_some_and(|have| extensions.iter().any(|want| have == *want))
            {
                let text = fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{} is not text: {error}", local.display()));
                texts.push((local, text));
            }
        }
    }
    texts.sort();
    texts
}
