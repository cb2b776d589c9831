//! Timers and limits: ranges and orders.
//! Promise: a timer that could never fire sensibly is named.
//! Not here: what a timer does (`cell`).

use super::{Faults, PlanPath, PlanProblem, TIMER_MS_MAX, UNITS_MAX};
use crate::plan::{FloorPlan, Timers};

/// Least and most of the time after which a queue's agent is lost (the domain's timer table).
const AGENT_LOST_MS: (u64, u64) = (15_000, 120_000);

pub(super) fn check_policy(plan: &FloorPlan, faults: &mut Faults) {
    let path = PlanPath::keys(["policy"]);
    let policy = &plan.policy;
    let mut timer = Checker {
        path: &path,
        faults,
    };
    timer.range("heartbeat", policy.heartbeat_ms, (1, TIMER_MS_MAX));
    timer.range("suspect", policy.suspect_ms, (1, TIMER_MS_MAX));
    timer.range("lost", policy.lost_ms, (1, TIMER_MS_MAX));
    timer.range(
        "lost_site_down",
        policy.lost_site_down_ms,
        (1, TIMER_MS_MAX),
    );
    timer.after(
        "suspect",
        policy.suspect_ms,
        ("heartbeat", policy.heartbeat_ms),
    );
    timer.after("lost", policy.lost_ms, ("suspect", policy.suspect_ms));
    timer.after(
        "lost_site_down",
        policy.lost_site_down_ms,
        ("heartbeat", policy.heartbeat_ms),
    );
    if policy.customer_commands_max > 0 {
        timer.range(
            "customer_window",
            policy.customer_window_ms,
            (1, TIMER_MS_MAX),
        );
    }
    let permille = u64::from(policy.expiry_spike_permille);
    faults.require_range(path.key("expiry_spike_share"), permille, (1, 1_000));
    faults.require_range(
        path.key("expiry_spike_min"),
        policy.expiry_spike_min.into(),
        (1, UNITS_MAX.into()),
    );
}

pub(super) fn check_channels(plan: &FloorPlan, faults: &mut Faults) {
    for (id, channel) in &plan.channels {
        let path = PlanPath::keys(["channel", id.as_str()]);
        faults.require_range(path.key("cost"), channel.cost.into(), (1, UNITS_MAX.into()));
        if let Some(count) = channel.count_max {
            faults.require_range(path.key("count_max"), count.into(), (1, UNITS_MAX.into()));
        }
        let mut timer = Checker {
            path: &path,
            faults,
        };
        timer.range("gone", channel.gone_ms, (1, TIMER_MS_MAX));
        timer.range(
            "gone_our_fault",
            channel.gone_our_fault_ms,
            (1, TIMER_MS_MAX),
        );
        timer.range("short_abandon", channel.short_abandon_ms, (0, TIMER_MS_MAX));
    }
}

pub(super) fn check_queue(path: &PlanPath, timers: &Timers, faults: &mut Faults) {
    faults.require_range(path.key("misses_max"), timers.misses_max.into(), (1, 1_000));
    let mut timer = Checker { path, faults };
    for (key, value) in [
        ("offer", timers.offer_ms),
        ("back_off", timers.back_off_ms),
        ("back_off_max", timers.back_off_ms_max),
        ("first_reply_warn", timers.first_reply_warn_ms),
        ("first_reply_reclaim", timers.first_reply_reclaim_ms),
        ("silent_warn", timers.silent_warn_ms),
        ("silent_hold", timers.silent_hold_ms),
        ("hold_close", timers.hold_close_ms),
    ] {
        timer.range(key, value, (1, TIMER_MS_MAX));
    }
    timer.range("prefer", timers.prefer_ms, (0, TIMER_MS_MAX));
    timer.range("wrap_up", timers.wrap_up_ms, (0, TIMER_MS_MAX));
    timer.range("agent_lost", timers.agent_lost_ms, AGENT_LOST_MS);
    timer.after(
        "first_reply_reclaim",
        timers.first_reply_reclaim_ms,
        ("first_reply_warn", timers.first_reply_warn_ms),
    );
    timer.after(
        "silent_hold",
        timers.silent_hold_ms,
        ("silent_warn", timers.silent_warn_ms),
    );
    if timers.back_off_ms_max < timers.back_off_ms {
        timer.after(
            "back_off_max",
            timers.back_off_ms_max,
            ("back_off", timers.back_off_ms),
        );
    }
}

/// Checks the timers of one table.
struct Checker<'a> {
    path: &'a PlanPath,
    faults: &'a mut Faults,
}

impl Checker<'_> {
    fn range(&mut self, key: &str, value_ms: u64, (least_ms, most_ms): (u64, u64)) {
        if !(least_ms..=most_ms).contains(&value_ms) {
            self.faults.add(
                self.path.key(key),
                PlanProblem::TimerOutOfRange {
                    value_ms,
                    least_ms,
                    most_ms,
                },
            );
        }
    }

    fn after(&mut self, key: &str, value_ms: u64, (earlier, earlier_ms): (&'static str, u64)) {
        if value_ms <= earlier_ms {
            self.faults.add(
                self.path.key(key),
                PlanProblem::TimerOrder {
                    value_ms,
                    earlier,
                    earlier_ms,
                },
            );
        }
    }
}
