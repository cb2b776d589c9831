//! Transcripts are the same for everybody: one message at a place.

use super::Found;
use super::facts::Facts;

/// The rule's name.
pub const RULE: &str = "transcripts are the same for everybody";

/// A message stands at a place, by anybody's word.
///
/// # Errors
/// When another one stood there.
pub fn check(facts: &Facts, place: u64, id: &str) -> Found {
    match facts.by_place.get(&place) {
        Some(other) if other != id => Err((
            RULE,
            format!("message {id} stands at {place}, where {other} stood"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_messages_at_a_place_are_found() {
        let mut facts = Facts::default();
        facts.place(2, "a");
        assert_eq!(check(&facts, 2, "a"), Ok(()));
        assert_eq!(check(&facts, 3, "b"), Ok(()));
        let (rule, _) = check(&facts, 2, "b").unwrap_err();
        assert_eq!(rule, RULE);
    }
}
