//! Queues, sites and the whole floor of a cell.
//! Promise: integers alone; the service level by all six definitions beside the queue's own.
//! Not here: counting (`domain`).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use domain::cell::State;
use domain::cell::command::{Intent, LeaseState};
use domain::cell::derived::Gauges;
use domain::cell::floor::Totals;
use domain::cell::service_level::share_bp;
use domain::ids::{LogIndex, QueueId, SiteId};
use domain::plan::{ServiceLevelDefinition as Definition, Urgency};
use pb::api::v1::{FloorView, QueueSteered, QueueView, ServiceLevel, SiteView};

/// The six definitions as the manual numbers them, from 1.
const DEFINITIONS: [Definition; 6] = [
    Definition::AbandonedInCount,
    Definition::AnsweredOnly,
    Definition::AllAbandonedAgainst,
    Definition::LateAbandonedAgainst,
    Definition::ShortAbandonedFor,
    Definition::ShortAbandonedOut,
];

/// A queue and its counters.
pub(crate) fn queue_view(state: &State, name: &QueueId) -> Option<QueueView> {
    let view = state.queue_view(name)?;
    let plan = &state.queue(name)?.plan;
    let gauges = view
        .gauges
        .values()
        .fold(Gauges::default(), |sum, site| sum.plus(site));
    let totals = view
        .totals
        .values()
        .fold(Totals::default(), |sum, site| sum.plus(site));
    Some(QueueView {
        queue: name.to_string(),
        paused: view.paused,
        waiting: count(gauges.waiting),
        offered: count(gauges.offered),
        active: count(gauges.active),
        on_hold: count(gauges.on_hold),
        wrap_up: count(gauges.wrap_up),
        longest_wait_ms: view.longest_wait_ms,
        agents_staffed: view.staffed,
        agents_free: view.free,
        opened: totals.entered,
        answered: totals.answered,
        answered_in: totals.answered_in,
        abandoned: totals.abandoned,
        abandoned_in: totals.abandoned_in,
        abandoned_short: totals.abandoned_short,
        closed: totals.handled,
        service_level: Some(service_level(&totals, &plan.service_level)),
        wait_ms_mean: mean(totals.answer_wait_ms, totals.answered),
        first_response_ms_mean: mean(totals.first_response_ms, totals.first_responses),
        handle_ms_mean: mean(totals.handle_ms, totals.handled),
        urgency: urgency_word(plan.urgency).to_owned(),
        paused_by_plan: view.paused_by_plan,
        steered: view.steered.map(|steered| QueueSteered {
            paused: steered.paused,
            for_ms: state.now().since_ms(steered.at),
            wall_ms: steered.wall_ms,
            staff: steered.by.to_string(),
            reason: steered.why.into(),
        }),
    })
}

fn service_level(totals: &Totals, objective: &domain::plan::ServiceLevel) -> ServiceLevel {
    let number = (1..)
        .zip(DEFINITIONS)
        .find(|(_, definition)| *definition == objective.definition);
    let all: Vec<Option<u32>> = DEFINITIONS
        .iter()
        .map(|definition| share_bp(totals, *definition))
        .collect();
    let complete: Option<Vec<u32>> = all.into_iter().collect();
    ServiceLevel {
        threshold_ms: objective.threshold_ms,
        definition: number.map_or(0, |(number, _)| number),
        basis_points: share_bp(totals, objective.definition),
        // A list in order says nothing with a hole in it: without a case for each it stays empty.
        all_basis_points: complete.unwrap_or_default(),
        target_basis_points: objective.target_permille * 10,
    }
}

/// All queues: those in the worst state first.
pub(crate) fn queue_views_worst_first(state: &State) -> Vec<QueueView> {
    let mut views: Vec<QueueView> = state
        .queues()
        .filter_map(|queue| queue_view(state, &queue.name))
        .collect();
    // How many objectives the head of the line has waited, then the length; names settle ties.
    views.sort_by_cached_key(|view| {
        let threshold_ms = view
            .service_level
            .as_ref()
            .map_or(1, |level| level.threshold_ms.max(1));
        let overdue = view.longest_wait_ms.saturating_mul(1_000) / threshold_ms;
        (Reverse(overdue), Reverse(view.waiting), view.queue.clone())
    });
    views
}

/// The counters of a cell; endpoints are the edge's to add.
pub(crate) fn floor_view(state: &State, cell_name: &str, applied: LogIndex) -> FloorView {
    FloorView {
        cell: cell_name.to_owned(),
        applied_index: applied.0,
        at_ms: state.now().0,
        queues: state
            .queues()
            .filter_map(|queue| queue_view(state, &queue.name))
            .collect(),
        sites: site_views(state),
        endpoints: Vec::new(),
    }
}

fn site_views(state: &State) -> Vec<SiteView> {
    let mut sites: BTreeMap<SiteId, SiteView> = BTreeMap::new();
    let known = state.plan().into_iter().flat_map(|plan| plan.sites.keys());
    for site in known {
        sites.entry(site.clone()).or_default();
    }
    for agent in state.agents().filter(|agent| agent.session.is_some()) {
        let view = sites.entry(agent.profile.site.clone()).or_default();
        view.agents += 1;
        view.agents_ready += u32::from(agent.intent == Intent::Ready);
        view.agents_suspect += u32::from(agent.lease != LeaseState::Alive);
    }
    for queue in state.queues() {
        let gauges = state
            .queue_view(&queue.name)
            .map(|view| view.gauges)
            .unwrap_or_default();
        for (site, gauges) in gauges {
            let view = sites.entry(site).or_default();
            let open =
                gauges.with_bot + gauges.waiting + gauges.offered + gauges.active + gauges.on_hold;
            view.conversations += count(open + gauges.wrap_up + gauges.quarantined);
            view.waiting += count(gauges.waiting);
        }
    }
    sites
        .into_iter()
        .map(|(site, view)| SiteView {
            site: site.to_string(),
            ..view
        })
        .collect()
}

fn urgency_word(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Emergency => "emergency",
        Urgency::Normal => "normal",
        Urgency::Background => "background",
    }
}

fn mean(sum: u64, count: u64) -> u64 {
    sum.checked_div(count).unwrap_or(0)
}

fn count(of: u64) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_level_is_printed_by_all_six_definitions() {
        let totals = Totals {
            answered: 1_000,
            answered_in: 860,
            abandoned: 60,
            abandoned_in: 20,
            abandoned_short: 10,
            ..Totals::default()
        };
        let level = service_level(&totals, &domain::plan::ServiceLevel::default());
        assert_eq!(
            level.all_basis_points,
            [8_302, 8_600, 8_113, 8_269, 8_208, 8_190]
        );
        assert_eq!(
            (
                level.definition,
                level.basis_points,
                level.target_basis_points
            ),
            (4, Some(8_269), 8_000)
        );
        assert_eq!(level.threshold_ms, 20_000);
    }

    #[test]
    fn without_a_case_there_is_no_service_level() {
        let level = service_level(&Totals::default(), &domain::plan::ServiceLevel::default());
        assert_eq!(
            (level.basis_points, level.all_basis_points),
            (None, Vec::new())
        );
    }
}
