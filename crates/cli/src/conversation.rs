//! `antiphon conversation`: exchanges with customers.
//! Promise: `show` prints why a conversation went where it went; `tail` loses nothing when a node dies.
//! Not here: answering customers (the agent's desk does).

mod acts;
pub mod explain;

use client::Event;
use client::api::{self, ConversationState};

use crate::args::{ConversationArgs, ConversationCommand, Output, StateArg};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::prefix::{self, Wanted};
use crate::reach::Reach;
use crate::table::{clock, columns, indented, or_dash, short, span};
use crate::terminal::Terminal;

/// A queue, a customer or an agent has room for so many characters in a list.
const CELL_CHARS: usize = 24;

pub async fn run(args: ConversationArgs, terminal: Terminal) -> Result<Exit, Failure> {
    match args.command {
        ConversationCommand::List {
            queue,
            agent,
            state,
            limit,
            after,
            reach,
        } => {
            let reach = Reach::of(&reach)?;
            let request = api::ListConversationsRequest {
                queue: prefix::queue(&reach, queue).await?,
                agent: prefix::agent(&reach, agent).await?,
                state: state
                    .map_or(ConversationState::Unspecified, state_of)
                    .into(),
                page_size: limit,
                page_token: after,
            };
            list(&reach, request).await
        }
        ConversationCommand::Search(args) => crate::archive::search(args).await,
        ConversationCommand::Show { id, reach } => {
            let reach = Reach::of(&reach)?;
            let id = prefix::conversation(&reach, id, Wanted::Looking).await?;
            show(&reach, id).await
        }
        ConversationCommand::Tail { id, reach } => {
            let reach = Reach::of(&reach)?;
            let id = prefix::conversation(&reach, id, Wanted::Looking).await?;
            tail(&reach, &id).await
        }
        ConversationCommand::Explain { id, reach } => {
            let reach = Reach::of(&reach)?;
            let id = prefix::conversation(&reach, id, Wanted::Looking).await?;
            explain::run(&reach, id).await
        }
        command => acts::run(command, terminal).await,
    }
}

fn state_of(state: StateArg) -> ConversationState {
    match state {
        StateArg::Queued => ConversationState::Queued,
        StateArg::Offered => ConversationState::Offered,
        StateArg::Active => ConversationState::Active,
        StateArg::Held => ConversationState::OnHold,
        StateArg::Wrapup => ConversationState::WrapUp,
        StateArg::Closed => ConversationState::Closed,
        StateArg::Abandoned => ConversationState::Abandoned,
    }
}

pub fn state_word(state: ConversationState) -> &'static str {
    match state {
        ConversationState::Unspecified => "unknown",
        ConversationState::Bot => "bot",
        ConversationState::Queued => "queued",
        ConversationState::Offered => "offered",
        ConversationState::Active => "active",
        ConversationState::OnHold => "on hold",
        ConversationState::WrapUp => "wrap-up",
        ConversationState::Closed => "closed",
        ConversationState::Abandoned => "abandoned",
    }
}

async fn list(reach: &Reach, request: api::ListConversationsRequest) -> Result<Exit, Failure> {
    let listed = reach
        .client
        .supervisor()
        .list_conversations(request)
        .await?;
    if reach.output == Output::Json {
        json::print("ListConversationsResponse", &listed)?;
        return Ok(Exit::Ok);
    }
    let mut table = columns(&[
        "CONVERSATION",
        "STATE",
        "QUEUE",
        "PLACE>",
        "WAITED>",
        "AGE>",
        "CUSTOMER",
        "AGENT",
        "ITEMS>",
    ]);
    for one in &listed.conversations {
        let place = match one.position {
            0 => "-".to_owned(),
            place => place.to_string(),
        };
        table.add_row([
            one.conversation_id.clone(),
            flagged(one),
            short(&one.queue, CELL_CHARS),
            place,
            clock(one.waited_ms),
            span(one.age_ms),
            short(&one.customer, CELL_CHARS),
            or_dash(&one.agent),
            one.last_sequence.to_string(),
        ]);
    }
    out!("{}", indented(&table));
    eprintln!(
        "{} conversations; at log index {}",
        listed.conversations.len(),
        listed.applied_index
    );
    if !listed.next_page_token.is_empty() {
        eprintln!(
            "there are more; try: the same command with --after {}",
            listed.next_page_token
        );
    }
    Ok(Exit::Ok)
}

pub fn flagged(one: &api::ConversationSummary) -> String {
    let word = state_word(one.state());
    match one.quarantined {
        true => format!("{word} (set aside)"),
        false => word.to_owned(),
    }
}

async fn show(reach: &Reach, conversation_id: String) -> Result<Exit, Failure> {
    let supervisor = reach.client.supervisor();
    let request = api::GetConversationRequest {
        conversation_id: conversation_id.clone(),
    };
    let shown = supervisor.get_conversation(request).await?;
    let customer = reach.client.customer();
    let transcript = customer.transcript_with_notes(&conversation_id).await?;
    if reach.output == Output::Json {
        let mut whole = json::of("GetConversationResponse", &shown)?;
        let read = api::GetTranscriptResponse {
            conversation: Some(transcript.conversation),
            items: transcript.items,
            more: false,
            notes: transcript.notes,
        };
        whole["transcript"] = json::of("GetTranscriptResponse", &read)?;
        outln!("{whole:#}");
        return Ok(Exit::Ok);
    }
    print_summary(&shown.conversation.unwrap_or_default());
    print_receipts(&shown.receipts);
    outln!("TRANSCRIPT");
    transcript
        .items
        .iter()
        .for_each(|item| outln!("  {}", item_line(item)));
    if !transcript.notes.is_empty() {
        outln!("NOTES");
        for note in &transcript.notes {
            let author = author_word(note.author.as_ref());
            outln!(
                "  after {:>4}  {author}: {}",
                note.after_sequence,
                note.text
            );
        }
    }
    Ok(Exit::Ok)
}

fn print_summary(one: &api::ConversationSummary) {
    outln!(
        "CONVERSATION  {}   {}   {}",
        one.conversation_id,
        flagged(one),
        span(one.age_ms)
    );
    outln!("  queue     {}", or_dash(&one.queue));
    outln!(
        "  customer  {} on {} from {}",
        or_dash(&one.customer),
        or_dash(&one.account),
        or_dash(&one.site)
    );
    outln!(
        "  language  {}   topics {}",
        or_dash(&one.language),
        or_dash(&one.topics.join(", "))
    );
    outln!(
        "  agent     {}   owner epoch {}",
        or_dash(&one.agent),
        one.owner_epoch
    );
    if one.position > 0 {
        outln!(
            "  waits     place {}, for {}",
            one.position,
            clock(one.waited_ms)
        );
    }
    if one.score > 0 {
        outln!("  rated     {} of 5", one.score);
    }
}

fn print_receipts(receipts: &[api::Receipt]) {
    if receipts.is_empty() {
        return;
    }
    outln!("WHY");
    for receipt in receipts {
        outln!(
            "  index {}  {} {} by {} out of {} (plan {})",
            receipt.log_index,
            receipt.decision,
            or_dash(&receipt.agent),
            or_dash(&receipt.rule),
            receipt.candidates,
            receipt.plan_version
        );
        for left_out in &receipt.excluded {
            outln!("      not {}: {}", left_out.agent, left_out.reason);
        }
    }
}

async fn tail(reach: &Reach, id: &str) -> Result<Exit, Failure> {
    let mut followed = reach.client.customer().observe(id, 0);
    let mut tail = Tail::default();
    while let Some(event) = followed.next().await {
        let over = tail.is_over_after(&event);
        match event {
            Event::Item(item) => match reach.output {
                Output::Json => json::print_line("Item", &item)?,
                Output::Table => outln!("{}", item_line(&item)),
            },
            Event::Interrupted { .. } => {
                eprintln!("interrupted; following again as soon as a node answers")
            }
            Event::Resumed { address, .. } => eprintln!("following at {address}"),
            Event::Ended(error) if error.reason == api::ErrorReason::ConversationClosed => {
                return Ok(Exit::Ok);
            }
            Event::Ended(error) => return Err(error.into()),
            Event::Acked(_)
            | Event::Refused(_)
            | Event::Marker(_)
            | Event::Summary(_)
            | Event::Continued { .. } => {}
        }
        if over {
            eprintln!("the conversation has ended");
            return Ok(Exit::Ok);
        }
    }
    Ok(Exit::Ok)
}

/// How far a conversation was followed. A summary may say that it has ended before the items that
/// lead there have come.
#[derive(Default)]
struct Tail {
    /// The last item that came.
    seen: u64,
    /// The last item there will be, once it is known.
    last: Option<u64>,
}

impl Tail {
    /// Whether nothing follows this event.
    fn is_over_after(&mut self, event: &Event) -> bool {
        match event {
            // What follows is another conversation with items and an end of its own.
            Event::Item(item) if goes_on(item) => *self = Self::default(),
            Event::Item(item) => self.seen = item.sequence,
            Event::Summary(summary) => {
                let ended = matches!(
                    summary.state(),
                    ConversationState::Closed | ConversationState::Abandoned
                );
                self.last = ended.then_some(summary.last_sequence);
            }
            _ => {}
        }
        self.last.is_some_and(|last| self.seen >= last)
    }
}

/// Whether the conversation goes on under another id, which the client then follows.
fn goes_on(item: &api::Item) -> bool {
    matches!(
        &item.content,
        Some(api::item::Content::Change(change))
            if change.kind() == api::change::Kind::Continued && !change.conversation_id.is_empty()
    )
}

fn item_line(item: &api::Item) -> String {
    match &item.content {
        Some(api::item::Content::Message(message)) => {
            let author = author_word(message.author.as_ref());
            format!("{:>4}  {author}: {}", item.sequence, message.text)
        }
        Some(api::item::Content::Change(change)) => {
            let kind = change.kind().as_str_name().trim_start_matches("KIND_");
            let by = change
                .by
                .as_ref()
                .map_or(String::new(), |by| format!(" {}", author_word(Some(by))));
            let text = if change.text.is_empty() {
                String::new()
            } else {
                format!(" ({})", change.text)
            };
            format!(
                "{:>4}  -- {}{by}{text}",
                item.sequence,
                kind.to_lowercase().replace('_', " ")
            )
        }
        None => format!("{:>4}", item.sequence),
    }
}

fn author_word(author: Option<&api::Author>) -> String {
    let Some(author) = author else {
        return "-".to_owned();
    };
    let kind = author
        .kind()
        .as_str_name()
        .trim_start_matches("KIND_")
        .to_lowercase();
    match (author.display_name.as_str(), author.name.as_str()) {
        ("", "") => kind,
        ("", name) | (name, _) => format!("{kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sequence: u64) -> Event {
        Event::Item(api::Item {
            sequence,
            ..Default::default()
        })
    }

    fn summary(state: ConversationState, last_sequence: u64) -> Event {
        Event::Summary(api::ConversationSummary {
            state: state.into(),
            last_sequence,
            ..Default::default()
        })
    }

    fn overs(events: &[Event]) -> Vec<bool> {
        let mut tail = Tail::default();
        events
            .iter()
            .map(|event| tail.is_over_after(event))
            .collect()
    }

    #[test]
    fn a_tail_of_what_has_ended_prints_every_item_first() {
        let closed = summary(ConversationState::Closed, 2);
        assert_eq!(
            overs(&[closed, item(1), item(2)]),
            [false, false, true],
            "the welcome comes before the backlog"
        );
    }

    #[test]
    fn a_tail_ends_when_the_end_is_said_after_the_last_item() {
        let events = [
            summary(ConversationState::Active, 1),
            item(1),
            item(2),
            summary(ConversationState::Abandoned, 2),
        ];
        assert_eq!(overs(&events), [false, false, false, true]);
    }

    #[test]
    fn a_tail_goes_on_with_the_conversation_that_continues_another() {
        let change = api::Change {
            kind: api::change::Kind::Continued.into(),
            conversation_id: "c1-9".into(),
            ..Default::default()
        };
        let continued = Event::Item(api::Item {
            sequence: 2,
            content: Some(api::item::Content::Change(change)),
            ..Default::default()
        });
        let events = [
            summary(ConversationState::Closed, 2),
            item(1),
            continued,
            summary(ConversationState::Closed, 1),
            item(1),
        ];
        assert_eq!(overs(&events), [false, false, false, false, true]);
    }

    #[test]
    fn a_message_and_a_change_read_as_lines() {
        let author = Some(api::Author {
            kind: api::author::Kind::Agent.into(),
            name: "ana".into(),
            display_name: String::new(),
        });
        let item = |content| api::Item {
            sequence: 3,
            content: Some(content),
            ..Default::default()
        };
        let message = api::Message {
            author: author.clone(),
            text: "Hello".into(),
            ..Default::default()
        };
        let change = api::Change {
            kind: api::change::Kind::HandedOff.into(),
            by: author,
            ..Default::default()
        };
        assert_eq!(
            item_line(&item(api::item::Content::Message(message))),
            "   3  agent ana: Hello"
        );
        assert_eq!(
            item_line(&item(api::item::Content::Change(change))),
            "   3  -- handed off agent ana"
        );
    }
}
