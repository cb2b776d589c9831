//! Mutations without an engine: the same number makes the same change.
//! Promise: no dependency, no randomness but the number's own.
//! Not here: looking for inputs by coverage (`engine`).

use crate::INPUT_BYTES_MAX;

/// Numbers that a length, a count or a place may not survive.
const EDGES: [u64; 8] = [
    0,
    1,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    u32::MAX as u64,
    u64::MAX,
];
/// Changes of one input.
const CHANGES_MAX: u64 = 4;

/// Numbers from one number (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The input that `number` makes of one of `seeds`.
#[must_use]
pub fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut numbers = Numbers(number);
    let empty = Vec::new();
    let other = seeds.get(numbers.below(seeds.len())).unwrap_or(&empty);
    let mut input = seeds
        .get(numbers.below(seeds.len()))
        .unwrap_or(&empty)
        .clone();
    for _ in 0..=numbers.next() % CHANGES_MAX {
        change(&mut input, other, &mut numbers);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let at = numbers.below(input.len());
    let end = (at + 1 + numbers.below(16)).min(input.len());
    match numbers.next() % 8 {
        0 if !input.is_empty() => input[at] ^= 1 << numbers.below(8),
        1 if !input.is_empty() => input[at] = numbers.next() as u8,
        2 => input.insert(at, numbers.next() as u8),
        3 if !input.is_empty() => drop(input.drain(at..end)),
        4 => {
            let edge = EDGES[numbers.below(EDGES.len())].to_le_bytes();
            let width = 1 << numbers.below(4);
            let spot = input.iter_mut().skip(at);
            spot.zip(&edge[..width])
                .for_each(|(byte, new)| *byte = *new);
        }
        5 => input.truncate(at),
        6 => {
            let from = numbers.below(other.len());
            let part = &other[from..(from + 1 + numbers.below(64)).min(other.len())];
            input.splice(at..at, part.iter().copied());
        }
        _ => {
            let twice = input[at.min(end)..end].to_vec();
            input.splice(at..at, twice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_makes_the_same_input_each_time_and_numbers_make_different_ones() {
        let seeds = vec![b"one seed".to_vec(), b"another".to_vec()];
        let made: Vec<_> = (0..64).map(|number| mutated(&seeds, number)).collect();
        assert_eq!(made[7], mutated(&seeds, 7));
        let mut distinct = made.clone();
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 48, "{} of 64 differ", distinct.len());
        assert!((0..64).all(|number| mutated(&[], number).len() <= INPUT_BYTES_MAX));
    }
}
