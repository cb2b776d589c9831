//! Cell time never runs back.

use super::Rule;
use super::frame::{About, At, Found, Invariant, Whole, broken};
use super::known::Known;

#[derive(Default)]
pub(super) struct TimeNeverRunsBack;

impl Invariant for TimeNeverRunsBack {
    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        check(before.state.now().0, after.state.now().0)
    }

    fn begins(&mut self, known: &Known, at: &At<'_>) -> Found {
        check(known.now.0, at.state.now().0)
    }
}

fn check(was: u64, is: u64) -> Found {
    if is >= was {
        return Ok(());
    }
    let what = format!("cell time ran from {was} to {is}");
    broken(Rule::TimeNeverRunsBack, About::Cell, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::ids::CellTime;

    #[test]
    fn time_that_goes_on_or_stands_holds() {
        let (floor, ..) = busy();
        let mut made = Made::of(&floor);
        assert_eq!(made.judged(), Ok(()));
        made.after.meta.now = floor.state().now().plus_ms(5);
        assert_eq!(made.judged(), Ok(()));
    }

    #[test]
    fn time_that_runs_back_is_seen() {
        let (floor, ..) = busy();
        let mut made = Made::of(&floor);
        made.after.meta.now = CellTime(1);
        assert_eq!(made.breaks(), Rule::TimeNeverRunsBack);
        let found = step(&TimeNeverRunsBack, &made.before, &made.after);
        assert_eq!(rule_of(found), Some(Rule::TimeNeverRunsBack));
    }
}
