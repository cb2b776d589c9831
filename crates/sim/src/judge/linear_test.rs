//! The search, on a register whose histories are known from the literature, and against trying every order.

use runtime::Random;

use super::linear::{Object, Timed, Verdict, cannot_be_ordered, order};

/// More than any of these histories needs.
const STATES_MAX: usize = 10_000;

/// A register that holds a number, first 0.
struct Register;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Write(u64),
    Read(u64),
}

impl Object for Register {
    type Act = Act;
    type State = u64;

    fn begin(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, act: &Act) -> Option<u64> {
        match act {
            Act::Write(value) => Some(*value),
            Act::Read(value) => (value == state).then_some(*state),
        }
    }
}

fn call(act: Act, called: u64, returned: u64) -> Timed<Act> {
    Timed {
        act,
        called,
        returned: Some(returned),
    }
}

fn unknown(act: Act, called: u64) -> Timed<Act> {
    Timed {
        act,
        called,
        returned: None,
    }
}

fn judged(calls: &[Timed<Act>]) -> Verdict {
    order(&Register, calls, STATES_MAX)
}

#[test]
fn calls_one_after_the_other_have_the_order_in_which_they_came() {
    use Act::{Read, Write};
    assert_eq!(judged(&[]), Verdict::Ordered);
    let fine = [call(Write(1), 0, 1), call(Read(1), 2, 3)];
    assert_eq!(judged(&fine), Verdict::Ordered);
    let stale = [call(Write(1), 0, 1), call(Read(0), 2, 3)];
    assert_eq!(judged(&stale), Verdict::NoOrder);
    let side_by_side = [call(Write(1), 0, 2), call(Read(0), 2, 3)];
    assert_eq!(judged(&side_by_side), Verdict::Ordered, "in one moment");
}

#[test]
fn reads_beside_three_writes_may_see_them_in_any_order_but_not_go_back() {
    use Act::{Read, Write};
    let writes = [
        call(Write(1), 0, 20),
        call(Write(2), 0, 20),
        call(Write(3), 0, 20),
    ];
    let reads = |values: [u64; 3]| -> Vec<Timed<Act>> {
        let times = [(1, 2), (4, 5), (7, 8)];
        let reads = values.into_iter().zip(times);
        let reads = reads.map(|(value, (called, returned))| call(Read(value), called, returned));
        writes.iter().cloned().chain(reads).collect()
    };
    assert_eq!(judged(&reads([3, 2, 1])), Verdict::Ordered);
    assert_eq!(judged(&reads([1, 2, 3])), Verdict::Ordered);
    assert_eq!(judged(&reads([1, 2, 1])), Verdict::NoOrder, "written once");
}

#[test]
fn an_unknown_outcome_may_come_at_any_time_or_never_but_not_twice_and_not_before_its_call() {
    use Act::{Read, Write};
    let never = [unknown(Write(1), 0), call(Read(0), 90, 91)];
    assert_eq!(judged(&never), Verdict::Ordered);
    let late = [
        unknown(Write(1), 0),
        call(Read(0), 1, 2),
        call(Write(2), 3, 4),
        call(Read(2), 5, 6),
        call(Read(1), 70, 71),
    ];
    assert_eq!(judged(&late), Verdict::Ordered);
    let twice = [
        unknown(Write(1), 0),
        call(Read(1), 1, 2),
        call(Write(2), 3, 4),
        call(Read(1), 5, 6),
    ];
    assert_eq!(judged(&twice), Verdict::NoOrder);
    let early = [call(Read(1), 1, 2), unknown(Write(1), 3)];
    assert_eq!(judged(&early), Verdict::NoOrder);
}

#[test]
fn a_search_that_meets_its_bound_does_not_decide() {
    use Act::{Read, Write};
    let mut calls: Vec<_> = (1..=12).map(|value| call(Write(value), 0, 100)).collect();
    calls.push(call(Read(99), 0, 100));
    assert_eq!(order(&Register, &calls, 1_000), Verdict::NotDecided);
    // Sets of 12 writes with the last one among them, and the set of none: 12 * 2^11 + 1 states.
    assert_eq!(order(&Register, &calls, 24_577), Verdict::NoOrder);
    assert_eq!(order(&Register, &calls, 24_576), Verdict::NotDecided);
}

/// Whether some order holds, by trying each: a call that is left out may be so only without a return.
fn any_order(calls: &[Timed<Act>], done: &mut Vec<usize>, state: u64) -> bool {
    let left = (0..calls.len()).filter(|at| !done.contains(at));
    let left: Vec<usize> = left.collect();
    if left.iter().all(|at| calls[*at].returned.is_none()) {
        return true;
    }
    left.iter().any(|at| {
        let after_all = left.iter().all(|other| {
            let returned = calls[*other].returned;
            returned.is_none_or(|returned| returned >= calls[*at].called)
        });
        let next = Register.step(&state, &calls[*at].act);
        match next.filter(|_| after_all) {
            Some(next) => {
                done.push(*at);
                let held = any_order(calls, done, next);
                done.pop();
                held
            }
            None => false,
        }
    })
}

#[test]
fn the_search_says_what_trying_every_order_says() {
    let random = Random::from_seed(5);
    let mut counts = [0, 0];
    for _ in 0..3_000 {
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let act = match random.below(2) {
                    0 => Act::Write(random.below(3)),
                    _ => Act::Read(random.below(3)),
                };
                let called = random.below(12);
                Timed {
                    act,
                    called,
                    returned: (random.below(4) > 0).then(|| called + random.below(6)),
                }
            })
            .collect();
        let held = any_order(&calls, &mut Vec::new(), 0);
        counts[usize::from(held)] += 1;
        let expected = if held {
            Verdict::Ordered
        } else {
            Verdict::NoOrder
        };
        assert_eq!(judged(&calls), expected, "{calls:?}");
    }
    assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
}

#[test]
fn what_is_needed_to_have_no_order_is_found_and_nothing_else() {
    use Act::{Read, Write};
    let calls = [
        call(Write(5), 0, 1),
        call(Read(5), 2, 3),
        call(Write(6), 4, 5),
        call(Read(6), 6, 7),
        call(Read(5), 8, 9),
        call(Read(6), 10, 11),
        call(Read(77), 12, 13),
    ];
    let soften = |call: &Timed<Act>| match call.act {
        Act::Write(_) => Some(Timed {
            returned: None,
            ..call.clone()
        }),
        Act::Read(_) => None,
    };
    let needed = cannot_be_ordered(&Register, &calls, STATES_MAX, soften);
    // 5 was written, then 6, and a read saw 5 again; what the other reads saw is not needed.
    assert_eq!(needed, [0, 2, 4]);
    assert_eq!(
        cannot_be_ordered(&Register, &calls[..4], STATES_MAX, soften),
        [0; 0],
        "these have an order"
    );
}
