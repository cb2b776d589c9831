//! Claims about the sentences of an explanation.

use super::*;

fn waiting() -> api::ExplainConversationResponse {
    let conversation = api::ConversationSummary {
        conversation_id: "c1-7".into(),
        state: ConversationState::Queued.into(),
        queue: "sales".into(),
        position: 3,
        ..Default::default()
    };
    api::ExplainConversationResponse {
        conversation: Some(conversation),
        state_ms: 38_000,
        line: 12,
        eligible: 4,
        logged_in: 2,
        at_ms: 600_000,
        ..Default::default()
    }
}

fn cause(kind: wait_cause::Kind) -> WaitCause {
    WaitCause {
        kind: kind.into(),
        agent: "ana".into(),
        staff: "mia".into(),
        reason: "maintenance".into(),
        ms: 120_000,
        ahead: 2,
        log_index: 881,
    }
}

#[test]
fn where_it_stands_and_why_read_as_sentences() {
    let explained = waiting();
    let one = explained.conversation.clone().unwrap();
    assert_eq!(
        stands(&one, &explained),
        "It waits in queue sales at place 3 of 12, for 0:38."
    );
    let said = |kind| cause_sentence(&cause(kind), &one);
    use wait_cause::Kind;
    assert_eq!(
        said(Kind::PausedBySupervisor),
        "mia paused queue sales 2 min ago: maintenance."
    );
    assert_eq!(
        said(Kind::KeptForAgent),
        "It is kept for ana for 2 min more."
    );
    assert_eq!(said(Kind::BehindOthers), "2 are before it in its line.");
    assert_eq!(
        said(Kind::SetAside),
        "It was set aside after a defect at log index 881; a supervisor must release it."
    );
}

#[test]
fn who_could_serve_it_is_counted_with_what_it_needs() {
    let mut explained = waiting();
    let all = "4 agents of the plan may serve it, 2 of them are logged in.";
    assert_eq!(
        staffing(&explained),
        format!("It needs nothing special; {all}")
    );
    explained.requires = vec![api::Requirement {
        kind: "skill".into(),
        name: "law".into(),
        level: 2,
    }];
    assert_eq!(staffing(&explained), format!("It needs skill law 2; {all}"));
}

#[test]
fn an_agent_who_does_not_get_it_says_why_who_set_it_and_for_how_long() {
    let agent = api::AgentSummary {
        intent: Some(api::Intent {
            ready: false,
            reason: "tea".into(),
        }),
        set_by: "mia".into(),
        ..Default::default()
    };
    let verdict = |why: WhyNot, ends_in_ms| api::AgentVerdict {
        agent: None,
        why: why.into(),
        ends_in_ms,
    };
    let words = |why, ends_in_ms| verdict_words(&verdict(why, ends_in_ms), &agent);
    assert_eq!(words(WhyNot::NotReady, 0), "not ready: tea, set by mia");
    assert_eq!(
        words(WhyNot::BackOff, 9_000),
        "pauses after a missed offer, for 9 s more"
    );
    assert_eq!(words(WhyNot::AtCapacity, 0), "no free units");
}

#[test]
fn decisions_and_changes_are_told_in_the_order_of_time() {
    let mut explained = waiting();
    let offered = api::Receipt {
        log_index: 90,
        at_ms: 300_000,
        plan_version: 4,
        decision: "offered".into(),
        agent: "ana".into(),
        rule: "longest idle".into(),
        candidates: 3,
        outcome: "declined".into(),
        declined: "in a call".into(),
        excluded: vec![api::Exclusion {
            agent: "ben".into(),
            reason: "not ready".into(),
        }],
        ..Default::default()
    };
    let requeued = api::Receipt {
        log_index: 99,
        at_ms: 480_000,
        plan_version: 4,
        decision: "requeued".into(),
        by: Some(api::Author {
            kind: api::author::Kind::Staff.into(),
            name: "mia".into(),
            display_name: "mia".into(),
        }),
        why: "too slow".into(),
        ..Default::default()
    };
    explained.receipts = vec![offered, requeued];
    let change = api::Change {
        kind: api::change::Kind::Requeued.into(),
        text: "by a supervisor".into(),
        ..Default::default()
    };
    explained.changes = vec![api::Item {
        sequence: 2,
        at_ms: 480_000,
        content: Some(api::item::Content::Change(change)),
        ..Default::default()
    }];
    assert_eq!(
        history(&explained),
        [
            " 5 min ago  offered to ana: longest idle of 3 free (log index 90, plan 4); declined: in a call",
            "            not ben: not ready",
            " 2 min ago  requeued: by a supervisor",
            " 2 min ago  requeued (log index 99, plan 4), by staff mia: too slow",
        ]
    );
}

#[test]
fn what_can_be_mended_says_what_to_type() {
    use wait_cause::Kind;
    let mut explained = waiting();
    explained.causes = vec![cause(Kind::PausedBySupervisor), cause(Kind::NobodyFree)];
    assert_eq!(
        nexts(&explained),
        [
            "antiphon queue resume sales --reason TEXT",
            "antiphon agent list"
        ]
    );
}
