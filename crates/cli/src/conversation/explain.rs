//! Why a conversation waits and why it went where it went, in sentences.
//! Promise: every reason of the answer is said; what to type next comes last.
//! Not here: finding the reasons (the cluster does).

use client::api::{self, ConversationState, WaitCause, WhyNot, wait_cause};

use super::{author_word, flagged, state_word};
use crate::args::Output;
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{clock, columns, indented, or_dash, span};

pub async fn run(reach: &Reach, conversation_id: String) -> Result<Exit, Failure> {
    let request = api::ExplainConversationRequest { conversation_id };
    let supervisor = reach.client.supervisor();
    let explained = supervisor.explain_conversation(request).await?;
    if reach.output == Output::Json {
        json::print("ExplainConversationResponse", &explained)?;
        return Ok(Exit::Ok);
    }
    print(&explained);
    eprintln!("at log index {}", explained.applied_index);
    Ok(Exit::Ok)
}

fn print(explained: &api::ExplainConversationResponse) {
    let one = explained.conversation.clone().unwrap_or_default();
    outln!(
        "CONVERSATION  {}   {}   {}",
        one.conversation_id,
        flagged(&one),
        span(one.age_ms)
    );
    outln!("  {}", stands(&one, explained));
    if !explained.causes.is_empty() {
        outln!("WHY IT WAITS");
        for cause in &explained.causes {
            outln!("  {}", cause_sentence(cause, &one));
        }
        outln!("  {}", staffing(explained));
        print_agents(explained);
    }
    outln!("WHAT HAPPENED");
    for line in history(explained) {
        outln!("  {line}");
    }
    for next in nexts(explained) {
        outln!("try: {next}");
    }
}

/// Where it stands, in one sentence.
fn stands(one: &api::ConversationSummary, explained: &api::ExplainConversationResponse) -> String {
    let since = clock(explained.state_ms);
    let (queue, agent) = (&one.queue, &one.agent);
    match one.state() {
        _ if one.quarantined => {
            format!("It was set aside and waits for a supervisor, for {since}.")
        }
        ConversationState::Queued => format!(
            "It waits in queue {queue} at place {} of {}, for {since}.",
            one.position, explained.line
        ),
        ConversationState::Offered => format!("It is offered to {agent}, for {since}."),
        ConversationState::Active => format!("{agent} works on it, for {since}."),
        ConversationState::OnHold => format!("It is on hold with {agent}, for {since}."),
        ConversationState::WrapUp => format!("It is over; {agent} wraps up, for {since}."),
        ConversationState::Closed | ConversationState::Abandoned => {
            format!("It is over, {since} ago.")
        }
        state => format!("It is {} in queue {queue}, for {since}.", state_word(state)),
    }
}

/// One reason, in a sentence.
fn cause_sentence(cause: &WaitCause, one: &api::ConversationSummary) -> String {
    use wait_cause::Kind;
    let (queue, agent, staff) = (&one.queue, &cause.agent, &cause.staff);
    match cause.kind() {
        Kind::SetAside => format!(
            "It was set aside after a defect at log index {}; a supervisor must release it.",
            cause.log_index
        ),
        Kind::PausedBySupervisor => format!(
            "{staff} paused queue {queue} {} ago: {}.",
            span(cause.ms),
            cause.reason.trim_end_matches('.')
        ),
        Kind::PausedByPlan => format!("The floor plan pauses queue {queue}."),
        Kind::KeptForAgent => format!("It is kept for {agent} for {} more.", span(cause.ms)),
        Kind::OwnLine => format!("It waits for {agent} alone, as somebody asked."),
        Kind::NobodyEligible => "No agent of the floor plan has what it needs.".to_owned(),
        Kind::NobodyLoggedIn => "Nobody who may serve it is logged in.".to_owned(),
        Kind::NobodyFree => "Nobody who may serve it is free for it.".to_owned(),
        Kind::BehindOthers => format!("{} are before it in its line.", cause.ahead),
        Kind::Unspecified => {
            "The cluster gives a reason that this program does not know.".to_owned()
        }
    }
}

/// Who could serve it, in a sentence.
fn staffing(explained: &api::ExplainConversationResponse) -> String {
    let needs = match explained.requires.as_slice() {
        [] => "It needs nothing special".to_owned(),
        some => {
            let words: Vec<String> = some.iter().map(requirement).collect();
            format!("It needs {}", words.join(", "))
        }
    };
    format!(
        "{needs}; {} agents of the plan may serve it, {} of them are logged in.",
        explained.eligible, explained.logged_in
    )
}

/// `skill law 2`.
pub fn requirement(one: &api::Requirement) -> String {
    format!("{} {} {}", one.kind, one.name, one.level)
}

fn print_agents(explained: &api::ExplainConversationResponse) {
    if explained.agents.is_empty() {
        return;
    }
    let mut table = columns(&["AGENT", "LOAD>", "WHY NOT"]);
    for verdict in &explained.agents {
        let agent = verdict.agent.clone().unwrap_or_default();
        let why = verdict_words(verdict, &agent);
        let load = format!("{}/{}", agent.used, agent.capacity);
        table.add_row([agent.agent, load, why]);
    }
    out!("{}", indented(&table));
    if explained.agents_more > 0 {
        outln!("  and {} more", explained.agents_more);
    }
}

fn verdict_words(verdict: &api::AgentVerdict, agent: &api::AgentSummary) -> String {
    let intent = agent.intent.clone().unwrap_or_default();
    let word = why_words(verdict.why());
    let set_by = match agent.set_by.as_str() {
        "" => String::new(),
        staff => format!(", set by {staff}"),
    };
    match verdict.why() {
        WhyNot::NotReady if !intent.reason.is_empty() => {
            format!("{word}: {}{set_by}", intent.reason)
        }
        _ if verdict.ends_in_ms > 0 => format!("{word}, for {} more", span(verdict.ends_in_ms)),
        _ => word.to_owned(),
    }
}

/// Why an agent does not get work, in a few words.
pub fn why_words(why: WhyNot) -> &'static str {
    match why {
        WhyNot::Unspecified => "nothing: asked next",
        WhyNot::NotReady => "not ready",
        WhyNot::Unreachable => "out of reach",
        WhyNot::AtCapacity => "no free units",
        WhyNot::NotResponding => "does not respond",
        WhyNot::BackOff => "pauses after a missed offer",
        WhyNot::Declined => "declined it, or it was taken back",
        WhyNot::Retired => "not in the floor plan any more",
        WhyNot::Lacks => "lacks",
        WhyNot::QueuePaused => "the queue is paused",
        WhyNot::KeptForOthers => "waits for others alone",
    }
}

/// Decisions and changes in the order of time.
fn history(explained: &api::ExplainConversationResponse) -> Vec<String> {
    let now = explained.at_ms;
    let ago = |at_ms: u64| format!("{:>6} ago", span(now.saturating_sub(at_ms)));
    let mut lines: Vec<(u64, u64, String)> = Vec::new();
    for (nth, item) in (0..).zip(&explained.changes) {
        if let Some(api::item::Content::Change(change)) = &item.content {
            let line = format!("{}  {}", ago(item.at_ms), change_words(change));
            lines.push((item.at_ms, nth, line));
        }
    }
    for (nth, receipt) in (1_000..).zip(&explained.receipts) {
        let line = format!("{}  {}", ago(receipt.at_ms), receipt_words(receipt));
        lines.push((receipt.at_ms, nth, line));
        for left_out in &receipt.excluded {
            let not = format!("            not {}: {}", left_out.agent, left_out.reason);
            lines.push((receipt.at_ms, nth, not));
        }
        if receipt.excluded_more > 0 {
            let more = format!("            nor {} more", receipt.excluded_more);
            lines.push((receipt.at_ms, nth, more));
        }
    }
    lines.sort_by_key(|(at_ms, nth, _)| (*at_ms, *nth));
    lines.into_iter().map(|(_, _, line)| line).collect()
}

fn change_words(change: &api::Change) -> String {
    let kind = change.kind().as_str_name().trim_start_matches("KIND_");
    let kind = kind.to_lowercase().replace('_', " ");
    let by = match &change.by {
        Some(by) => format!(" by {}", author_word(Some(by))),
        None => String::new(),
    };
    match change.text.as_str() {
        "" => format!("{kind}{by}"),
        text => format!("{kind}{by}: {text}"),
    }
}

/// One decision, in a sentence.
pub fn receipt_words(receipt: &api::Receipt) -> String {
    let agent = or_dash(&receipt.agent);
    let rule = or_dash(&receipt.rule);
    let at = format!(
        "log index {}, plan {}",
        receipt.log_index, receipt.plan_version
    );
    let what = match (receipt.decision.as_str(), receipt.to_queue.as_str()) {
        ("offered" | "preferred", _) => format!(
            "offered to {agent}: {rule} of {} free ({at})",
            receipt.candidates
        ),
        ("transferred", "") | ("assigned", _) => format!("{} to {agent} ({at})", receipt.decision),
        ("transferred", queue) => format!("transferred to queue {queue} ({at})"),
        ("kept", _) => format!("waits for {agent} alone ({at})"),
        (decision, _) => format!("{decision} ({at})"),
    };
    let by = match receipt.by.as_ref() {
        Some(by) if receipt.why.is_empty() => format!(", by {}", author_word(Some(by))),
        Some(by) => format!(", by {}: {}", author_word(Some(by)), receipt.why),
        None => String::new(),
    };
    let ended = match (receipt.outcome.as_str(), receipt.declined.as_str()) {
        ("", _) => String::new(),
        (outcome, "") => format!("; {outcome}"),
        (outcome, reason) => format!("; {outcome}: {reason}"),
    };
    format!("{what}{by}{ended}")
}

/// What to type next, where there is something to mend.
fn nexts(explained: &api::ExplainConversationResponse) -> Vec<String> {
    use wait_cause::Kind;
    let one = explained.conversation.clone().unwrap_or_default();
    let id = &one.conversation_id;
    let next = |cause: &WaitCause| match cause.kind() {
        Kind::SetAside => Some(format!("antiphon conversation release {id} --reason TEXT")),
        Kind::PausedBySupervisor => {
            Some(format!("antiphon queue resume {} --reason TEXT", one.queue))
        }
        Kind::PausedByPlan => Some("antiphon floor show".to_owned()),
        Kind::OwnLine => Some(format!("antiphon conversation requeue {id} --reason TEXT")),
        Kind::NobodyEligible => Some("antiphon floor show".to_owned()),
        Kind::NobodyLoggedIn | Kind::NobodyFree => Some("antiphon agent list".to_owned()),
        Kind::KeptForAgent | Kind::BehindOthers | Kind::Unspecified => None,
    };
    let mut all: Vec<String> = explained.causes.iter().filter_map(next).collect();
    all.dedup();
    all
}

#[cfg(test)]
#[path = "explain_test.rs"]
mod explain_test;
