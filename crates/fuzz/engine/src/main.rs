//! libFuzzer around one target, chosen by `--target=NAME`, which libFuzzer passes by.
//! Promise: `--fill=DIR` writes the target's seeds and what earlier runs kept, and runs nothing; `--pack=DIR`
//! packs a folder of inputs, smallest first, to `--into=FILE`.
//! Not here: the targets (`fuzz`); building it so that coverage is counted (`run.sh`).

#![no_main]

use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use fuzz::{Target, pack};
use libfuzzer_sys::fuzz_target;

/// Bytes of one target's pack: 21 targets keep less than 200 KiB in the repository.
const PACK_BYTES_MAX: usize = 9 * 1024;

static TARGET: OnceLock<&Target> = OnceLock::new();

fn argument(name: &str) -> Option<String> {
    std::env::args().find_map(|argument| Some(argument.strip_prefix(name)?.to_owned()))
}

/// Reads the arguments; does not return where they ask for something else than a run.
fn begin() {
    let name = argument("--target=").unwrap_or_default();
    let Some(target) = fuzz::target(&name) else {
        fuzz::TARGETS.iter().for_each(|target| println!("{}", target.name));
        exit(i32::from(!name.is_empty()));
    };
    let done = match (argument("--fill="), argument("--pack="), argument("--into=")) {
        (Some(folder), ..) => fill(target, Path::new(&folder)),
        (None, Some(folder), Some(file)) => keep(Path::new(&folder), Path::new(&file)),
        _ => {
            TARGET.get_or_init(|| target);
            return;
        }
    };
    if let Err(error) = done {
        eprintln!("{error}");
        exit(1);
    }
    exit(0);
}

fn fill(target: &Target, folder: &Path) -> std::io::Result<()> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let kept = std::fs::read(kept.join(format!("{}.pack", target.name))).unwrap_or_default();
    let seeds = (target.seeds)().into_iter();
    std::fs::create_dir_all(folder)?;
    for (number, input) in seeds.chain(pack::unpack(&kept).unwrap_or_default()).enumerate() {
        std::fs::write(folder.join(format!("kept-{number}")), input)?;
    }
    Ok(())
}

fn keep(folder: &Path, file: &Path) -> std::io::Result<()> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        inputs.push(std::fs::read(entry?.path())?);
    }
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    let mut bytes = pack::pack(&[]).len();
    inputs.retain(|input| {
        bytes += input.len() + 4;
        bytes <= PACK_BYTES_MAX
    });
    std::fs::write(file, pack::pack(&inputs))
}

fuzz_target!(
    init: begin(),
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);
