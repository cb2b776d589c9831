//! A stream has neither gap nor repeat.

use super::Found;

/// The rule's name.
pub const RULE: &str = "a stream has neither gap nor repeat";

/// A reader who had seen everything up to `cursor` gets this item.
///
/// # Errors
/// When it is not the next one.
pub fn check(reader: &str, cursor: u64, sequence: u64) -> Found {
    match sequence == cursor + 1 {
        true => Ok(()),
        false => Err((RULE, format!("{reader} got item {sequence} after {cursor}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_and_a_repeat_are_found() {
        assert_eq!(check("c", 3, 4), Ok(()));
        assert_eq!(check("c", 3, 5).unwrap_err().0, RULE);
        assert_eq!(check("c", 3, 3).unwrap_err().0, RULE);
    }
}
