//! Claims about the stored form of the floor plan.

use domain::control::PlanProblem;
use proptest::prelude::*;

use super::{PLAN_BYTES_MAX, check_plan, decode_plan, encode_plan};
use crate::error::WireError;
use crate::samples::{empty_plan, plans};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_plan_comes_back_as_it_was(plan in plans()) {
        prop_assert_eq!(decode_plan(&encode_plan(&plan)), Ok(plan));
    }

    #[test]
    fn a_damaged_plan_never_panics(plan in plans(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = encode_plan(&plan);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = decode_plan(&bytes);
        let _ = decode_plan(&bytes[..at]);
    }
}

#[test]
fn a_plan_of_a_newer_format_is_refused() {
    // Field 1, varint 2.
    assert_eq!(
        decode_plan(&[8, 2]),
        Err(WireError::NewerFormat { found: 2, known: 1 })
    );
    assert_eq!(decode_plan(&[]), Err(WireError::NoFormat));
}

#[test]
fn a_plan_larger_than_one_mebibyte_is_a_fault() {
    let mut plan = empty_plan();
    for n in 0..300 {
        plan.skills.insert(
            format!("s{n}").parse().expect("well formed"),
            "x".repeat(4_096),
        );
    }
    let problems: Vec<_> = check_plan(&plan)
        .into_iter()
        .map(|fault| fault.problem)
        .collect();
    assert!(matches!(
        problems[..],
        [PlanProblem::TooLarge {
            limit: PLAN_BYTES_MAX,
            ..
        }]
    ));
}
