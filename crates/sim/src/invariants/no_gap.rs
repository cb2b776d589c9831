//! Entries are applied one after the other: whoever follows all nodes sees each of them.

use super::Found;

/// The rule's name.
pub const RULE: &str = "the log has no gap";

/// The next entry is applied, where `next` is the one that is due.
///
/// # Errors
/// When it is a later one.
pub fn check(next: u64, index: u64) -> Found {
    match index <= next {
        true => Ok(()),
        false => Err((RULE, format!("no node showed entry {next}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_found() {
        assert_eq!(check(3, 3), Ok(()));
        assert_eq!(check(3, 2), Ok(()), "seen before");
        let (rule, _) = check(3, 4).unwrap_err();
        assert_eq!(rule, RULE);
    }
}
