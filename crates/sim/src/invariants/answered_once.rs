//! A request id is answered once: a message has one place.

use super::Found;
use super::facts::Facts;

/// The rule's name.
pub const RULE: &str = "a request id is answered once";

/// A message stands at a place, by anybody's word.
///
/// # Errors
/// When it stood at another.
pub fn check(facts: &Facts, place: u64, id: &str) -> Found {
    match facts.by_id.get(id) {
        Some(other) if *other != place => Err((
            RULE,
            format!("message {id} stands at {place} and at {other}"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_at_two_places_is_found() {
        let mut facts = Facts::default();
        facts.place(2, "a");
        assert_eq!(check(&facts, 2, "a"), Ok(()));
        let (rule, _) = check(&facts, 5, "a").unwrap_err();
        assert_eq!(rule, RULE);
    }
}
