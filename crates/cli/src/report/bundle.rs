//! The file of a support bundle: a tar.gz with a list of sums.
//! Promise: `sha256sum -c SHA256SUMS` inside it holds; what a node calls its files cannot lead out of the
//! bundle's folder; readable by its owner alone.
//! Not here: what is in it (`report`).

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::failure::{Exit, Failure};

/// The folder that everything lies in.
const FOLDER: &str = "antiphon-report";
/// The list of sums.
const SUMS: &str = "SHA256SUMS";
/// Names agents and addresses: for its owner alone.
const MODE: u32 = 0o600;

/// Files with their contents, in order.
#[derive(Default)]
pub struct Bundle {
    files: Vec<(String, Vec<u8>)>,
}

impl Bundle {
    /// Adds a file of the cluster.
    pub fn add(&mut self, name: &str, content: Vec<u8>) {
        self.files.push((name.to_owned(), content));
    }

    /// Adds a file of the cluster, JSON.
    pub fn add_json(&mut self, name: &str, content: &serde_json::Value) {
        self.add(name, format!("{content:#}\n").into_bytes());
    }

    /// Adds a file of a node; a name that leads elsewhere is made harmless.
    pub fn add_of_node(&mut self, node: &str, name: &str, content: Vec<u8>) {
        let name = format!("nodes/{}/{}", harmless(node), harmless(name));
        self.add(&name, content);
    }

    /// The names, in order.
    #[cfg(test)]
    pub fn names(&self) -> Vec<&str> {
        self.files.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// A line for each file, as `sha256sum` writes them.
    fn sums(&self) -> String {
        let line = |(name, content): &(String, Vec<u8>)| format!("{}  {name}\n", sum(content));
        self.files.iter().map(line).collect()
    }
}

fn harmless(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let plain: String = name
        .chars()
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .collect();
    match plain.trim_matches('.') {
        "" => "_".to_owned(),
        _ => plain,
    }
}

fn sum(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sum of a file that was written.
pub fn sum_of(file: &Path) -> std::io::Result<String> {
    let mut content = Vec::new();
    File::open(file)?.read_to_end(&mut content)?;
    Ok(sum(&content))
}

/// Writes the bundle to a file that does not exist yet; how many files are in it. It has its name only when it
/// is whole and on the disk: half a bundle would pass for a whole one.
pub fn write(path: &Path, bundle: &Bundle) -> Result<usize, Failure> {
    // Told before the work: what is made next to it would be made for nothing.
    if path.symlink_metadata().is_ok() {
        let exists = std::io::ErrorKind::AlreadyExists.into();
        return Err(unwritable(path, &exists));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = write_in(folder, path, bundle);
    written.map_err(|error| unwritable(path, &error))?;
    Ok(bundle.files.len() + 1)
}

fn write_in(folder: &Path, path: &Path, bundle: &Bundle) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!(".{name}.{}.part", std::process::id()));
    let mut options = File::options();
    let file = options
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&unfinished)?;
    // A second name is refused where the first one exists, unlike a move. The first one goes in any case.
    let packed = pack(file, bundle).and_then(|()| std::fs::hard_link(&unfinished, path));
    let removed = std::fs::remove_file(&unfinished);
    packed.and(removed)?;
    File::open(folder)?.sync_all()
}

fn pack(file: File, bundle: &Bundle) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(MODE);
        archive.append_data(&mut header, format!("{FOLDER}/{name}"), content)
    };
    for (name, content) in &bundle.files {
        add(name, content)?;
    }
    add(SUMS, bundle.sums().as_bytes())?;
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.sync_all()
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        return Failure::plain(format!("{} exists and is left as it is", path.display()))
            .with_reason("FILE_EXISTS")
            .with_exit(Exit::Refused)
            .with_next("antiphon report save OTHER-FILE.tar.gz");
    }
    Failure::unwritable(path, error)
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    fn bundle() -> Bundle {
        let mut bundle = Bundle::default();
        bundle.add("meta.json", b"{}\n".to_vec());
        bundle.add_of_node("fra-n1", "log.txt", b"a line\n".to_vec());
        bundle
    }

    #[test]
    fn what_was_written_is_read_back_and_its_sums_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.tar.gz");
        assert_eq!(write(&path, &bundle()).unwrap(), 3);
        let mut archive = tar::Archive::new(GzDecoder::new(File::open(&path).unwrap()));
        let mut read = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            read.push((name, text));
        }
        let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "antiphon-report/meta.json",
                "antiphon-report/nodes/fra-n1/log.txt",
                "antiphon-report/SHA256SUMS"
            ]
        );
        // Of `{}` and a line's end, by sha256sum.
        let first = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356  meta.json\n";
        assert!(read[2].1.starts_with(first), "{}", read[2].1);
        assert_eq!(read[1].1, "a line\n");
    }

    #[test]
    fn a_file_that_exists_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.tar.gz");
        std::fs::write(&path, "mine").unwrap();
        let failure = write(&path, &bundle()).unwrap_err();
        assert_eq!(
            (failure.exit, failure.reason.as_deref()),
            (Exit::Refused, Some("FILE_EXISTS"))
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_bundle_that_cannot_be_finished_leaves_nothing_under_its_name_or_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.tar.gz");
        let mut bundle = bundle();
        // No tar has room for such a name: the packing fails when a part of it is written.
        bundle.add("a\0b", vec![b'x'; 100_000]);
        let failure = write(&path, &bundle).unwrap_err();
        assert_eq!(failure.exit, Exit::Error, "{failure:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_comes_meanwhile_is_left_as_it_is_and_a_whole_one_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.tar.gz");
        write(&path, &bundle()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let before = std::fs::read(&path).unwrap();
        let error = write_in(dir.path(), &path, &Bundle::default()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_nodes_name_of_a_file_cannot_lead_out() {
        let mut bundle = Bundle::default();
        bundle.add_of_node("..", "../../etc/passwd", Vec::new());
        bundle.add_of_node("a/b", "", Vec::new());
        assert_eq!(bundle.names(), ["nodes/_/.._.._etc_passwd", "nodes/a_b/_"]);
    }
}
