//! An acknowledged message is never absent: every later read has it, at every node, closed and archived ones included.

use std::collections::BTreeSet;

use super::Found;
use super::facts::{Facts, Seen};

/// The rule's name.
pub const RULE: &str = "an acknowledged message is never absent";

/// A read that was asked for then shows these messages.
///
/// # Errors
/// When one is missing that was acknowledged before it was asked for.
pub fn check(facts: &Facts, called_us: u64, messages: &[Seen]) -> Found {
    let read: BTreeSet<&str> = messages.iter().map(|(_, id)| id.as_str()).collect();
    let before = facts
        .acknowledged
        .iter()
        .filter(|(_, at)| **at <= called_us);
    for (id, at) in before {
        if !read.contains(id.as_str()) {
            let seen = format!(
                "message {id} was acknowledged at {:.3} s and is missing in a read asked at {:.3} s",
                *at as f64 / 1e6,
                called_us as f64 / 1e6
            );
            return Err((RULE, seen));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_acknowledged_message_is_found() {
        let mut facts = Facts::default();
        facts.acknowledged.insert("a".to_owned(), 10);
        assert_eq!(check(&facts, 5, &[]), Ok(()), "asked before");
        assert_eq!(check(&facts, 11, &[(2, "a".to_owned())]), Ok(()));
        let (rule, _) = check(&facts, 11, &[]).unwrap_err();
        assert_eq!(rule, RULE);
    }
}
