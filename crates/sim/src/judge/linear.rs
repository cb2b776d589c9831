//! Whether calls that overlapped can stand in one order: linearizability of one object.
//! Promise: "no order" is said only when every order was tried, "an order" only when one was found; a search that
//! meets its bound says so.
//! Not here: what the object is (`conversation`).
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the memory of Lowe
//! ("Testing for linearizability", 2017): a set of calls that have had their effect, with the state they made, is never
//! looked at twice. An object is judged by itself, because a history is linearizable where each of its objects is
//! (Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015).

use std::collections::HashSet;
use std::hash::Hash;

/// An object that does one thing at a time.
pub trait Object {
    /// What is done to it, with the answer that was seen.
    type Act;
    /// Its state.
    type State: Clone + Eq + Hash;

    /// The state in which nothing was done yet.
    fn begin(&self) -> Self::State;

    /// The state after an act, none where the act cannot have had its answer in this state.
    fn step(&self, state: &Self::State, act: &Self::Act) -> Option<Self::State>;
}

/// One call to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed<A> {
    /// What was done, and answered.
    pub act: A,
    /// When it was called.
    pub called: u64,
    /// When it came back. None: it may have its effect once, at any time after it was called, or never.
    pub returned: Option<u64>,
}

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The calls can stand in an order.
    Ordered,
    /// They cannot.
    NoOrder,
    /// More states than were allowed.
    NotDecided,
}

/// The calls that have had their effect: all before `all_before`, and those of the words, counted from there.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Done {
    all_before: usize,
    words: Box<[u64]>,
}

impl Done {
    fn none(calls: usize) -> Self {
        Self {
            all_before: 0,
            words: vec![0; calls.div_ceil(64)].into(),
        }
    }

    fn has(&self, at: usize) -> bool {
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    fn with(&self, at: usize) -> Self {
        let mut more = self.clone();
        more.words[at / 64] |= 1 << (at % 64);
        while more.all_before < more.words.len() * 64 && more.has(more.all_before) {
            more.all_before += 1;
        }
        more
    }
}

/// Looks for an order of calls in which each has its effect between its call and its return.
///
/// Two calls are side by side where one came back in the moment in which the other was called. At most `states_max`
/// states are looked at.
pub fn order<O: Object>(object: &O, calls: &[Timed<O::Act>], states_max: usize) -> Verdict {
    let mut calls: Vec<&Timed<O::Act>> = calls.iter().collect();
    calls.sort_by_key(|call| (call.called, call.returned.unwrap_or(u64::MAX)));
    let first = (Done::none(calls.len()), object.begin());
    let mut seen = HashSet::from([first.clone()]);
    let mut left = vec![first];
    while let Some((done, state)) = left.pop() {
        let open = (done.all_before..calls.len()).filter(|at| !done.has(*at));
        let ends = open.clone().filter_map(|at| calls[at].returned).min();
        let Some(ends) = ends else {
            // What is left may as well never have its effect.
            return Verdict::Ordered;
        };
        // The last one that is put on the stack is tried first: the one that was called first.
        let may_come: Vec<usize> = open.take_while(|at| calls[*at].called <= ends).collect();
        for at in may_come.into_iter().rev() {
            let Some(next) = object.step(&state, &calls[at].act) else {
                continue;
            };
            // A call without a return that changes nothing may as well never have its effect.
            if calls[at].returned.is_none() && next == state {
                continue;
            }
            let found = (done.with(at), next);
            if seen.contains(&found) {
                continue;
            }
            if seen.len() >= states_max {
                return Verdict::NotDecided;
            }
            seen.insert(found.clone());
            left.push(found);
        }
    }
    Verdict::NoOrder
}

/// The fewest calls that still have no order, as far as leaving out one after the other finds them: the places of the
/// calls whose return is needed for that, in the order in which they were called.
///
/// `soften` says what a call is without what its return says: with a later end, or nothing at all. Calls that cannot
/// be ordered within `states_max` states are given; each search is bounded so.
pub fn cannot_be_ordered<O: Object>(
    object: &O,
    calls: &[Timed<O::Act>],
    states_max: usize,
    soften: impl Fn(&Timed<O::Act>) -> Option<Timed<O::Act>>,
) -> Vec<usize>
where
    O::Act: Clone,
{
    let none = |kept: &[Option<Timed<O::Act>>]| {
        let kept: Vec<Timed<O::Act>> = kept.iter().flatten().cloned().collect();
        order(object, &kept, states_max) == Verdict::NoOrder
    };
    let until = |end: u64| -> Vec<Option<Timed<O::Act>>> {
        let by_then = |call: &Timed<O::Act>| call.returned.is_some_and(|at| at <= end);
        let kept = |call: &Timed<O::Act>| match call.called <= end {
            true if by_then(call) => Some(call.clone()),
            true => soften(call),
            false => None,
        };
        calls.iter().map(kept).collect()
    };
    // What has no order up to a moment has none later: the first such moment is found by halves.
    let mut ends: Vec<u64> = calls.iter().filter_map(|call| call.returned).collect();
    ends.sort_unstable();
    let first = ends.partition_point(|end| !none(&until(*end)));
    let Some(end) = ends.get(first) else {
        return Vec::new();
    };
    let mut kept = until(*end);
    let mut needed = Vec::new();
    for at in (0..kept.len()).rev() {
        let Some(call) = kept[at].take() else {
            continue;
        };
        kept[at] = soften(&call);
        let returned = call.returned.is_some();
        if !none(&kept) {
            kept[at] = Some(call);
            if returned {
                needed.push(at);
            }
        }
    }
    needed.sort_by_key(|at| (calls[*at].called, calls[*at].returned));
    needed
}
