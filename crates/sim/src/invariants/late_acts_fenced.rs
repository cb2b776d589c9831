//! Late acts of an earlier owner are fenced by the owner epoch.

use super::Found;

/// The rule's name.
pub const RULE: &str = "late acts of an earlier owner are fenced";

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It was done.
    Done,
    /// It was not, as far as anybody knows.
    NotDone,
}

/// An agent acted in an epoch, when the one in force was known to be another.
///
/// # Errors
/// When it was done in an earlier one.
pub fn check(agent: &str, (epoch, in_force): (u64, u64), act: Act) -> Found {
    match act == Act::Done && epoch < in_force {
        false => Ok(()),
        true => Err((
            RULE,
            format!("{agent} spoke in epoch {epoch}, which has passed"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_act_that_is_done_is_found() {
        assert_eq!(check("ana", (3, 3), Act::Done), Ok(()));
        assert_eq!(check("ana", (2, 3), Act::NotDone), Ok(()));
        let (rule, _) = check("ana", (2, 3), Act::Done).unwrap_err();
        assert_eq!(rule, RULE);
    }
}
