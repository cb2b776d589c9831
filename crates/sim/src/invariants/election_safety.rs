//! One leader in a term.

use std::collections::BTreeMap;

use super::Breach;

/// The rule's name.
pub const RULE: &str = "election safety";

/// Who led a group in which term.
#[derive(Debug, Default)]
pub struct Leaders {
    by_term: BTreeMap<u64, usize>,
}

impl Leaders {
    /// A node says that it leads in a term; whether that is news.
    ///
    /// # Errors
    /// When another one led in that term.
    pub fn leads(&mut self, node: usize, term: u64) -> Result<bool, Breach> {
        match self.by_term.insert(term, node) {
            Some(other) if other != node => {
                Err((RULE, format!("node {node} leads, and node {other} did")))
            }
            Some(_) => Ok(false),
            None => Ok(true),
        }
    }

    /// Terms in which somebody led.
    #[must_use]
    pub fn terms(&self) -> u64 {
        self.by_term.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_may_lead_in_a_term_and_say_so_again() {
        let mut leaders = Leaders::default();
        assert_eq!(leaders.leads(0, 5), Ok(true));
        assert_eq!(leaders.leads(0, 5), Ok(false));
        assert_eq!(leaders.leads(1, 6), Ok(true));
        assert_eq!(leaders.terms(), 2);
    }

    #[test]
    fn two_leaders_in_a_term_are_found() {
        let mut leaders = Leaders::default();
        assert_eq!(leaders.leads(0, 5), Ok(true));
        let (rule, _) = leaders.leads(1, 5).unwrap_err();
        assert_eq!(rule, RULE);
    }
}
