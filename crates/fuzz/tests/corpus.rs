//! Every target over its seeds, over what earlier runs of the engine kept, and over mutations of both.
//! Promise: the same inputs at every run, in seconds.
//! Not here: looking for new inputs (`engine`).

use std::path::Path;

use fuzz::mutate::mutated;
use fuzz::pack::unpack;
use fuzz::{TARGETS, Target};

/// Mutations of each target. All targets take some seconds together.
const MUTATIONS: u64 = 400;

/// What the engine kept; none before its first run.
fn kept(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    match std::fs::read(folder.join(format!("{}.pack", target.name))) {
        Ok(pack) => unpack(&pack).expect("a pack of the repository is whole"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => panic!("the corpus of {} cannot be read: {error}", target.name),
    }
}

#[test]
fn no_seed_no_kept_input_and_no_mutation_of_them_breaks_a_claim() {
    for target in TARGETS {
        let mut inputs = (target.seeds)();
        assert!(!inputs.is_empty(), "{} has a seed", target.name);
        inputs.extend(kept(target));
        inputs.iter().for_each(|input| (target.run)(input));
        (0..MUTATIONS).for_each(|number| (target.run)(&mutated(&inputs, number)));
    }
}

#[test]
fn no_input_is_too_short_for_a_target() {
    for target in TARGETS {
        for input in [&[][..], &[0], &[1], &[0xff], &[0; 64]] {
            (target.run)(input);
        }
    }
}
