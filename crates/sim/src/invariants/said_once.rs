//! What was said once stands once: whoever calls again for the same message keeps its request id.

use std::collections::BTreeSet;

use super::Found;

/// The rule's name.
pub const RULE: &str = "what was said once stands once";

/// The texts of a transcript, of which each was said once.
///
/// # Errors
/// When one stands twice.
pub fn check<'t>(texts: impl IntoIterator<Item = &'t str>) -> Found {
    let mut known = BTreeSet::new();
    for text in texts {
        if !known.insert(text) {
            let seen = format!("it stands twice under two request ids: {text}");
            return Err((RULE, seen));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_stands_twice_is_found() {
        assert_eq!(check(["ann at 1", "ann at 2"]), Ok(()));
        let (rule, _) = check(["ann at 1", "bob at 1", "ann at 1"]).unwrap_err();
        assert_eq!(rule, RULE);
    }
}
