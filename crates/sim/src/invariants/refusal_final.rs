//! A refusal is final: what was refused for good never stands anywhere.

use super::Found;
use super::facts::Facts;

/// The rule's name.
pub const RULE: &str = "a refusal is final";

/// A message stands at a place, by anybody's word.
///
/// # Errors
/// When it was refused for good.
pub fn check_placed(facts: &Facts, place: u64, id: &str) -> Found {
    match facts.refused.contains(id) {
        false => Ok(()),
        true => {
            let seen = format!("message {id} stands at {place} and was refused for good");
            Err((RULE, seen))
        }
    }
}

/// A message is refused for good.
///
/// # Errors
/// When it stands somewhere.
pub fn check_refused(facts: &Facts, id: &str, why: &str) -> Found {
    match facts.by_id.get(id) {
        None => Ok(()),
        Some(place) => {
            let seen = format!("message {id} was refused ({why}) and stands at {place}");
            Err((RULE, seen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_message_that_appears_is_found_in_either_order() {
        let mut facts = Facts::default();
        facts.refused.insert("a".to_owned());
        assert_eq!(check_placed(&facts, 2, "b"), Ok(()));
        assert_eq!(check_placed(&facts, 2, "a").unwrap_err().0, RULE);
        facts.place(3, "b");
        assert_eq!(check_refused(&facts, "c", "CLOSED"), Ok(()));
        assert_eq!(check_refused(&facts, "b", "CLOSED").unwrap_err().0, RULE);
    }
}
