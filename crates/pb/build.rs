//! Compiles every schema under `proto/` with protox, so that no protoc is needed.

use std::path::{Path, PathBuf};

fn schemas(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("the proto folder is part of the repository");
    for entry in entries {
        let path = entry.expect("a directory entry can be read").path();
        if path.is_dir() {
            schemas(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    schemas(&root, &mut files);
    files.sort();
    let descriptors = match protox::compile(&files, [&root]) {
        Ok(descriptors) => descriptors,
        Err(error) => panic!("the schemas do not compile: {error:?}"),
    };
    #[allow(
        clippy::disallowed_methods,
        reason = "cargo passes OUT_DIR in no other way"
    )]
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let bytes = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(out.join("antiphon.bin"), bytes).expect("OUT_DIR is writable");
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)
        .expect("prost generates code from checked descriptors");
}
