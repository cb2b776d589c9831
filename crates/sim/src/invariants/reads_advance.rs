//! Reads never run back: one that is asked for after another has come back shows as much.

use super::Found;
use super::facts::Facts;

/// The rule's name.
pub const RULE: &str = "reads never run back";

/// A read that was asked for then ends at this place.
///
/// # Errors
/// When one that had come back before ended later.
pub fn check(facts: &Facts, called_us: u64, last: u64) -> Found {
    let earlier = facts.reads.iter().filter(|(_, at)| *at <= called_us);
    let most = earlier.map(|(last, _)| *last).max().unwrap_or(0);
    match last < most {
        false => Ok(()),
        true => {
            let seen = format!("a read ends at {last}, and one before it ended at {most}");
            Err((RULE, seen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_runs_back_is_found() {
        let mut facts = Facts::default();
        facts.reads.push((5, 2));
        assert_eq!(check(&facts, 1, 4), Ok(()), "side by side");
        assert_eq!(check(&facts, 4, 5), Ok(()));
        let (rule, _) = check(&facts, 4, 4).unwrap_err();
        assert_eq!(rule, RULE);
    }
}
