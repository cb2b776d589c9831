//! Fewest faults that still fail.
//! Promise: what is given back fails as the whole did; at most [`RUNS_MAX`] runs are made.
//! Not here: running (`main` starts a process for each attempt, so that none meets what another left behind).
//!
//! The way is that of delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
//! 2002): leave out a part; where it still fails, go on without that part; where nothing can be left out, try smaller
//! parts.

/// Attempts, each a whole run.
pub const RUNS_MAX: usize = 200;

/// The numbers without those that the failure does not need.
pub fn shrink(numbers: &[usize], mut fails: impl FnMut(&[usize]) -> bool) -> Vec<usize> {
    let mut needed = numbers.to_vec();
    let mut part = needed.len().div_ceil(2);
    let mut runs = 0;
    while part > 0 && !needed.is_empty() {
        let mut from = 0;
        let mut left_out = false;
        while from < needed.len() && runs < RUNS_MAX {
            let to = (from + part).min(needed.len());
            let without: Vec<usize> = [&needed[..from], &needed[to..]].concat();
            runs += 1;
            if fails(&without) {
                needed = without;
                left_out = true;
            } else {
                from = to;
            }
        }
        if runs >= RUNS_MAX {
            break;
        }
        part = match (part, left_out) {
            (1, true) => 1,
            (1, false) => 0,
            (part, _) => part.div_ceil(2),
        };
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_together_stays_and_nothing_else() {
        let all: Vec<usize> = (0..100).collect();
        let needs = |numbers: &[usize]| numbers.contains(&17) && numbers.contains(&80);
        assert_eq!(shrink(&all, needs), [17, 80]);
    }

    #[test]
    fn what_fails_without_any_fault_needs_none() {
        assert_eq!(shrink(&[1, 2, 3], |_| true), [] as [usize; 0]);
    }

    #[test]
    fn attempts_are_bounded_and_what_is_left_fails() {
        let all: Vec<usize> = (0..1_000).collect();
        let mut runs = 0;
        let odd =
            |numbers: &[usize]| numbers.iter().filter(|number| **number % 2 == 1).count() == 500;
        let left = shrink(&all, |numbers| {
            runs += 1;
            odd(numbers)
        });
        assert!(runs <= RUNS_MAX);
        assert!(odd(&left));
    }
}
