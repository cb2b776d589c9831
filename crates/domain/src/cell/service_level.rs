//! The service level: six definitions over the same counters.
//! Promise: exact integers; the definition is the queue's and recomputable from the log.
//! Not here: counting (`evolve::floor`).

use super::floor::Totals;
use crate::plan::ServiceLevelDefinition;

/// The share in basis points (hundredths of a percent), rounded to the nearest; `None` without a sample.
pub fn share_bp(totals: &Totals, definition: ServiceLevelDefinition) -> Option<u32> {
    let (part, whole) = fraction(totals, definition);
    if whole == 0 {
        return None;
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    u32::try_from((part * 20_000 + whole) / (whole * 2)).ok()
}

fn fraction(totals: &Totals, definition: ServiceLevelDefinition) -> (u64, u64) {
    let all = totals.answered + totals.abandoned;
    let late = totals.abandoned.saturating_sub(totals.abandoned_in);
    match definition {
        ServiceLevelDefinition::AbandonedInCount => (totals.answered_in + totals.abandoned_in, all),
        ServiceLevelDefinition::AnsweredOnly => (totals.answered_in, totals.answered),
        ServiceLevelDefinition::AllAbandonedAgainst => (totals.answered_in, all),
        ServiceLevelDefinition::LateAbandonedAgainst => {
            (totals.answered_in, totals.answered + late)
        }
        ServiceLevelDefinition::ShortAbandonedFor => {
            (totals.answered_in + totals.abandoned_short, all)
        }
        ServiceLevelDefinition::ShortAbandonedOut => (
            totals.answered_in,
            all.saturating_sub(totals.abandoned_short),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ServiceLevelDefinition as Definition;

    #[test]
    fn the_six_definitions_give_the_golden_shares() {
        let totals = Totals {
            answered: 1_000,
            answered_in: 860,
            abandoned: 60,
            abandoned_in: 20,
            abandoned_short: 10,
            ..Totals::default()
        };
        let golden = [
            (Definition::AbandonedInCount, 8_302),
            (Definition::AnsweredOnly, 8_600),
            (Definition::AllAbandonedAgainst, 8_113),
            (Definition::LateAbandonedAgainst, 8_269),
            (Definition::ShortAbandonedFor, 8_208),
            (Definition::ShortAbandonedOut, 8_190),
        ];
        for (definition, share) in golden {
            assert_eq!(share_bp(&totals, definition), Some(share), "{definition:?}");
        }
    }

    #[test]
    fn without_a_sample_there_is_no_share() {
        assert_eq!(share_bp(&Totals::default(), Definition::AnsweredOnly), None);
    }
}
