//! The floor of a cell: lines, agents, what became of conversations.
//! Promise: shown by the cell's leader alone, so that a sum over all nodes counts each conversation once;
//! the state is read for as long as it takes to copy some numbers of each queue.
//! Not here: counting, which is the machine's (`domain`): every number is a fold of the log.

use std::collections::BTreeMap;

use conversation::View;
use domain::cell::Cell;
use domain::cell::command::{Intent, LeaseState};
use domain::cell::derived::Gauges;
use domain::cell::floor::Totals;
use domain::cell::service_level::share_bp;
use domain::ids::CellTime;
use domain::plan::ServiceLevelDefinition;
use runtime::measure::{Kind, Series};

use super::page::Page;

/// Milliseconds of a second.
const SECOND_MS: f64 = 1_000.0;
/// Basis points of one.
const ONE_BP: f64 = 10_000.0;

macro_rules! floor_series {
    ($($name:ident, $text:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(const $name: Series = Series {
            name: $text,
            kind: Kind::$kind,
            help: concat!($help, " Shown by the cell's leader alone."),
            labels: &[$($label),*],
        };)*
        /// All of them, in the order of the page.
        pub(super) const SERIES: &[Series] = &[$($name),*];
    };
}

floor_series! {
    OPEN, "antiphon_conversations_open", Gauge, ["cell"],
        "Conversations that have not ended for their customer.";
    OFFERED, "antiphon_conversations_offered_total", Counter, ["cell", "queue", "site"],
        "Conversations that entered a queue, by the site of the customer.";
    ANSWERED, "antiphon_conversations_answered_total", Counter, ["cell", "queue", "site"],
        "Conversations that an agent accepted.";
    ABANDONED, "antiphon_conversations_abandoned_total", Counter, ["cell", "queue", "site"],
        "Conversations whose customer left while waiting, short ones included.";
    ABANDONED_SHORT, "antiphon_conversations_abandoned_short_total", Counter, ["cell", "queue", "site"],
        "Those among them that left sooner than the short-abandon threshold.";
    MOVED, "antiphon_conversations_moved_total", Counter, ["cell", "queue", "site", "reason"],
        "Conversations that left the agent who had them: requeued, or transferred to another queue or agent.";
    OFFERS, "antiphon_offers_total", Counter, ["cell", "queue", "site"],
        "Offers made to agents.";
    OFFERS_MISSED, "antiphon_offers_missed_total", Counter, ["cell", "queue", "site", "outcome"],
        "Offers that no agent accepted: declined, expired, rescinded by us, or cancelled because the customer left.";
    SLA_MET, "antiphon_sla_met_total", Counter, ["cell", "queue", "site"],
        "Conversations that an agent accepted within the queue's threshold.";
    SLA_RATIO, "antiphon_sla_ratio", Gauge, ["cell", "queue"],
        "The queue's service level by its own definition, since the queue exists.";
    SLA_TARGET_RATIO, "antiphon_sla_target_ratio", Gauge, ["cell", "queue"],
        "The service level that the floor plan aims at.";
    SLA_THRESHOLD, "antiphon_sla_threshold_seconds", Gauge, ["cell", "queue"],
        "Answered within this time counts as in.";
    WAITING, "antiphon_queue_waiting", Gauge, ["cell", "queue", "site"],
        "Conversations that wait in a line, by the site of the customer.";
    OLDEST, "antiphon_queue_oldest_seconds", Gauge, ["cell", "queue"],
        "The longest that anybody in the line has waited in this queue; 0 while it is empty.";
    WAIT, "antiphon_queue_wait_seconds", Summary, ["cell", "queue", "site"],
        "Time in the queue of the conversations that were answered.";
    FIRST_RESPONSE, "antiphon_first_response_seconds", Summary, ["cell", "queue", "site"],
        "Time from opening to the agent's first message.";
    HANDLE, "antiphon_handle_seconds", Summary, ["cell", "queue", "site"],
        "Work on conversations, after-contact work included; the count is of those that ended.";
    CSAT, "antiphon_csat_score", Summary, ["cell", "queue", "site"],
        "Customers' ratings, 1 to 5: their sum and how many there are.";
    AGENTS, "antiphon_agents", Gauge, ["cell", "site", "state"],
        "Agents who are logged in, by their own site: ready; not_responding where they are ready and are offered nothing \
         on a channel after missed offers, until they act; not_ready; suspect while the client is silent.";
}

/// What an agent is, as the label says it.
const AGENT_STATES: [&str; 4] = ["ready", "not_ready", "suspect", "not_responding"];

/// The floor of one cell at one moment.
pub(super) struct Floor {
    cell: String,
    open: u64,
    queues: Vec<Queue>,
    /// By site, in the order of [`AGENT_STATES`].
    agents: BTreeMap<String, [u64; AGENT_STATES.len()]>,
}

/// One queue.
struct Queue {
    name: String,
    sites: BTreeMap<String, (Totals, Gauges)>,
    oldest_ms: u64,
    threshold_ms: u64,
    target_permille: u32,
    share_bp: Option<u32>,
}

impl Floor {
    /// Reads it from the replica of the cell's leader.
    pub(super) fn read(cell: &str, view: &View) -> Self {
        let now = view.now();
        view.with(|state, _| Self {
            cell: cell.to_owned(),
            open: state.state().meta().open,
            queues: queues(state, now),
            agents: agents(state),
        })
    }
}

fn queues(cell: &Cell, now: CellTime) -> Vec<Queue> {
    let state = cell.state();
    let read = |record: &domain::cell::floor::QueueRecord| {
        let mut sites: BTreeMap<String, (Totals, Gauges)> = BTreeMap::new();
        for (site, totals) in &record.totals {
            sites.entry(site.to_string()).or_default().0 = *totals;
        }
        for (site, gauges) in state.gauges(&record.name) {
            sites.entry(site.to_string()).or_default().1 = *gauges;
        }
        let waiting = state.waiting_since(&record.name);
        let level = &record.plan.service_level;
        Queue {
            name: record.name.to_string(),
            oldest_ms: waiting.map_or(0, |since| now.since_ms(since)),
            threshold_ms: level.threshold_ms,
            target_permille: level.target_permille,
            share_bp: share(record.totals.values(), level.definition),
            sites,
        }
    };
    state.queues().map(|record| read(record)).collect()
}

fn share<'t>(
    totals: impl Iterator<Item = &'t Totals>,
    definition: ServiceLevelDefinition,
) -> Option<u32> {
    let all = totals.fold(Totals::default(), |sum, site| sum.plus(site));
    share_bp(&all, definition)
}

fn agents(cell: &Cell) -> BTreeMap<String, [u64; AGENT_STATES.len()]> {
    let state = cell.state();
    let mut counts: BTreeMap<String, [u64; AGENT_STATES.len()]> = BTreeMap::new();
    // A site without anybody logged in is shown too: an alert asks for it.
    for site in state.plan().into_iter().flat_map(|plan| plan.sites.keys()) {
        counts.insert(site.to_string(), [0; AGENT_STATES.len()]);
    }
    for agent in state.agents().filter(|agent| agent.session.is_some()) {
        let at = match (agent.lease, &agent.intent) {
            (LeaseState::Alive, Intent::Ready) if agent.is_not_responding() => 3,
            (LeaseState::Alive, Intent::Ready) => 0,
            (LeaseState::Alive, _) => 1,
            _ => 2,
        };
        let site = agent.profile.site.to_string();
        counts.entry(site).or_default()[at] += 1;
    }
    counts
}

/// Writes the floors of the cells that this node leads.
pub(super) fn write(page: &mut Page, floors: &[Floor]) {
    let mut open = page.series(&OPEN);
    for floor in floors {
        open.sample(&[&floor.cell], floor.open);
    }
    by_site(page, &OFFERED, floors, |totals| totals.entered);
    by_site(page, &ANSWERED, floors, |totals| totals.answered);
    by_site(page, &ABANDONED, floors, |totals| totals.abandoned);
    by_site(page, &ABANDONED_SHORT, floors, |totals| {
        totals.abandoned_short
    });
    by_site_and(page, &MOVED, floors, |totals| {
        [
            ("requeued", totals.requeued),
            ("transferred", totals.transferred),
        ]
    });
    by_site(page, &OFFERS, floors, |totals| totals.offers);
    by_site_and(page, &OFFERS_MISSED, floors, |totals| {
        [
            ("declined", totals.offers_declined),
            ("expired", totals.offers_lapsed),
            ("rescinded", totals.offers_rescinded),
            ("cancelled", totals.offers_cancelled),
        ]
    });
    by_site(page, &SLA_MET, floors, |totals| totals.answered_in);
    by_queue(page, &SLA_RATIO, floors, |queue| {
        Some(f64::from(queue.share_bp?) / ONE_BP)
    });
    by_queue(page, &SLA_TARGET_RATIO, floors, |queue| {
        Some(f64::from(queue.target_permille) / 1_000.0)
    });
    by_queue(page, &SLA_THRESHOLD, floors, |queue| {
        Some(queue.threshold_ms as f64 / SECOND_MS)
    });
    let mut waiting = page.series(&WAITING);
    each_site(floors, |labels, (_, gauges)| {
        waiting.sample(&labels, gauges.waiting);
    });
    by_queue(page, &OLDEST, floors, |queue| {
        Some(queue.oldest_ms as f64 / SECOND_MS)
    });
    sums(page, &WAIT, floors, SECOND_MS, |totals| {
        (totals.answer_wait_ms, totals.answered)
    });
    sums(page, &FIRST_RESPONSE, floors, SECOND_MS, |totals| {
        (totals.first_response_ms, totals.first_responses)
    });
    sums(page, &HANDLE, floors, SECOND_MS, |totals| {
        (totals.handle_ms, totals.handled)
    });
    sums(page, &CSAT, floors, 1.0, |totals| {
        (totals.rating_sum, totals.ratings)
    });
    let mut agents = page.series(&AGENTS);
    for floor in floors {
        for (site, counts) in &floor.agents {
            for (state, count) in AGENT_STATES.iter().zip(counts) {
                agents.sample(&[&floor.cell, site, state], count);
            }
        }
    }
}

/// Gives the labels cell, queue and site with what they stand for.
fn each_site(floors: &[Floor], mut give: impl FnMut([&str; 3], &(Totals, Gauges))) {
    for floor in floors {
        for queue in &floor.queues {
            for (site, numbers) in &queue.sites {
                give([&floor.cell, &queue.name, site], numbers);
            }
        }
    }
}

fn by_site(page: &mut Page, series: &Series, floors: &[Floor], number: fn(&Totals) -> u64) {
    let mut samples = page.series(series);
    each_site(floors, |labels, (totals, _)| {
        samples.sample(&labels, number(totals));
    });
}

/// The same with a further label, and a number for each of its values.
fn by_site_and<const N: usize>(
    page: &mut Page,
    series: &Series,
    floors: &[Floor],
    numbers: fn(&Totals) -> [(&'static str, u64); N],
) {
    let mut samples = page.series(series);
    each_site(floors, |[cell, queue, site], (totals, _)| {
        for (value, number) in numbers(totals) {
            samples.sample(&[cell, queue, site, value], number);
        }
    });
}

fn by_queue(page: &mut Page, series: &Series, floors: &[Floor], number: fn(&Queue) -> Option<f64>) {
    let mut samples = page.series(series);
    for floor in floors {
        for queue in &floor.queues {
            if let Some(number) = number(queue) {
                samples.sample(&[&floor.cell, &queue.name], number);
            }
        }
    }
}

fn sums(
    page: &mut Page,
    series: &Series,
    floors: &[Floor],
    per_one: f64,
    number: fn(&Totals) -> (u64, u64),
) {
    let mut samples = page.series(series);
    each_site(floors, |labels, (totals, _)| {
        let (sum, count) = number(totals);
        samples.summary(&labels, (sum, per_one), count);
    });
}
