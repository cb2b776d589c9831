//! Why an agent has no work, or no more, in sentences.
//! Promise: every reason of the answer is said; what to type next comes last.
//! Not here: finding the reasons (the cluster does).

use client::api::{self, IdleCause, WhyNot, idle_cause};

use crate::args::Output;
use crate::conversation::explain::{receipt_words, requirement, why_words};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{columns, indented, span};

pub async fn run(reach: &Reach, agent: String) -> Result<Exit, Failure> {
    let request = api::ExplainAgentRequest { agent };
    let explained = reach.client.supervisor().explain_agent(request).await?;
    if reach.output == Output::Json {
        json::print("ExplainAgentResponse", &explained)?;
        return Ok(Exit::Ok);
    }
    print(&explained);
    eprintln!("at log index {}", explained.applied_index);
    Ok(Exit::Ok)
}

fn print(explained: &api::ExplainAgentResponse) {
    let agent = explained.agent.clone().unwrap_or_default();
    outln!(
        "AGENT  {}   {} of {} units in use, {} conversations, idle for {}",
        agent.agent,
        agent.used,
        agent.capacity,
        agent.conversations,
        span(agent.idle_ms)
    );
    for cause in &explained.causes {
        outln!("  {}", cause_sentence(cause, &agent.agent));
    }
    for pause in &explained.pauses {
        outln!("  {}", pause_sentence(pause));
    }
    print_work(explained);
    if !explained.receipts.is_empty() {
        outln!("LAST DECISIONS THAT NAMED {}", agent.agent);
        for one in &explained.receipts {
            outln!("  {}", receipt_line(one, &agent.agent, explained.at_ms));
        }
    }
    for next in nexts(explained, &agent.agent) {
        outln!("try: {next}");
    }
}

/// One reason, in a sentence.
fn cause_sentence(cause: &IdleCause, agent: &str) -> String {
    use idle_cause::Kind;
    let since = span(cause.for_ms);
    let for_reason = match cause.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    match cause.kind() {
        Kind::Retired => format!("The floor plan in force lacks {agent}."),
        Kind::LoggedOut if cause.for_ms == 0 => format!("{agent} is not logged in."),
        Kind::LoggedOut => format!("{agent} is not logged in, for {since}."),
        Kind::Unreachable => format!("The client of {agent} has been silent for {since}."),
        Kind::NotReady if !cause.staff.is_empty() => format!(
            "{} set {agent} not ready {since} ago{for_reason}. Why: {}.",
            cause.staff,
            cause.why.trim_end_matches('.')
        ),
        Kind::NotReady => format!("{agent} is not ready, for {since}{for_reason}."),
        Kind::NotReadyNext => format!("{agent} takes no more after this work{for_reason}."),
        Kind::NothingWaits => "Nothing waits.".to_owned(),
        Kind::NothingFits => format!("What waits needs what {agent} lacks."),
        Kind::Unspecified => {
            "The cluster gives a reason that this program does not know.".to_owned()
        }
    }
}

fn pause_sentence(pause: &api::AgentPause) -> String {
    let (channel, misses) = (&pause.channel, pause.misses);
    if pause.not_responding {
        return format!("Does not respond on {channel}: {misses} offers missed in a row.");
    }
    match pause.ends_in_ms {
        0 => format!("Missed {misses} offers on {channel}; the pause is over."),
        ms => format!(
            "Pauses on {channel} for {} more after a missed offer.",
            span(ms)
        ),
    }
}

fn print_work(explained: &api::ExplainAgentResponse) {
    if explained.work.is_empty() {
        return;
    }
    outln!("WHAT WAITS");
    let mut table = columns(&["QUEUE", "CHANNEL", "WAITING>", "WHY NOT"]);
    for work in &explained.work {
        table.add_row([
            work.queue.clone(),
            work.channel.clone(),
            work.waiting.to_string(),
            work_words(work),
        ]);
    }
    out!("{}", indented(&table));
}

fn work_words(work: &api::WaitingWork) -> String {
    let word = why_words(work.why());
    match (&work.lacks, work.ends_in_ms) {
        (Some(lacks), _) => format!("{word} {}", requirement(lacks)),
        (None, 0) => word.to_owned(),
        (None, ms) => format!("{word}, for {} more", span(ms)),
    }
}

/// A decision, and what it was for this agent.
fn receipt_line(one: &api::AgentReceipt, agent: &str, now_ms: u64) -> String {
    let receipt = one.receipt.clone().unwrap_or_default();
    let left_out = receipt
        .excluded
        .iter()
        .find(|left_out| left_out.agent == agent);
    let not = match left_out {
        Some(left_out) => format!("; not {agent}: {}", left_out.reason),
        None => String::new(),
    };
    format!(
        "{:>6} ago  {}  {}{not}",
        span(now_ms.saturating_sub(receipt.at_ms)),
        one.conversation_id,
        receipt_words(&receipt)
    )
}

/// What to type next, where there is something to mend.
fn nexts(explained: &api::ExplainAgentResponse, agent: &str) -> Vec<String> {
    use idle_cause::Kind;
    let set = |cause: &&IdleCause| cause.kind() == Kind::NotReady && !cause.staff.is_empty();
    let mut all = Vec::new();
    if explained.causes.iter().any(|cause| set(&cause)) {
        all.push(format!("antiphon agent set {agent} --ready --reason TEXT"));
    }
    let paused = explained.work.iter();
    let paused = paused.filter(|work| work.why() == WhyNot::QueuePaused);
    all.extend(paused.map(|work| format!("antiphon queue resume {} --reason TEXT", work.queue)));
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(kind: idle_cause::Kind, staff: &str) -> IdleCause {
        IdleCause {
            kind: kind.into(),
            reason: "training".into(),
            staff: staff.into(),
            why: "new product".into(),
            for_ms: 240_000,
        }
    }

    #[test]
    fn an_idle_agent_is_explained_in_sentences() {
        use idle_cause::Kind;
        let said = |kind, staff| cause_sentence(&cause(kind, staff), "ana");
        assert_eq!(
            said(Kind::NotReady, "mia"),
            "mia set ana not ready 4 min ago: training. Why: new product."
        );
        assert_eq!(
            said(Kind::NotReady, ""),
            "ana is not ready, for 4 min: training."
        );
        assert_eq!(
            said(Kind::LoggedOut, ""),
            "ana is not logged in, for 4 min."
        );
        assert_eq!(
            said(Kind::Unreachable, ""),
            "The client of ana has been silent for 4 min."
        );
    }

    #[test]
    fn pauses_and_work_say_what_is_missing_and_for_how_long() {
        let pause = |ends_in_ms, not_responding| {
            pause_sentence(&api::AgentPause {
                channel: "web".into(),
                misses: 2,
                ends_in_ms,
                not_responding,
            })
        };
        assert_eq!(
            pause(0, true),
            "Does not respond on web: 2 offers missed in a row."
        );
        assert_eq!(
            pause(9_000, false),
            "Pauses on web for 9 s more after a missed offer."
        );
        let lacks = api::WaitingWork {
            why: WhyNot::Lacks.into(),
            lacks: Some(api::Requirement {
                kind: "language".into(),
                name: "de".into(),
                level: 3,
            }),
            ..Default::default()
        };
        assert_eq!(work_words(&lacks), "lacks language de 3");
    }

    #[test]
    fn what_a_supervisor_can_take_back_says_what_to_type() {
        use idle_cause::Kind;
        let mut explained = api::ExplainAgentResponse {
            causes: vec![cause(Kind::NotReady, "mia")],
            ..Default::default()
        };
        explained.work = vec![api::WaitingWork {
            queue: "sales".into(),
            why: WhyNot::QueuePaused.into(),
            ..Default::default()
        }];
        assert_eq!(
            nexts(&explained, "ana"),
            [
                "antiphon agent set ana --ready --reason TEXT",
                "antiphon queue resume sales --reason TEXT"
            ]
        );
    }
}
